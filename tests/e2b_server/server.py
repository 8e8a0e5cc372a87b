"""The port that answers for the provider and for every sandbox, with its faults and its log."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.e2b_server.control_plane import ControlPlane, encoded
from tests.e2b_server.envd import Envd, RpcError, envelope, events_of
from tests.e2b_server.faults import Fault, Faults
from tests.e2b_server.interpreter import PORT, Interpreter
from tests.e2b_server.machines import Machine, Machines
from tests.e2b_server.request import Answer, Request

_STREAMS = ("/process.Process/Start", "/process.Process/Connect", "/process.Process/StreamInput")
_PIECE = 1 << 16


class E2BServer:
    """
    The provider, as a context manager.

    *log* is what it was asked, in order; *environment* what leads the SDK here.
    """

    def __init__(self) -> None:
        self.machines = Machines()
        self.control = ControlPlane(self.machines)
        self.faults = Faults()
        self.log: list[Request] = []
        self.interpreters: dict[str, Interpreter] = {}
        self._http = _Http(self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self.machines.end()

    def stop(self) -> None:
        """Answer nobody any more, as if the provider were gone; its sandboxes stay."""
        self._http.shutdown()
        self._http.server_close()
        self._http.cut_all()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make the SDK speak to this server."""
        url = f"http://127.0.0.1:{self._http.server_port}"
        return {
            "E2B_API_KEY": self.control.key,
            "E2B_API_URL": url,
            "E2B_SANDBOX_URL": url,
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def fail(self, match: str, **how: Any) -> None:
        """Let something go wrong with requests whose `METHOD path` matches *match*."""
        self.faults.add(Fault(match, **how))

    def asked(self, match: str) -> list[Request]:
        """Return the requests so far whose `METHOD path` matches *match*."""
        return [request for request in list(self.log) if re.search(match, request.name)]

    def answer(self, request: Request) -> Answer:
        """Answer a request that is no stream."""
        known = self.control.answer(request)
        if known is not None:
            return known
        machine = self.machine_of(request)
        if machine is None:
            return gone(request)
        if request.headers.get("E2b-Sandbox-Port") == PORT:
            return self._answer_of_interpreter(request, machine)
        return stranger(request, machine) or Envd(machine).answer(request)

    def _answer_of_interpreter(self, request: Request, machine: Machine) -> Answer:
        interpreter = self.interpreters.setdefault(machine.id, Interpreter(machine))
        if request.method == "DELETE":
            return interpreter.remove(request.path.rpartition("/")[2])
        if request.path == "/contexts":
            return 200, interpreter.create(request.json()), {}
        return 200, interpreter.execute(request.json()), {}

    def machine_of(self, request: Request) -> Machine | None:
        """Return the sandbox that a request is for, if it runs."""
        machine = self.machines.find(request.headers.get("E2b-Sandbox-Id", ""))
        if machine is None or machine.paused:
            return None
        return machine


def stranger(request: Request, machine: Machine) -> Answer | None:
    """Return the refusal of a request without the sandbox's own token."""
    if request.headers.get("X-Access-Token") == machine.token or request.path == "/health":
        return None
    return 401, {"code": "unauthenticated", "message": "the access token is wrong"}, {}


def gone(request: Request) -> Answer:
    """Return what the provider's proxy says for a sandbox that does not run."""
    name = request.headers.get("E2b-Sandbox-Id", "")
    return 502, {"sandboxId": name, "message": "The sandbox was not found", "code": 502}, {}


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    # Many requests at once must not wait for a retry of the kernel's.
    request_queue_size = 128

    def __init__(self, server: E2BServer) -> None:
        self.e2b = server
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that leave are what some tests are about."""

    def cut_all(self) -> None:
        """Cut every connection."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Http

    def do_GET(self) -> None:
        self._handle()

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815  (http.server's own names)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing; there is a log of our own."""

    def _handle(self) -> None:
        path, _, query = self.path.partition("?")
        request = Request(
            self.command, urllib.parse.unquote(path), query, self.headers, self._body()
        )
        e2b = self.server.e2b
        e2b.log.append(request)
        fault = e2b.faults.take(request.name)
        if fault is not None and fault.status is not None:
            time.sleep(fault.delay_s)
            self._send(fault.status, fault.body, {"Content-Type": "text/html"} | fault.headers)
        elif fault is not None and fault.drop == "before":
            self._cut()
        elif request.path in _STREAMS:
            self._stream(request, fault)
        else:
            status, body, headers = e2b.answer(request)
            if fault is not None:
                time.sleep(fault.delay_s)
                if fault.drop == "after":
                    self._cut()
                    return
            self._reply(status, body, headers)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _reply(self, status: int, body: Any, headers: dict[str, str]) -> None:
        if isinstance(body, Path):
            self._send_file(body)
            return
        if isinstance(body, Iterator):
            self._send_lines(body)
            return
        kind = {"Content-Type": "application/json"} if body is not None else {}
        self._send(status, encoded(body), kind | headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_file(self, path: Path) -> None:
        with path.open("rb") as file:
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(path.stat().st_size))
            self.end_headers()
            while piece := file.read(_PIECE):
                self.wfile.write(piece)

    def _send_lines(self, lines: Iterator[bytes | None]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in lines:
            if line is None:
                self._cut()
                return
            self._write_chunk(line)
        self._write_chunk(b"")

    def _stream(self, request: Request, fault: Fault | None) -> None:
        machine = self.server.e2b.machine_of(request)
        refused = gone(request) if machine is None else stranger(request, machine)
        if machine is None or refused is not None:
            self._reply(*(refused or gone(request)))
            return
        envd = Envd(machine)
        self.send_response(200)
        self.send_header("Content-Type", "application/connect+json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            if request.path.endswith("StreamInput"):
                envd.stream_input(request)
                self._chunks(envelope({}), envelope({}, flag=2))
                return
            begin = envd.start if request.path.endswith("Start") else envd.connect
            process, subscriber = begin(request)
        except RpcError as error:
            detail = {"error": {"code": error.code, "message": str(error)}}
            self._chunks(envelope(detail, flag=2))
            return
        try:
            self._follow(events_of(process, subscriber), fault)
        finally:
            process.unsubscribe(subscriber)

    def _follow(self, events: Iterator[bytes | None], fault: Fault | None) -> None:
        left = None if fault is None else fault.cut_after
        for event in events:
            if event is None or left == 0:
                self._cut()
                return
            self._write_chunk(event)
            left = None if left is None else left - 1
        self._write_chunk(b"")

    def _chunks(self, *pieces: bytes) -> None:
        for piece in (*pieces, b""):
            self._write_chunk(piece)

    def _write_chunk(self, piece: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
