"""One TCP transfer without end, as a download beside the call.

    bulk.py receive ADDRESS PORT      bulk.py send ADDRESS PORT
"""

import socket
import sys
import time


def main() -> None:
    """Runs one side until it is ended."""
    role, place = sys.argv[1], (sys.argv[2], int(sys.argv[3]))
    if role == "receive":
        with socket.create_server(place) as server:
            connection, _ = server.accept()
            while connection.recv(1 << 16):
                pass
        return
    for _ in range(100):
        try:
            connection = socket.create_connection(place)
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
    else:
        raise SystemExit("nobody takes the transfer")
    while True:
        connection.sendall(bytes(1 << 16))


if __name__ == "__main__":
    main()
