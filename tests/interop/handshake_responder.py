"""The host's side: answers, and learns the guest's static key from message 3."""

from conclave import fresh_static, mix_kem, noise, receive, send, talk
from kyber_py.ml_kem import ML_KEM_768

prologue, psk0 = receive(), receive()
private, public = fresh_static()
send(public)

connection = noise(prologue, psk0, private)
connection.set_as_responder()
connection.start_handshake()
handshake = connection.noise_protocol.handshake_state

ek = bytes(connection.read_message(receive()))
shared, ct = ML_KEM_768.encaps(ek)
mix_kem(connection, prologue, shared, ek, ct)
send(ct + bytes(connection.write_message(b"")))

if connection.read_message(receive()) != b"":
    raise SystemExit("message 3 has a payload")
send(connection.get_handshake_hash())
send(handshake.rs.public_bytes)
talk(connection)
