"""One member's part in the group code, docs/PROTOCOL.md §9."""

import hashlib
import os

from primitives import Refused, hash_of, hkdf, verify
from roster import Entry


class Round:
    def __init__(self, name: bytes, entry: Entry, own_index: int):
        self.name, self.people, self.own_index = name, entry.people, own_index
        self.value = os.urandom(32)
        self.set: dict[int, bytes] | None = None
        self.commitment = self.commit(entry.member(own_index).identity, self.value)

    def commit(self, identity: bytes, value: bytes) -> bytes:
        return hash_of("code commit", self.name + self.people + identity + value)

    def check_set(self, meeting: bytes, entry: Entry, signature: bytes, commitments: dict[int, bytes]) -> bytes:
        """Gives the value to be revealed, now that all is fixed."""
        rows = b"".join(index.to_bytes(2, "big") + commitments[index] for index in sorted(commitments))
        statement = meeting + self.name + self.people + hashlib.sha256(rows).digest()
        if self.set is not None:
            raise Refused("a second set of commitments")
        if not verify(entry.host.identity, "code set", statement, signature):
            raise Refused("a set of commitments that the host did not sign")
        if sorted(commitments) != [member.index for member in entry.members]:
            raise Refused("a set of commitments for others than the members")
        if commitments[self.own_index] != self.commitment:
            raise Refused("our commitment was changed")
        self.set = commitments
        return self.value

    def check_values(self, entry: Entry, values: dict[int, bytes]) -> str:
        """Gives the code as fourteen digits."""
        if self.set is None or sorted(values) != sorted(self.set):
            raise Refused("values for others than those who committed")
        for member in entry.members:
            if self.commit(member.identity, values[member.index]) != self.set[member.index]:
                raise Refused(f"the value of member {member.index} does not fit its commitment")
        joined = b"".join(values[index] for index in sorted(values))
        code = int.from_bytes(hkdf(joined, self.people, "group code")[:8], "big") >> 20
        return f"{code:014}"
