"""One command inside the sandbox, from its request to its result.

Rule 1: the supervisor starts and ends it, as on any machine; no process of it is left behind.
Rule 2: the result is said when its output is said and what it changed is packed.

What the guest hears, a line each: `a N` (lines up to N have arrived), `r N` (say what came after
N again), `i AT DATA` (input from byte AT on, base64), `c` (its end), `e SIGNAL` (end the command),
`p` (we are here). Each may be said twice.
"""

from __future__ import annotations

# The plain socket type is enough, as it is for the supervisor.
import _socket
import base64
import errno
import json
import os
import select
import time

from adapters.e2b.guest.feed import Feed
from adapters.e2b.guest.outbox import Outbox
from adapters.supervisor import server, tree
from adapters.supervisor.messages import Channel, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_CHUNK = 1 << 16
_DRAIN_S = 0.5
_STEP_S = 0.25
_KILL = 9


class Job:
    """A command that *request* describes; *conclude* says what else belongs to the result."""

    def __init__(self, request: dict[str, Any], conclude: Callable[[], dict[str, Any]]) -> None:
        self._request = request
        self._conclude = conclude
        self._outbox = Outbox(1)
        self._feed = Feed() if request["stdin"] else None
        self._heard = b""
        self._last_heard = time.monotonic()
        self._deaf = False
        self._told = 0
        self._outputs: dict[int, str] = {}
        self._end: list[bytes] | None = None
        self._supervisor, self._channel = _start_supervisor()

    def run(self) -> None:
        """Execute it and stay until the result has arrived."""
        self._limit(self._request["memory_mb"])
        self._start()
        while self._end is None:
            self._step(_STEP_S)
        self._drain()
        left = tree.descendants(self._supervisor)
        if self._feed is not None:
            self._tell_taken(self._feed.taken)
        result = {**self._result(self._end), "left": left, **self._conclude()}
        self._outbox.say("x", base64.b64encode(json.dumps(result).encode()))
        while not self._outbox.is_empty and not self._is_forsaken():
            self._step(_STEP_S)
        self._channel.close()

    def _limit(self, memory_mb: int) -> None:
        self._await(b"hello")
        if memory_mb:
            self._channel.send(b"limit", b"%d" % memory_mb, b"")
            self._await(b"limited")

    def _await(self, kind: bytes) -> None:
        while True:
            for message in self._channel.receive() or [[b"gone"]]:
                if message[0] == kind:
                    return
                raise SystemExit(f"the supervisor said {message[0]!r}, not {kind!r}")

    def _start(self) -> None:
        request = self._request
        pairs = [os.pipe(), os.pipe()]
        self._outputs = {pairs[0][0]: "o", pairs[1][0]: "e"}
        given = [writable for _, writable in pairs]
        fed = [] if self._feed is None else [self._feed.descriptor]
        self._channel.send(
            b"run",
            decoded(request["executable"]),
            decoded(request["cwd"]),
            b"",
            pack([decoded(argument) for argument in request["argv"]]),
            pack([decoded(pair) for pair in request["env"]]),
            descriptors=[*given, *(fed or [os.open(os.devnull, os.O_RDONLY)])],
        )
        for descriptor in given:
            os.close(descriptor)

    def _step(self, patience_s: float) -> bool:
        """Wait for whatever comes first and do it; say whether anything came."""
        waiting = select.poll()
        if not self._deaf:
            waiting.register(0, select.POLLIN)
        if self._end is None:
            waiting.register(self._channel.fileno(), select.POLLIN)
        for descriptor in () if self._outbox.is_full else self._outputs:
            waiting.register(descriptor, select.POLLIN)
        if self._feed is not None and self._feed.wanted is not None and self._end is None:
            waiting.register(self._feed.wanted, select.POLLOUT)
        ready = waiting.poll(patience_s * 1000)
        for descriptor, _ in ready:
            if descriptor == 0:
                self._hear()
            elif descriptor in self._outputs:
                self._take(descriptor)
            elif descriptor == self._channel.fileno():
                self._attend()
            elif self._feed is not None:
                self._feed.proceed()
        if self._feed is not None and self._end is None:
            self._tell_taken(self._feed.taken)
        if self._is_forsaken() and self._end is None:
            self._channel.send(b"end", b"%d" % _KILL)
        return bool(ready)

    def _is_forsaken(self) -> bool:
        return self._deaf or time.monotonic() - self._last_heard > self._request["silence_s"]

    def _hear(self) -> None:
        data = os.read(0, _CHUNK)
        self._deaf = not data
        self._last_heard = time.monotonic()
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            self._obey(line)

    def _obey(self, line: bytes) -> None:
        kind, _, payload = line.partition(b" ")
        if kind == b"a":
            self._outbox.acknowledge(int(payload))
        elif kind == b"r":
            self._outbox.repeat(int(payload))
        elif kind == b"e" and self._end is None:
            self._channel.send(b"end", payload)
        elif kind == b"i" and self._feed is not None:
            at, _, data = payload.partition(b" ")
            self._feed.add(int(at), base64.b64decode(data))
        elif kind == b"c" and self._feed is not None:
            self._feed.end()

    def _tell_taken(self, taken: int) -> None:
        if taken > self._told:
            self._told = taken
            self._outbox.say("w", b"%d" % taken)

    def _take(self, descriptor: int) -> None:
        data = os.read(descriptor, _CHUNK)
        if data:
            self._outbox.say_output(self._outputs[descriptor], data)
        else:
            del self._outputs[descriptor]
            os.close(descriptor)

    def _attend(self) -> None:
        for message in self._channel.receive() or [[b"gone"]]:
            if message[0] == b"started":
                self._outbox.say("s", b"")
            else:
                self._end = message

    def _drain(self) -> None:
        """Take what is still in the pipes; whoever else holds them does not keep us long."""
        give_up = time.monotonic() + _DRAIN_S
        while self._outputs and not self._is_forsaken():
            full = self._outbox.is_full
            if self._step(_DRAIN_S / 4) or full:
                give_up = time.monotonic() + _DRAIN_S
            elif time.monotonic() > give_up:
                return

    def _result(self, end: list[bytes]) -> dict[str, Any]:
        if end[0] == b"ended":
            status, duration_us, cpu_us, peak_kb, kills = (int(field) for field in end[1:])
            code = os.waitstatus_to_exitcode(status)
            return {
                "kind": "ended",
                "exit_code": code if code >= 0 else None,
                "signal": -code if code < 0 else None,
                "duration_us": duration_us,
                "cpu_us": cpu_us,
                "peak_kb": peak_kb,
                "kills": kills,
            }
        if end[0] == b"failed":
            reason, message = self._why_not(end[1].decode(), int(end[2]))
            return {"kind": "failed", "reason": reason, "message": message}
        return {"kind": "lost", "message": "the supervisor in the sandbox is gone"}

    def _why_not(self, stage: str, number: int) -> tuple[str, str]:
        why = os.strerror(number)
        directory = os.fsdecode(decoded(self._request["cwd"]))
        executable = os.fsdecode(decoded(self._request["executable"]))
        if stage == "directory":
            return "failed", f"cannot enter directory {directory!r}: {why}"
        if stage != "executable":
            return "failed", f"cannot start {executable!r}: {why}"
        message = f"cannot execute {executable!r}: {why}"
        if number in (errno.EACCES, errno.ENOEXEC, errno.EPERM):
            return "not_executable", message
        if number == errno.ENOENT and os.path.exists(os.path.join(directory, executable)):
            return "not_executable", f"cannot execute {executable!r}: its interpreter is missing"
        return "not_found" if number in (errno.ENOENT, errno.ENOTDIR) else "failed", message


def decoded(text: str) -> bytes:
    """Return the bytes that *text* is the base64 of."""
    return base64.b64decode(text)


def _start_supervisor() -> tuple[int, Channel]:
    ours, its = _socket.socketpair()
    process = os.fork()
    if process == 0:
        try:
            ours.close()
            nothing = os.open(os.devnull, os.O_RDWR)
            for number in range(server.LIFELINE):
                os.dup2(nothing, number)
            os.dup2(its.detach(), server.LIFELINE)
            # Its commands stay the sandbox's ordinary user, who may call sudo(8): in a user
            # namespace of their own they could not.
            server.main("host")
        finally:
            os._exit(0)
    its.close()
    return process, Channel(ours)
