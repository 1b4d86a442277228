"""Invite links, docs/PROTOCOL.md §1."""

import base64
import hashlib
import ipaddress
import time
from dataclasses import dataclass

from primitives import Fields, Refused, hkdf


@dataclass
class Relay:
    tls: bool
    host: str
    port: int

    def shown(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 7770) else f"{host}:{self.port}"


@dataclass
class Invite:
    room_secret: bytes
    host_identity: bytes
    host_static: bytes
    secret: bytes
    relays: list[Relay]
    host_name: str | None

    @property
    def room_id(self) -> bytes:
        return hkdf(self.room_secret, b"", "room id")


def parse(link: str) -> Invite:
    link = "".join(link.split()).removeprefix("<").removesuffix(">")
    front, _, fragment = link.partition("#")
    scheme, _, authority = front.partition("://")
    if scheme.lower() not in ("conclave", "https"):
        raise Refused("not an invite link")
    try:
        payload = base64.urlsafe_b64decode(fragment + "=" * (-len(fragment) % 4))
    except ValueError as error:
        raise Refused("the link is mistyped") from error
    canonical = base64.urlsafe_b64encode(payload).decode().rstrip("=") == fragment
    body, checksum = payload[:-4], payload[-4:]
    if not canonical or int.from_bytes(body[1:3], "big") != len(payload) or hashlib.sha256(body).digest()[:4] != checksum:
        raise Refused("the link is mistyped")
    if body[0] != 1:
        raise Refused("the link has another version")
    fields = Fields(body[3:])
    flags = fields.number(1)
    if flags & ~0x03:
        raise Refused("an unknown flag")
    room_secret, identity, static, _id, secret = (fields.take(count) for count in (16, 32, 32, 8, 32))
    count = fields.number(1)
    if not 1 <= count <= 8:
        raise Refused("no relay, or too many")
    relays = [relay(fields) for _ in range(count)]
    if flags & 0x01 and fields.number(8) <= time.time():
        raise Refused("the link has expired")
    name = fields.name() if flags & 0x02 else None
    fields.end()
    host, _, _ = authority.partition("/")
    if host.lower() != relays[0].shown():
        raise Refused(f"the link shows {host} and leads to {relays[0].shown()}")
    return Invite(room_secret, identity, static, secret, relays, name)


def relay(fields: Fields) -> Relay:
    flags, port = fields.number(1), fields.number(2)
    match flags & 0x7F:
        case 0:
            host = fields.take(fields.number(1)).decode("ascii")
        case 1:
            host = str(ipaddress.IPv4Address(fields.take(4)))
        case 2:
            host = str(ipaddress.IPv6Address(fields.take(16)))
        case _:
            raise Refused("an unknown kind of address")
    if port == 0:
        raise Refused("a relay without a port")
    return Relay(bool(flags & 0x80), host, port)
