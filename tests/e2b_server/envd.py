"""What runs inside a sandbox and answers for it: files, processes, the file system.

The interface is Connect with JSON messages; streams are envelopes of one flag byte, a length of
four bytes (big-endian) and the message (connectrpc.com/docs/protocol).
"""

from __future__ import annotations

import base64
import gzip
import os
import shutil
import signal
import stat
import struct
import urllib.parse
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import HTTP
from pathlib import Path
from typing import Any

from tests.e2b_server.control_plane import encoded, refusal
from tests.e2b_server.machines import Machine
from tests.e2b_server.processes import Process, Subscriber
from tests.e2b_server.request import Answer, Request

_STATUS = {"invalid_argument": 400, "not_found": 404, "already_exists": 409, "unimplemented": 501}


class RpcError(Exception):
    """An error that the Connect protocol has a *code* for."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Envd:
    """Answers for one sandbox."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def answer(self, request: Request) -> Answer:
        """Answer everything that is no stream."""
        if request.path == "/health":
            return 204, None, {}
        if request.path == "/files":
            return self._files(request)
        service, _, method = request.path.strip("/").partition("/")
        calls = {"process.Process": self._process, "filesystem.Filesystem": self._filesystem}
        try:
            return 200, calls[service](method, request.json()), {}
        except KeyError:
            return 404, {"code": "unimplemented", "message": request.path}, {}
        except RpcError as error:
            return _STATUS[error.code], {"code": error.code, "message": str(error)}, {}
        except FileNotFoundError as error:
            return 404, {"code": "not_found", "message": str(error)}, {}

    # ---- files ------------------------------------------------------------------------------

    def _files(self, request: Request) -> Answer:
        query = urllib.parse.parse_qs(request.query)
        path = query.get("path", [None])[0]
        if request.method == "GET":
            assert path is not None
            return self._download(self._machine.path(path))
        return 200, [self._store(*pair) for pair in _uploaded(request, path)], {}

    def _download(self, path: Path) -> Answer:
        if path.is_dir():
            return refusal(400, f"path '{path}' is a directory")
        if not path.exists():
            return refusal(404, f"path '{path}' does not exist")
        return 200, path, {}

    def _store(self, name: str, data: bytes) -> dict[str, str]:
        path = self._machine.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return {"path": str(path), "name": path.name, "type": "file"}

    # ---- processes --------------------------------------------------------------------------

    def start(self, request: Request) -> tuple[Process, Subscriber]:
        """Start a process, with a first listener to it."""
        wanted = request.message()
        config = wanted["process"]
        if config.get("cwd") and not Path(config["cwd"]).is_dir():
            raise RpcError("invalid_argument", f"cwd '{config['cwd']}' does not exist")
        stdin = wanted.get("stdin", True)
        try:
            process = Process(config, self._machine.home, stdin=stdin)
        except FileNotFoundError as error:
            raise RpcError("invalid_argument", str(error)) from error
        self._machine.processes[process.pid] = process
        subscriber = process.subscribe()
        process.begin()
        return process, subscriber

    def connect(self, request: Request) -> tuple[Process, Subscriber]:
        """Listen to a process that runs."""
        process = self._selected(request.message())
        return process, process.subscribe()

    def _selected(self, body: dict[str, Any]) -> Process:
        number = body["process"]["pid"]
        process = self._machine.processes.get(number)
        if process is None or not process.is_running():
            raise RpcError("not_found", f"process with pid {number} not found")
        return process

    def _process(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "List":
                running = [p for p in self._machine.processes.values() if p.is_running()]
                return {"processes": [{"config": p.config, "pid": p.pid} for p in running]}
            case "SendSignal":
                number = signal.Signals[body["signal"].removeprefix("SIGNAL_")]
                self._selected(body).signal(number)
            case "SendInput":
                self._selected(body).write(base64.b64decode(body["input"]["stdin"]))
            case "CloseStdin":
                self._selected(body).close_input()
            case _:
                raise RpcError("unimplemented", method)
        return {}

    def stream_input(self, request: Request) -> None:
        """Give a process the input of a whole stream of messages."""
        first, *rest = list(request.messages())
        process = self._selected(first["start"])
        for message in rest:
            process.write(base64.b64decode(message["data"]["input"]["stdin"]))

    # ---- the file system --------------------------------------------------------------------

    def _filesystem(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        path = self._machine.path(body.get("path", body.get("source", "")))
        match method:
            case "Stat":
                return {"entry": _entry(path)}
            case "ListDir":
                return {"entries": [_entry(p) for p in _below(path, body.get("depth", 1))]}
            case "MakeDir":
                if path.exists():
                    raise RpcError("already_exists", str(path))
                path.mkdir(parents=True)
                return {"entry": _entry(path)}
            case "Move":
                target = self._machine.path(body["destination"])
                path.rename(target)
                return {"entry": _entry(target)}
            case "Remove":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                return {}
            case _:
                raise RpcError("unimplemented", method)


def events_of(process: Process, subscriber: Subscriber) -> Iterator[bytes | None]:
    """Yield the envelopes of a process's stream; `None` if it is to break off."""
    yield envelope({"event": {"start": {"pid": process.pid}}})
    for event in subscriber.events():
        if event is None:
            yield None
            return
        kind, value = event
        if kind == "keepalive":
            yield envelope({"event": {"keepalive": {}}})
        elif kind == "end":
            yield envelope({"event": {"end": _ended(value)}})
        else:
            yield envelope({"event": {"data": {kind: base64.b64encode(value).decode()}}})
    yield envelope({}, flag=2)


def envelope(message: dict[str, Any], flag: int = 0) -> bytes:
    """Return one message of a stream; *flag* 2 is its end."""
    body = encoded(message)
    return struct.pack(">BI", flag, len(body)) + body


def _ended(code: int) -> dict[str, Any]:
    if code < 0:
        words = f"signal: {signal.strsignal(-code)}".lower()
        return {"exitCode": -1, "exited": False, "status": words, "error": words}
    if code == 0:
        return {"exited": True, "status": "exit status 0"}
    words = f"exit status {code}"
    return {"exitCode": code, "exited": True, "status": words, "error": words}


def _uploaded(request: Request, path: str | None) -> Iterator[tuple[str, bytes]]:
    body = request.body
    if request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    kind = request.headers.get("Content-Type", "")
    if not kind.startswith("multipart/form-data"):
        assert path is not None
        yield path, body
        return
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    for part in message_from_bytes(head + body, policy=HTTP).iter_parts():
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        yield path or str(part.get_filename()), content


def _below(path: Path, depth: int) -> Iterator[Path]:
    for child in sorted(path.iterdir()):
        yield child
        if depth > 1 and child.is_dir() and not child.is_symlink():
            yield from _below(child, depth - 1)


def _entry(path: Path) -> dict[str, Any]:
    state = os.lstat(path)
    kinds = {stat.S_IFDIR: "DIRECTORY", stat.S_IFLNK: "SYMLINK"}
    kind = kinds.get(stat.S_IFMT(state.st_mode), "FILE")
    return {
        "name": path.name,
        "type": f"FILE_TYPE_{kind}",
        "path": str(path),
        "size": str(state.st_size),
        "mode": stat.S_IMODE(state.st_mode),
        "permissions": stat.filemode(state.st_mode),
        "owner": "user",
        "group": "user",
    }
