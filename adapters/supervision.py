"""Our end of the lifeline: starts a supervisor process, speaks with it, and ends it.

Rule 1: nothing but our end of the socket keeps the supervisor alive; it needs no thread of ours,
and no other process of ours inherits that end.
Rule 2: a supervisor that dies, or says what is no answer, is `SupervisorGone`; what it ran is
then ended from here as far as it can be found.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from adapters.supervisor import tree
from adapters.supervisor.limits import remove_group
from adapters.supervisor.messages import Channel, unpack

_START = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from supervisor.server import main; main(sys.argv[2])"
)
_LIFELINE = 3
_SILENCE_S = 30.0
_END_S = 6.0
_BLOCKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class SupervisorGone(Exception):
    """The supervisor died or answered nonsense; never leaves the sandbox adapters."""


class Supervisor:
    """
    A supervisor process.

    *own_processes* of `False` forgoes a process namespace even where there could be one.

    Raises `OSError` if the process cannot be started.
    """

    def __init__(self, *, own_processes: bool = True) -> None:
        ours, its = socket.socketpair()
        try:
            self._process = _spawn(its.fileno(), "any" if own_processes else "host")
        except OSError:
            ours.close()
            raise
        finally:
            its.close()
        ours.settimeout(_SILENCE_S)
        self._connection = ours
        self._channel = Channel(ours)
        self._messages: list[list[bytes]] = []
        self._status: int | None = None
        self._closed = False
        self._command: tuple[int, int | None] | None = None
        self._groups: list[str] = []

    @property
    def process(self) -> int:
        """The process id of the supervisor."""
        return self._process

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when it has something to say."""
        return self._connection.fileno()

    def send(self, *fields: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send one message; raises `SupervisorGone`."""
        try:
            self._channel.send(*fields, descriptors=descriptors)
        except OSError as error:
            raise SupervisorGone(self._fate()) from error

    def receive(self) -> list[list[bytes]]:
        """Return what it says, after waiting if need be; raises `SupervisorGone`."""
        try:
            messages = self._channel.receive()
        except (OSError, ValueError) as error:
            raise SupervisorGone(f"the supervisor cannot be understood: {error}") from error
        if messages is None:
            raise SupervisorGone(self._fate())
        for message in messages:
            if message[:1] == [b"started"]:
                self._note_command(message)
        return messages

    def has_news(self, patience_s: float) -> bool:
        """Say whether `receive` would return within *patience_s* seconds."""
        return _is_ready(self.fileno(), patience_s)

    def answer(self, kind: bytes, count: int, patience_s: float) -> list[bytes]:
        """Return the *count* fields of the next message, which is a *kind*, or `SupervisorGone`."""
        give_up = time.monotonic() + patience_s
        while not self._messages:
            if not self.has_news(give_up - time.monotonic()):
                raise SupervisorGone(f"the supervisor is silent after {patience_s:g} s")
            self._messages = self.receive()
        message = self._messages.pop(0)
        if message[:1] != [kind] or len(message) != count + 1:
            raise SupervisorGone(f"the supervisor cannot be understood: no {kind.decode()}")
        return message[1:]

    def note_groups(self, packed: bytes) -> None:
        """Note the control groups that it made, to remove them if it cannot."""
        try:
            self._groups = [os.fsdecode(path) for path in unpack(packed)]
        except ValueError as error:
            raise SupervisorGone("the supervisor cannot be understood: no groups") from error

    def _note_command(self, message: list[bytes]) -> None:
        try:
            process = int(message[1])
        except (IndexError, ValueError) as error:
            raise SupervisorGone("the supervisor cannot be understood: no process") from error
        self.forget_command()
        handle = None
        if hasattr(os, "pidfd_open"):
            try:
                handle = os.pidfd_open(process)
            except OSError:
                handle = None
        self._command = (process, handle)

    def forget_command(self) -> None:
        """Note that the command has ended."""
        if self._command is not None and self._command[1] is not None:
            os.close(self._command[1])
        self._command = None

    def end(self) -> bool:
        """End it and all that it runs, and say whether it is gone; ending twice is ending once."""
        if not self._closed:
            self._closed = True
            self.forget_command()
            self._channel.close()
        if not self._has_ended(_END_S):
            self._kill()
        return self._has_ended(_END_S) and self._remove_groups()

    def abandon(self) -> None:
        """End one that is gone or cannot be trusted, and what of its command can be found."""
        command, self._command = self._command, None
        self._closed = True
        self._channel.close()
        # Without the lifeline it ends its command by itself, if it still can.
        if not self._has_ended(1.0):
            self._kill()
        self._has_ended(1.0)
        if command is not None:
            _end_command(*command)
        self._remove_groups()

    def _remove_groups(self) -> bool:
        give_up = time.monotonic() + 1.0
        while self._groups and time.monotonic() < give_up:
            self._groups = [path for path in self._groups if not remove_group(path)]
            if self._groups:
                time.sleep(0.005)
        return not self._groups

    def _kill(self) -> None:
        if self._status is None:
            try:
                os.kill(self._process, signal.SIGKILL)
            except ProcessLookupError:
                self._status = 0

    def _has_ended(self, patience_s: float) -> bool:
        give_up = time.monotonic() + patience_s
        pause = 0.0005
        while self._status is None:
            try:
                process, status = os.waitpid(self._process, os.WNOHANG)
            except ChildProcessError:
                process, status = self._process, 0
            if process:
                self._status = status
            elif time.monotonic() > give_up:
                return False
            else:
                time.sleep(pause)
                pause = min(2 * pause, 0.01)
        return True

    def _fate(self) -> str:
        if not self._has_ended(1.0) or self._status is None:
            return "the supervisor no longer answers"
        code = os.waitstatus_to_exitcode(self._status)
        if code < 0:
            return f"the supervisor was ended by signal {-code}"
        return f"the supervisor ended with exit code {code}"


def _is_ready(descriptor: int, patience_s: float) -> bool:
    """Say whether *descriptor* becomes readable within *patience_s* seconds."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(max(0.0, patience_s) * 1000))


def _spawn(descriptor: int, processes: str) -> int:
    """Start the program with *descriptor* as its lifeline and nothing else of ours."""
    here = str(Path(__file__).resolve().parent)
    arguments = [sys.executable, "-I", "-S", "-c", _START, here, processes]
    # Out of the way of 0 to 3: we may have been started without standard streams.
    source = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _LIFELINE + 1)
    kept = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    try:
        return os.posix_spawn(
            sys.executable,
            arguments,
            {name: os.environ[name] for name in kept if name in os.environ},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, source, _LIFELINE),
                *((os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0) for number in range(3)),
            ],
            setsigmask=_BLOCKED,
            setsigdef=sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}),
        )
    finally:
        os.close(source)


def _end_command(process: int, handle: int | None) -> None:
    """Kill what is left of a command whose supervisor is gone."""
    if handle is not None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        _is_ready(handle, 2.0)
        os.close(handle)
    for member, _, session in list(tree.processes()):
        # A session keeps its leader's id from being given away while it has members.
        if session == process:
            try:
                os.kill(member, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
