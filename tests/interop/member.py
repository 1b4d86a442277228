"""A member of a real meeting, written from docs/PROTOCOL.md: `member.py --name NAME LINK`.

It calls the host through the relay, checks who answers, knocks, is let in, checks the roster, takes part in the group code
and takes keys in. It sends no media, and makes no sessions with other members. As soon as it has a code and a key it
prints what it knows as one line of JSON; it stays until the host ends the meeting or `--seconds` are over.
"""

import argparse
import hashlib
import json
import os
import sys
import time

import invite as links
import roster as rosters
from conclave import CIPHERTEXT_LENGTH, fresh_static, mix_kem, noise
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from group_code import Round
from kyber_py.ml_kem import ML_KEM_768
from noise.connection import Keypair
from primitives import Fields, Refused, hkdf, sign, tag, verify
from session import Session
from websocket import Closed, WebSocket

SUITE = 1
SUITE_NAME = b"Noise_XKpsk0+psk2_25519_ChaChaPoly_SHA256 ML-KEM-768"
PROOF, KNOCK, ADMIT, DECLINE, LEAVE, SENDER_KEY, KEY_ACK, OFFER, ANSWER, CANDIDATE, MEDIA_STATE = range(0x01, 0x0C)
PING, PONG, ROSTER, HEAD, WAITING, REQUEST, OPEN, COMMIT, SET, REVEAL, VALUES, SECRET, WISH = range(0x0C, 0x19)
UNORDERED = {PING, PONG, HEAD}


class Relay:
    """One connection to the relay, in one room."""

    def __init__(self, address: links.Relay, room: bytes):
        self.socket = WebSocket(address.host, address.port, "/v1", address.tls)
        self.socket.send(b"\x01\x01" + room)
        joined = self.socket.receive(10)
        if joined is None or joined[0] != 0x81:
            raise Closed(f"the relay did not let us in: {joined!r}")

    def send(self, to: int, payload: bytes) -> None:
        self.socket.send(b"\x02" + to.to_bytes(8, "big") + payload)

    def receive(self, until: float) -> tuple[int, bytes] | None:
        """Who sent what; None when nothing came by then. Who comes and goes does not matter to a guest that waits."""
        while (frame := self.socket.receive(until - time.monotonic())) is not None:
            if frame[0] == 0x82:
                return int.from_bytes(frame[1:9], "big"), frame[9:]
            if frame[0] == 0x8F:
                raise Closed(f"the relay refused: code {frame[1]}")
        return None


class Member:
    def __init__(self, link: str, name: str):
        self.invite = links.parse(link)
        self.name = name
        self.identity = Ed25519PrivateKey.generate()
        self.public = self.identity.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.private, self.static = fresh_static()
        self.relay = Relay(self.invite.relays[0], self.invite.room_id)
        self.host = 0
        self.proven = self.told = False
        self.third_due: float | None = None
        self.roster: rosters.Roster | None = None
        self.meeting = b""
        self.index = 0
        self.round: Round | None = None
        self.code: str | None = None
        self.keys: dict[int, bytes] = {}
        self.held: tuple[int, bytes, bytes] | None = None
        self.ping_due = 0.0
        self.entries = 0

    # The handshake, §3 and §4.

    def call(self) -> None:
        room = self.invite.room_id
        prologue = b"Conclave v1" + room + b"host-guest" + SUITE_NAME
        connection = noise(prologue, hkdf(self.invite.secret, room, "door"), self.private)
        connection.set_as_initiator()
        connection.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, self.invite.host_static)
        connection.start_handshake()
        ek, dk = ML_KEM_768.keygen()
        message = bytes(connection.write_message(ek))
        self.attempt = os.urandom(8)
        door = hkdf(self.invite.secret, room, "door tag")
        suite = bytes([SUITE])
        first = b"\x01" + self.attempt + tag(door, self.attempt + suite + message) + suite + message
        second = self.answer_to(first, door)
        ct, message = second[:CIPHERTEXT_LENGTH], second[CIPHERTEXT_LENGTH:]
        mix_kem(connection, prologue, ML_KEM_768.decaps(dk, ct), ek, ct)
        if connection.read_message(message) != b"":
            raise Refused("message 2 has a payload")
        self.third = b"\x03" + self.attempt + bytes(connection.write_message(b""))
        self.handshake_hash = connection.get_handshake_hash()
        protocol = connection.noise_protocol
        self.session = Session(protocol.cipher_state_encrypt.k, protocol.cipher_state_decrypt.k)
        self.third_due = 0.0

    def answer_to(self, first: bytes, door: bytes) -> bytes:
        """Sends the first message every second until the host answers."""
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up:
            self.relay.send(0, first)
            again = time.monotonic() + 1
            while (got := self.relay.receive(again)) is not None:
                who, payload = got
                kind, attempt, rest = payload[:1], payload[1:9], payload[9:]
                if attempt != self.attempt:
                    continue
                if kind == b"\x05" and rest[:16] == tag(door, b"refused" + attempt + rest[16:]):
                    raise Refused(f"the host speaks suite {rest[16]} alone")
                if kind == b"\x02" and len(rest) == 1136:
                    self.host = who
                    return rest
        raise Refused("the host does not answer")

    # The session.

    def send(self, kind: int, fields: bytes = b"") -> None:
        message = bytes([kind]) + fields
        sealed = self.session.seal(0, message) if kind in UNORDERED else self.session.order(message)
        self.relay.send(self.host, b"\x04" + self.attempt + sealed)

    def run(self, until: float) -> str:
        """Serves the session; gives why it ended."""
        while (now := time.monotonic()) < until:
            if self.third_due is not None and not self.proven and now >= self.third_due:
                self.relay.send(self.host, self.third)
                self.third_due = now + 1
            for sealed in self.session.due():
                self.relay.send(self.host, b"\x04" + self.attempt + sealed)
            if self.proven and now >= self.ping_due:
                self.ping_due = now + 5
                self.send(PING, os.urandom(8))
                if self.roster:
                    self.send(HEAD, self.roster.current.head.to_bytes())
            got = self.relay.receive(min(until, now + 0.2))
            if got is None or got[1][:9] != b"\x04" + self.attempt:
                continue
            opened = self.session.open(got[1][9:])
            if opened is None:
                continue
            messages, owed = opened
            if owed:
                self.relay.send(self.host, b"\x04" + self.attempt + self.session.seal(0, b""))
            for ordered, message in messages:
                if ordered == (message[0] in UNORDERED):
                    raise Refused("a message in the wrong stream")
                if (why := self.handle(message[0], Fields(message[1:]))) is not None:
                    return why
            if self.code and self.keys and not self.told:
                self.told = True
                print(json.dumps(self.report()), flush=True)
        return "time"

    def handle(self, kind: int, fields: Fields) -> str | None:
        if kind == PING:
            self.send(PONG, fields.take(8))
        elif kind == LEAVE:
            return f"leave {fields.number(1)}"
        elif kind == DECLINE and self.roster is None:
            return f"declined {fields.number(1)}"
        elif kind == PROOF and not self.proven:
            self.check_host(fields.take(32), fields.take(64))
        elif kind == ADMIT and self.proven and self.roster is None:
            self.enter(fields)
        elif kind == HEAD and self.roster is None:
            fields.rest()
        elif kind == PONG or self.roster is not None:
            self.handle_member(kind, fields)
        else:
            raise Refused(f"message {kind:#04x} out of place")
        fields.end()
        return None

    def check_host(self, identity: bytes, signature: bytes) -> None:
        if identity != self.invite.host_identity:
            raise Refused("whoever answers is not the link's host")
        if not verify(identity, "proof", b"\x02" + self.invite.host_static + self.handshake_hash, signature):
            raise Refused("the host's proof is not valid")
        self.proven = True
        own = sign(self.identity, "proof", b"\x01" + self.static + self.handshake_hash)
        self.send(PROOF, self.public + own)
        name = self.name.encode()
        self.send(KNOCK, len(name).to_bytes(2, "big") + name)

    def enter(self, fields: Fields) -> None:
        self.index, self.meeting, _secret = fields.number(2), fields.take(32), fields.take(32)
        own = rosters.Listed(self.index, rosters.MEMBER, self.public, self.static, self.name)
        first = rosters.parse(fields.rest())
        self.roster = rosters.Roster(self.meeting, first, self.invite.host_identity, self.invite.host_static, own)
        self.entries = 1
        self.ping_due = 0.0
        # It has neither camera nor microphone: it seals nothing, and so hands out no key.
        self.send(MEDIA_STATE, b"\0")

    def handle_member(self, kind: int, fields: Fields) -> None:
        match kind:
            case op if op == SENDER_KEY:
                self.take_key(fields.number(4), fields.take(32), fields.take(32))
            case op if op == ROSTER:
                self.take_entry(rosters.parse(fields.rest()))
            case op if op == HEAD:
                head = rosters.Head(fields.number(4), fields.number(8), fields.take(32), fields.take(64))
                if self.roster.forks(head):
                    raise Refused("the host has signed two lists")
                for entry in self.roster.lacking(head):
                    self.send(ROSTER, entry.signed)
            case op if op == SECRET:
                # It opens the doors of members, and this one calls none.
                fields.take(32)
            case op if op == OPEN:
                self.open_round(fields.take(16), fields.take(32))
            case op if op == SET:
                self.handle_set(fields.take(16), fields.take(64), table(fields))
            case op if op == VALUES:
                self.handle_values(fields.take(16), table(fields))
            case op if op in (PONG, KEY_ACK, OFFER, ANSWER, CANDIDATE, MEDIA_STATE, WISH):
                # Media are for others to make: it has none, and has sent no key to be acknowledged.
                fields.rest()
            case _:
                raise Refused(f"message {kind:#04x} out of place")

    def take_entry(self, entry: rosters.Entry) -> None:
        if not self.roster.take(entry):
            return
        self.entries += 1
        if entry.member(self.index) is None:
            raise Refused("the host has sent us out")
        if self.round and self.round.people != entry.people:
            self.round = self.code = None
        if self.held:
            held, self.held = self.held, None
            self.take_key(*held)

    def take_key(self, generation: int, entry_hash: bytes, drawn: bytes) -> None:
        if generation <= max(self.keys, default=0):
            raise Refused("a generation that does not rise")
        entry = self.roster.find(entry_hash)
        if entry is None:
            self.held = (generation, entry_hash, drawn)
            return
        host = self.roster.current.host
        listed = entry.member(host.index)
        if listed is None or listed.identity != host.identity:
            raise Refused("a key for a list that does not have its sender")
        self.keys[generation] = hkdf(drawn, entry_hash, "sender key")
        self.send(KEY_ACK, generation.to_bytes(4, "big"))

    def open_round(self, name: bytes, people: bytes) -> None:
        if people == self.roster.current.people:
            self.code = None
            self.round = Round(name, self.roster.current, self.index)
            self.send(COMMIT, name + self.round.commitment)

    def handle_set(self, name: bytes, signature: bytes, commitments: dict[int, bytes]) -> None:
        if self.round and self.round.name == name:
            value = self.round.check_set(self.meeting, self.roster.current, signature, commitments)
            self.send(REVEAL, name + value)

    def handle_values(self, name: bytes, values: dict[int, bytes]) -> None:
        if self.round and self.round.name == name:
            self.code = self.round.check_values(self.roster.current, values)

    def report(self) -> dict:
        entry = self.roster.current
        key_id = lambda key: hashlib.sha256(b"Conclave v1 key id\0" + key).digest()[:8].hex()
        return {
            "meeting": self.meeting.hex(),
            "index": self.index,
            "identity": self.public.hex(),
            "host_name_in_link": self.invite.host_name,
            "roster_hash": entry.head.hash.hex(),
            "roster_entry": entry.head.counter,
            "entries_checked": self.entries,
            "members": [member.name for member in entry.members],
            "group_code": self.code,
            "sender_keys": {str(generation): key_id(key) for generation, key in self.keys.items()},
        }


def table(fields: Fields) -> dict[int, bytes]:
    rows: dict[int, bytes] = {}
    count = fields.number(2)
    if count > 64:
        raise Refused("a table that is too long")
    for _ in range(count):
        index = fields.number(2)
        if rows and index <= max(rows):
            raise Refused("a table out of order")
        rows[index] = fields.take(32)
    return rows


def main() -> int:
    arguments = argparse.ArgumentParser(description="A member of a meeting, written from docs/PROTOCOL.md.")
    arguments.add_argument("link")
    arguments.add_argument("--name", default="Guest")
    arguments.add_argument("--seconds", type=float, default=60)
    chosen = arguments.parse_args()
    try:
        member = Member(chosen.link, chosen.name)
        member.call()
        why = member.run(time.monotonic() + chosen.seconds)
        if why == "time":
            member.send(LEAVE, b"\x01")
    except (Refused, Closed, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(why, file=sys.stderr)
    return 0 if member.told else 1


if __name__ == "__main__":
    sys.exit(main())
