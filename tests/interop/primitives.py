"""What docs/PROTOCOL.md writes in short: HKDF, HASH, SIGN, and fields one after the other."""

import hashlib
import hmac

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PREFIX = b"Conclave v1 "


class Refused(Exception):
    """Something that the protocol does not allow."""


def hkdf(ikm: bytes, salt: bytes, label: str) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt, PREFIX + label.encode()).derive(ikm)


def labelled(context: str, message: bytes) -> bytes:
    return PREFIX + context.encode() + b"\0" + message


def hash_of(context: str, message: bytes) -> bytes:
    return hashlib.sha256(labelled(context, message)).digest()


def sign(key: Ed25519PrivateKey, context: str, message: bytes) -> bytes:
    return key.sign(labelled(context, message))


def verify(public: bytes, context: str, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, labelled(context, message))
    except (InvalidSignature, ValueError):
        return False
    return True


def tag(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, "sha256").digest()[:16]


class Fields:
    """Bytes that are read from the front, and refused when something is missing or left over."""

    def __init__(self, data: bytes):
        self.data = data

    def take(self, count: int) -> bytes:
        if len(self.data) < count:
            raise Refused("a field is cut short")
        head, self.data = self.data[:count], self.data[count:]
        return head

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def text(self, least: int, most: int) -> str:
        length = self.number(2)
        if not least <= length <= most:
            raise Refused("a text is too long or too short")
        try:
            return self.take(length).decode()
        except UnicodeDecodeError as error:
            raise Refused("a text is not UTF-8") from error

    def name(self) -> str:
        name = self.text(1, 256)
        if len(name) > 64 or name != name.strip() or any(forbidden(sign) for sign in name):
            raise Refused("a text that is no name")
        return name

    def rest(self) -> bytes:
        rest, self.data = self.data, b""
        return rest

    def end(self) -> None:
        if self.data:
            raise Refused("something follows the last field")


def forbidden(sign: str) -> bool:
    """Control characters, and those that reorder or hide text."""
    point = ord(sign)
    ranges = [(0x2028, 0x202E), (0x2060, 0x206F), (0xFFF9, 0xFFFB), (0xE0000, 0xE007F)]
    single = {0x061C, 0x180E, 0x200B, 0x200E, 0x200F, 0xFEFF}
    return point < 0x20 or 0x7F <= point < 0xA0 or point in single or any(a <= point <= b for a, b in ranges)
