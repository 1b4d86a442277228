"""A WebSocket client (RFC 6455), as much of it as a relay needs: binary messages, pings answered, no extensions."""

import base64
import hashlib
import os
import select
import socket
import ssl
import struct

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
LONGEST = 70_000


class Closed(Exception):
    """The other side has ended the connection."""


class WebSocket:
    def __init__(self, host: str, port: int, path: str, tls: bool, timeout: float = 10):
        self.socket = socket.create_connection((host, port), timeout)
        if tls:
            self.socket = ssl.create_default_context().wrap_socket(self.socket, server_hostname=host)
        self.bytes = b""
        self.parts = b""
        key = base64.b64encode(os.urandom(16))
        name = f"[{host}]" if ":" in host else host
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key.decode()}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self.bytes:
            self._read()
        answer, self.bytes = self.bytes.split(b"\r\n\r\n", 1)
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        lines = answer.split(b"\r\n")
        fields = dict(line.split(b": ", 1) for line in lines[1:] if b": " in line)
        given = {name.lower(): value.strip() for name, value in fields.items()}
        if b" 101 " not in lines[0] or given.get(b"sec-websocket-accept") != accept:
            raise Closed(lines[0].decode(errors="replace"))

    def _read(self) -> None:
        got = self.socket.recv(65_536)
        if not got:
            raise Closed("the relay hung up")
        self.bytes += got

    def send(self, payload: bytes, kind: int = BINARY) -> None:
        mask = os.urandom(4)
        length = len(payload)
        if length < 126:
            head = struct.pack(">BB", 0x80 | kind, 0x80 | length)
        elif length < 65_536:
            head = struct.pack(">BBH", 0x80 | kind, 0x80 | 126, length)
        else:
            head = struct.pack(">BBQ", 0x80 | kind, 0x80 | 127, length)
        masked = (int.from_bytes(payload, "big") ^ int.from_bytes((mask * (length // 4 + 1))[:length], "big")).to_bytes(length, "big")
        self.socket.sendall(head + mask + masked)

    def receive(self, within: float) -> bytes | None:
        """The next binary message; None when there is none within so many seconds."""
        while True:
            frame = self._frame()
            if frame is None:
                pending = self.socket.pending() if isinstance(self.socket, ssl.SSLSocket) else 0
                if not pending and not select.select([self.socket], [], [], max(0, within))[0]:
                    return None
                self._read()
                continue
            last, kind, payload = frame
            if kind == PING:
                self.send(payload, PONG)
            elif kind == CLOSE:
                raise Closed("the relay closed the connection")
            elif kind in (BINARY, CONTINUATION):
                self.parts += payload
                if last:
                    whole, self.parts = self.parts, b""
                    return whole

    def _frame(self) -> tuple[bool, int, bytes] | None:
        if len(self.bytes) < 2:
            return None
        first, length = self.bytes[0], self.bytes[1] & 0x7F
        at = 2
        if length >= 126:
            size = 2 if length == 126 else 8
            if len(self.bytes) < 2 + size:
                return None
            length, at = int.from_bytes(self.bytes[2 : 2 + size], "big"), 2 + size
        if length > LONGEST:
            raise Closed("a frame longer than any")
        if len(self.bytes) < at + length:
            return None
        payload, self.bytes = self.bytes[at : at + length], self.bytes[at + length :]
        return bool(first & 0x80), first & 0x0F, payload

    def close(self) -> None:
        self.socket.close()
