"""The certified list of members, docs/PROTOCOL.md §7."""

from dataclasses import dataclass, replace

from primitives import Fields, Refused, hash_of, verify

HOST, COHOST, MEMBER = 0, 1, 2
OPEN, ADMIT, LEAVE, REMOVE, LOCK, UNLOCK, ROLE, HAND_OVER, SUCCEED = range(9)
NOBODY = 0xFFFF
KEPT = 64


@dataclass(frozen=True)
class Listed:
    index: int
    role: int
    identity: bytes
    static: bytes
    name: str


@dataclass(frozen=True)
class Head:
    term: int
    counter: int
    hash: bytes
    signature: bytes

    def is_by(self, meeting: bytes, identity: bytes) -> bool:
        statement = meeting + self.term.to_bytes(4, "big") + self.counter.to_bytes(8, "big") + self.hash
        return verify(identity, "roster", statement, self.signature)

    def to_bytes(self) -> bytes:
        return self.term.to_bytes(4, "big") + self.counter.to_bytes(8, "big") + self.hash + self.signature


@dataclass(frozen=True)
class Entry:
    """A signed entry: what it says, and the head that its bytes and signature make."""

    previous: bytes
    operation: int
    subject: int
    locked: bool
    heir: int
    next_index: int
    members: tuple[Listed, ...]
    head: Head
    signed: bytes

    @property
    def host(self) -> Listed:
        return next(member for member in self.members if member.role == HOST)

    def member(self, index: int) -> Listed | None:
        return next((member for member in self.members if member.index == index), None)

    @property
    def people(self) -> bytes:
        rows = b""
        for member in self.members:
            name = member.name.encode()
            rows += member.index.to_bytes(2, "big") + member.identity + member.static + len(name).to_bytes(2, "big") + name
        return hash_of("people", rows)


def parse(signed: bytes) -> Entry:
    """Reads `signature(64) ‖ entry` and checks all that an entry alone can show."""
    fields = Fields(signed)
    signature = fields.take(64)
    entry = fields.data
    term, counter, previous = fields.number(4), fields.number(8), fields.take(32)
    _time, operation, subject, flags = fields.number(8), fields.number(1), fields.number(2), fields.number(1)
    heir, next_index, count = fields.number(2), fields.number(2), fields.number(2)
    if operation > SUCCEED or flags & ~0x01 or not 1 <= count <= 64:
        raise Refused("an entry that is none")
    members = tuple(
        Listed(fields.number(2), fields.number(1), fields.take(32), fields.take(32), fields.name()) for _ in range(count)
    )
    fields.end()
    indices = [member.index for member in members]
    if indices != sorted(set(indices)) or indices[-1] >= next_index:
        raise Refused("indices are not distinct and rising")
    if len({member.identity for member in members}) < count or len({member.static for member in members}) < count:
        raise Refused("somebody is listed twice")
    if any(member.role > MEMBER for member in members) or [member.role for member in members].count(HOST) != 1:
        raise Refused("not exactly one host")
    if heir != NOBODY and not any(member.index == heir and member.role != HOST for member in members):
        raise Refused("an heir that cannot take over")
    head = Head(term, counter, hash_of("roster entry", entry), signature)
    return Entry(previous, operation, subject, bool(flags & 1), heir, next_index, members, head, signed)


class Roster:
    def __init__(self, meeting: bytes, first: Entry, host_identity: bytes, host_static: bytes, own: Listed):
        """A newcomer's beginning: the entry of its admission, the host as the link has it, itself as it knows itself."""
        host = first.host
        if not first.head.is_by(meeting, host_identity):
            raise Refused("the first entry is not signed by the link's host")
        if (host.identity, host.static) != (host_identity, host_static):
            raise Refused("the first entry has another host than the link")
        listed = first.member(own.index)
        if listed is None or replace(listed, name=own.name) != own:
            raise Refused("the first entry does not list us as we are")
        self.meeting = meeting
        self.entries = [first]

    @property
    def current(self) -> Entry:
        return self.entries[-1]

    def find(self, entry_hash: bytes) -> Entry | None:
        return next((entry for entry in self.entries if entry.head.hash == entry_hash), None)

    def forks(self, head: Head) -> bool:
        """Whether one signer put two entries at one place."""
        for entry in self.entries:
            own = entry.head
            if (own.term, own.counter) == (head.term, head.counter) and own.hash != head.hash:
                known = {member.identity for entry in self.entries for member in entry.members}
                return any(own.is_by(self.meeting, who) and head.is_by(self.meeting, who) for who in known)
        return False

    def lacking(self, head: Head) -> list[Entry]:
        """What somebody with this head has not got."""
        hashes = [entry.head.hash for entry in self.entries]
        if head.hash in hashes:
            return self.entries[hashes.index(head.hash) + 1 :][:16]
        term = self.current.head.term
        return [entry for entry in self.entries if entry.head.term == term][:16] if head.term < term else []

    def take(self, new: Entry) -> bool:
        """Whether the entry is in force now."""
        if self.forks(new.head):
            raise Refused("the host has signed two lists")
        known = self.find(new.head.hash)
        if known is not None and known.head == new.head:
            return False
        if new.operation == SUCCEED:
            raise Refused("this member does not follow successions")
        old = self.current
        if new.previous != old.head.hash:
            base = self.find(new.previous)
            if base is not None and not new.head.is_by(self.meeting, base.host.identity):
                raise Refused("an entry that no host signed")
            return False
        if not new.head.is_by(self.meeting, old.host.identity):
            raise Refused("an entry that the host did not sign")
        if (new.head.term, new.head.counter) != (old.head.term, old.head.counter + 1) or not follows(old, new):
            raise Refused("an entry that changes what it may not")
        self.entries = (self.entries + [new])[-KEPT:]
        return True


def follows(old: Entry, new: Entry) -> bool:
    """Whether `new` is `old` with the change that it names."""
    before, after = old.member(new.subject), new.member(new.subject)
    others = [m for m in old.members if m.index != new.subject] == [m for m in new.members if m.index != new.subject]
    indices, lock = new.next_index == old.next_index, new.locked == old.locked
    match new.operation:
        case op if op == ADMIT:
            is_next = new.subject == old.next_index != NOBODY and new.next_index == new.subject + 1
            return is_next and after is not None and after.role == MEMBER and others and lock
        case op if op in (LEAVE, REMOVE):
            return before is not None and before.role != HOST and after is None and others and indices and lock
        case op if op in (LOCK, UNLOCK):
            same = new.subject == NOBODY and old.members == new.members
            return same and indices and new.locked == (op == LOCK)
        case op if op == ROLE:
            if before is None or after is None or HOST in (before.role, after.role):
                return False
            return replace(before, role=after.role) == after and others and indices and lock
        case op if op == HAND_OVER:
            roles = {new.subject: HOST, old.host.index: MEMBER}
            expected = tuple(replace(m, role=roles.get(m.index, m.role)) for m in old.members)
            return new.subject != old.host.index and new.members == expected and indices and lock
    return False
