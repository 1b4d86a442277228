"""The guest's side: speaks first, knows the host's static key."""

from conclave import CIPHERTEXT_LENGTH, fresh_static, mix_kem, noise, receive, send, talk
from kyber_py.ml_kem import ML_KEM_768
from noise.connection import Keypair

prologue, psk0, host_static = receive(), receive(), receive()
private, public = fresh_static()
send(public)

connection = noise(prologue, psk0, private)
connection.set_as_initiator()
connection.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, host_static)
connection.start_handshake()

ek, dk = ML_KEM_768.keygen()
send(connection.write_message(ek))

second = receive()
ct, message = second[:CIPHERTEXT_LENGTH], second[CIPHERTEXT_LENGTH:]
mix_kem(connection, prologue, ML_KEM_768.decaps(dk, ct), ek, ct)
if connection.read_message(message) != b"":
    raise SystemExit("message 2 has a payload")

send(connection.write_message(b""))
send(connection.get_handshake_hash())
talk(connection)
