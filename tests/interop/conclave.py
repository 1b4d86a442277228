"""The Conclave handshake, written from its description and built on packages the Rust side does not use.

Everything goes over standard input and output as lines of hexadecimal digits, so that the test can stand in for the
relay.
"""

import hashlib
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from noise.connection import Keypair, NoiseConnection

NOISE_NAME = b"Noise_XKpsk0+psk2_25519_ChaChaPoly_SHA256"
CIPHERTEXT_LENGTH = 1088


def receive() -> bytes:
    line = sys.stdin.readline()
    if not line:
        sys.exit("the other side hung up")
    return bytes.fromhex(line.strip())


def send(data: bytes) -> None:
    print(bytes(data).hex(), flush=True)


def fresh_static() -> tuple[bytes, bytes]:
    """A private X25519 key and its public half."""
    key = X25519PrivateKey.generate()
    private = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return private, key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def noise(prologue: bytes, psk0: bytes, private: bytes) -> NoiseConnection:
    connection = NoiseConnection.from_name(NOISE_NAME)
    connection.set_prologue(prologue)
    # The second place is filled in once ML-KEM has given its secret.
    connection.set_psks(psks=[psk0, bytes(32)])
    connection.set_keypair_from_private_bytes(Keypair.STATIC, private)
    return connection


def mix_kem(connection: NoiseConnection, prologue: bytes, shared: bytes, ek: bytes, ct: bytes) -> None:
    """psk2, in the place of the pre-shared key that has not been used yet."""
    salt = b"".join(hashlib.sha256(part).digest() for part in (ek, ct, prologue))
    psk2 = HKDF(hashes.SHA256(), 32, salt, b"Conclave v1 psk2").derive(shared)
    connection.noise_protocol.psks = [psk2]


def talk(connection: NoiseConnection) -> None:
    """Three messages each way: what comes is shown in the clear, and answered with its bytes reversed."""
    for nonce in range(3):
        message = receive()
        if message[:8] != nonce.to_bytes(8, "big"):
            sys.exit(f"nonce {message[:8].hex()} where {nonce} is due")
        text = bytes(connection.decrypt(message[8:]))
        send(text)
        send(nonce.to_bytes(8, "big") + bytes(connection.encrypt(text[::-1])))
