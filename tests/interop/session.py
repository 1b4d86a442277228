"""A sealed session with ordered delivery, docs/PROTOCOL.md §5."""

import struct
import time
from collections import deque

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from primitives import Refused

WINDOW, REPLAY = 32, 1024


class Session:
    """`send_key` and `receive_key` are those that Noise gave for each direction."""

    def __init__(self, send_key: bytes, receive_key: bytes):
        self.sealer, self.opener = ChaCha20Poly1305(send_key), ChaCha20Poly1305(receive_key)
        self.nonce = 0
        self.newest, self.seen = -1, set()
        self.next, self.expected = 1, 1
        self.unacknowledged: deque[tuple[int, bytes]] = deque()
        self.early: dict[int, bytes] = {}
        self.pause, self.resend_at = 1.0, None

    def seal(self, sequence: int, message: bytes) -> bytes:
        plain = struct.pack(">QQH", self.expected - 1, sequence, len(message)) + message
        step = 128 if len(plain) < 1024 else 1024
        plain += bytes(-len(plain) % step)
        nonce, self.nonce = self.nonce, self.nonce + 1
        return nonce.to_bytes(8, "big") + self.sealer.encrypt(noise_nonce(nonce), plain, None)

    def order(self, message: bytes) -> bytes:
        """Seals a message that is repeated until it is acknowledged. This member never has more than a few under way."""
        if len(self.unacknowledged) >= WINDOW:
            raise Refused("the other side acknowledges nothing")
        sequence, self.next = self.next, self.next + 1
        self.unacknowledged.append((sequence, message))
        if self.resend_at is None:
            self.resend_at = time.monotonic() + self.pause
        return self.seal(sequence, message)

    def due(self) -> list[bytes]:
        """What has to be sent again now."""
        if self.resend_at is None or time.monotonic() < self.resend_at:
            return []
        self.pause = min(self.pause * 2, 8)
        self.resend_at = time.monotonic() + self.pause
        return [self.seal(sequence, message) for sequence, message in self.unacknowledged]

    def open(self, sealed: bytes) -> tuple[list[tuple[bool, bytes]], bool] | None:
        """Messages in order, each with whether it was numbered, and whether an acknowledgement is owed. None: not authentic."""
        if len(sealed) < 24:
            return None
        nonce = int.from_bytes(sealed[:8], "big")
        if nonce >= 1 << 48 or nonce in self.seen or nonce <= self.newest - REPLAY:
            return None
        try:
            plain = self.opener.decrypt(noise_nonce(nonce), sealed[8:], None)
        except InvalidTag:
            return None
        self.seen.add(nonce)
        self.newest = max(self.newest, nonce)
        self.seen = {seen for seen in self.seen if seen > self.newest - REPLAY}
        return self._deliver(plain)

    def _deliver(self, plain: bytes) -> tuple[list[tuple[bool, bytes]], bool]:
        if len(plain) < 18:
            raise Refused("a session message is cut short")
        acknowledged, sequence, length = struct.unpack(">QQH", plain[:18])
        message, zeros = plain[18 : 18 + length], plain[18 + length :]
        step = 128 if 18 + length < 1024 else 1024
        if len(message) < length or any(zeros) or len(plain) != -(-(18 + length) // step) * step or length > 32_768:
            raise Refused("a session message is not padded as it should be")
        if acknowledged >= self.next:
            raise Refused("what was never sent is acknowledged")
        before = len(self.unacknowledged)
        while self.unacknowledged and self.unacknowledged[0][0] <= acknowledged:
            self.unacknowledged.popleft()
        if len(self.unacknowledged) < before:
            self.pause = 1.0
            self.resend_at = time.monotonic() + self.pause if self.unacknowledged else None
        if sequence == 0:
            return ([(False, message)] if message else []), False
        if not message or sequence >= self.expected + WINDOW:
            raise Refused("an ordered message is empty or too far ahead")
        if sequence >= self.expected:
            self.early.setdefault(sequence, message)
        due = []
        while self.expected in self.early:
            due.append((True, self.early.pop(self.expected)))
            self.expected += 1
        return due, True


def noise_nonce(counter: int) -> bytes:
    """Noise revision 34, §12.3: 32 zero bits, then the counter in little-endian order."""
    return bytes(4) + counter.to_bytes(8, "little")
