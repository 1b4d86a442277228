"""Serves the page from loopback, which makes it a secure origin, and keeps what the page hands over.

    page_server.py PAGE FOLDER      prints its port, then serves until it is ended
"""

import http.server
import sys
from pathlib import Path
from urllib.parse import urlparse


class Handler(http.server.BaseHTTPRequestHandler):
    """GET gives the page; POST /NAME keeps the body as a file of that name."""

    page: Path
    folder: Path
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # noqa: N802 (the library's name)
        """The page."""
        body = self.page.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:  # noqa: N802 (the library's name)
        """What is kept."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        (self.folder / Path(urlparse(self.path).path).name).write_bytes(body)
        self.send_response(204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""


def main() -> None:
    """Runs the server."""
    Handler.page, Handler.folder = Path(sys.argv[1]), Path(sys.argv[2])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
