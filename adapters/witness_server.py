"""A witness over HTTP, for an auditor to host: `POST /add-checkpoint`, and nothing else.

Rule 1: what it signs is decided in `ledger.witness`. Here is only HTTP.
Rule 2: a request is bounded in size and in time; whoever sends more is answered and dropped.
"""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from ledger.errors import StoreError
from ledger.witness import Answer, Witness

# More than a proof of 63 hashes and a note with many signatures have.
MOST_BYTES = 64 * 1024
_SECONDS = 10.0


class WitnessServer(ThreadingHTTPServer):
    """Serves *witness* at *host* and *port* (0: any free one); `url` is where."""

    daemon_threads = True

    def __init__(self, witness: Witness, host: str, port: int) -> None:
        super().__init__((host, port), _Handler)
        self.witness = witness

    @property
    def url(self) -> str:
        """The submission prefix, as `gesta witness add` wants it."""
        host, port = self.server_address[:2]
        shown = host.decode() if isinstance(host, bytes) else host
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"


class _Handler(BaseHTTPRequestHandler):
    server: WitnessServer
    protocol_version = "HTTP/1.1"
    timeout: ClassVar[float] = _SECONDS

    def do_POST(self) -> None:
        """Answer one request."""
        length = self.headers.get("Content-Length", "")
        if self.path != "/add-checkpoint":
            self._answer(Answer(404, "text/plain", b"there is only /add-checkpoint here\n"))
        elif not (length.isascii() and length.isdigit()):
            self._answer(Answer(411, "text/plain", b"a length is required\n"), close=True)
        elif int(length) > MOST_BYTES:
            self._answer(Answer(413, "text/plain", b"the request is too large\n"), close=True)
        else:
            self._answer(self._ask(self.rfile.read(int(length))))

    def _ask(self, body: bytes) -> Answer:
        try:
            return self.server.witness.add_checkpoint(body)
        except StoreError as error:
            # What could not be remembered was not signed.
            return Answer(500, "text/plain; charset=utf-8", f"{error}\n".encode())

    def _answer(self, answer: Answer, *, close: bool = False) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.type)
        self.send_header("Content-Length", str(len(answer.body)))
        if close:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: what was signed is remembered, and who asks is nobody's business."""
