"""One command under a supervisor, from its start to its end: its streams, its limits, its outcome.

Rule 1: output is handed on as it comes, in bounded memory; nothing waits for anything but the
command and who takes its output.
Rule 2: a time limit or a cancellation ends the whole tree: SIGTERM, a grace, SIGKILL.
Rule 3: whatever goes wrong here, the command does not outlive it.
"""

from __future__ import annotations

import errno
import os
import select
import time
from collections.abc import Callable

from adapters.standard_input import HandedInput, PipedInput, open_input
from adapters.supervision import Supervisor, SupervisorGone
from adapters.supervisor.messages import pack
from ledger.outcomes import Cancelled, Executed, Lost, NotStarted, Outcome, TimedOut, Usage
from ledger.ports import Cancellation, Command

_CHUNK = 1 << 16
_GRACE_S = 0.75
_KILL_S = 10.0
_DRAIN_S = 0.5
# After the drain's time one pipe's content is taken, even from a writer that never stops.
_LAST_BYTES = 1 << 20
_TERM, _KILL = 15, 9


class Execution:
    """One command; `run` it once."""

    def __init__(
        self, supervisor: Supervisor, command: Command, cancellation: Cancellation | None
    ) -> None:
        self._supervisor = supervisor
        self._command = command
        self._cancellation = cancellation
        self._input: PipedInput | HandedInput | None = None
        self._ending: str | None = None
        self._signals = [_KILL, _TERM]
        self._deadline = float("inf")
        self._began = 0.0
        self._outputs: dict[int, Callable[[bytes], None]] = {}
        self._end: list[bytes] | None = None
        # Descriptors that are the supervisor's once they are sent.
        self._lent: list[int] = []

    def run(self) -> Outcome:
        """
        Return how the command ended.

        An error of the caller's own callbacks ends the command and is raised.
        """
        command = self._command
        if self._is_cancelled():
            return Cancelled(usage=Usage(duration_us=0), signal=self._asked_by())
        try:
            request = self._request(encode(command))
            self._input = open_input(command.stdin)
        except (ValueError, OSError) as error:
            self._release()
            return NotStarted(reason="failed", message=f"cannot start command: {error}")
        try:
            return self._follow(request)
        except BaseException:
            self._stop()
            raise
        finally:
            self._release()

    def _request(self, fields: list[bytes]) -> list[bytes]:
        """Return what the supervisor is to run, for the command's own *fields*."""
        return fields

    def _arrange(self, out: int, err: int, given: list[int]) -> list[int]:
        """Return the descriptors that go with the request, in the order it has them."""
        return [out, err, *given]

    def _follow(self, request: list[bytes]) -> Outcome:
        try:
            self._start(request)
            while self._end is None:
                self._step()
            outcome = self._outcome(self._end)
        except SupervisorGone as gone:
            self._supervisor.abandon()
            outcome = Lost(message=f"cannot tell how the command ended: {gone}")
        self._drain()
        if self._input is not None:
            self._input.finish()
        return outcome

    def _start(self, request: list[bytes]) -> None:
        pairs = [os.pipe(), os.pipe()]
        self._outputs = {
            pairs[0][0]: self._command.stdout,
            pairs[1][0]: self._command.stderr,
        }
        out, err = (writable for _, writable in pairs)
        self._lent += [out, err]
        given = [] if self._input is None else [self._input.descriptor]
        self._began = time.monotonic()
        if self._command.time_limit_s is not None:
            self._deadline = self._began + self._command.time_limit_s
        descriptors = self._arrange(out, err, given)
        self._command.started((self._supervisor.process,))
        try:
            self._supervisor.send(b"run", *request, descriptors=descriptors)
        finally:
            self._release_lent()

    def _step(self) -> None:
        """Wait for whatever comes first and do it."""
        waiting = select.poll()
        waiting.register(self._supervisor.fileno(), select.POLLIN)
        for descriptor in self._outputs:
            waiting.register(descriptor, select.POLLIN)
        if self._cancellation is not None and self._ending is None:
            waiting.register(self._cancellation.fileno(), select.POLLIN)
        wanted = [] if self._input is None else self._input.wanted()
        if wanted:
            waiting.register(*wanted)
        for descriptor, _ in waiting.poll(self._patience()):
            if descriptor in self._outputs:
                self._take(descriptor)
            elif descriptor == self._supervisor.fileno():
                self._hear()
            elif wanted and descriptor == wanted[0] and self._input is not None:
                self._input.proceed()
            elif self._ending is None:
                self._ending = "cancelled"
                self._press()
        if time.monotonic() >= self._deadline and self._end is None:
            self._ending = self._ending or "timed out"
            self._press()

    def _patience(self) -> int | None:
        """Return milliseconds until the deadline, rounded up; `None` for no limit."""
        if self._deadline == float("inf"):
            return None
        # A C int holds 24 days; a longer limit is waited for in pieces.
        return min(max(0, int((self._deadline - time.monotonic()) * 1000) + 1), 1 << 30)

    def _press(self) -> None:
        """Send the next harder signal to the tree."""
        if not self._signals:
            raise SupervisorGone("its processes cannot be ended")
        number = self._signals.pop()
        self._supervisor.send(b"end", b"%d" % number)
        self._deadline = time.monotonic() + (_GRACE_S if number == _TERM else _KILL_S)

    def _take(self, descriptor: int) -> None:
        data = os.read(descriptor, _CHUNK)
        if data:
            self._outputs[descriptor](data)
        else:
            del self._outputs[descriptor]
            os.close(descriptor)

    def _hear(self) -> None:
        for message in self._supervisor.receive():
            match message:
                case [b"started", process]:
                    self._command.started((self._supervisor.process, int(process)))
                case [b"ended", _, _, _, _, _] | [b"failed", _, _] if self._end is None:
                    self._end = message
                    self._supervisor.forget_command()
                case _:
                    raise SupervisorGone("the supervisor cannot be understood")

    def _drain(self) -> None:
        """Take what is still in the pipes; whoever else holds them does not keep us long."""
        give_up = time.monotonic() + _DRAIN_S
        last = _LAST_BYTES
        while self._outputs and last > 0:
            patience = max(0.0, give_up - time.monotonic())
            waiting = select.poll()
            for descriptor in self._outputs:
                waiting.register(descriptor, select.POLLIN)
            ready = waiting.poll(patience * 1000)
            if not ready:
                return
            for descriptor, _ in ready:
                self._take(descriptor)
                last -= _CHUNK if patience == 0.0 else 0

    def _outcome(self, end: list[bytes]) -> Outcome:
        try:
            if end[0] == b"failed":
                return self._not_started(end[1].decode(), int(end[2]))
            status, duration_us, cpu_us, peak_kb, kills = (int(field) for field in end[1:])
        except ValueError as error:
            raise SupervisorGone("the supervisor cannot be understood") from error
        usage = Usage(duration_us=duration_us, cpu_us=cpu_us, peak_memory_kb=peak_kb)
        return self._ended(status, usage, kills)

    def _ended(self, status: int, usage: Usage, kills: int) -> Outcome:
        """Return what a wait *status* means, and *kills* by the memory limit (waitpid(2))."""
        if self._ending == "timed out":
            return TimedOut(usage=usage)
        if self._ending == "cancelled":
            return Cancelled(usage=usage, signal=self._asked_by())
        code = os.waitstatus_to_exitcode(status)
        return Executed(
            usage=usage,
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            killed_by_memory_limit=kills > 0,
        )

    def _not_started(self, stage: str, number: int) -> NotStarted:
        why = os.strerror(number)
        if stage == "directory":
            where = os.fspath(self._command.cwd)
            return NotStarted(reason="failed", message=f"cannot enter directory {where!r}: {why}")
        executable = self._command.executable
        if stage != "executable":
            return NotStarted(reason="failed", message=f"cannot start {executable!r}: {why}")
        message = f"cannot execute {executable!r}: {why}"
        if number in (errno.EACCES, errno.ENOEXEC, errno.EPERM):
            return NotStarted(reason="not_executable", message=message)
        if number == errno.ENOENT and self._has_executable():
            message = f"cannot execute {executable!r}: its interpreter is missing"
            return NotStarted(reason="not_executable", message=message)
        missing = number in (errno.ENOENT, errno.ENOTDIR)
        return NotStarted(reason="not_found" if missing else "failed", message=message)

    def _has_executable(self) -> bool:
        """Say whether the file that could not be executed is there."""
        return os.path.exists(os.path.join(self._command.cwd, self._command.executable))

    def _is_cancelled(self) -> bool:
        if self._cancellation is None:
            return False
        waiting = select.poll()
        waiting.register(self._cancellation.fileno(), select.POLLIN)
        return bool(waiting.poll(0))

    def _asked_by(self) -> int | None:
        return None if self._cancellation is None else self._cancellation.signal

    def _stop(self) -> None:
        """End the command after an error that is not its own; its output is let go."""
        self._release_outputs()
        give_up = time.monotonic() + _KILL_S
        try:
            if self._end is None:
                self._supervisor.send(b"end", b"%d" % _KILL)
            while self._end is None and self._supervisor.has_news(give_up - time.monotonic()):
                self._hear()
        except SupervisorGone:
            self._end = None
        if self._end is None:
            self._supervisor.abandon()

    def _release_outputs(self) -> None:
        for descriptor in self._outputs:
            os.close(descriptor)
        self._outputs = {}

    def _release_lent(self) -> None:
        for descriptor in self._lent:
            os.close(descriptor)
        self._lent = []

    def _release(self) -> None:
        self._release_outputs()
        self._release_lent()
        if self._input is not None:
            self._input.discard()


def encode(command: Command) -> list[bytes]:
    """
    Return executable, directory, marks, packed arguments and packed environment of a command.

    Raises `ValueError` for what no command can be given.
    """
    if not command.argv:
        raise ValueError("no argument, not even its name")
    arguments = [os.fsencode(argument) for argument in command.argv]
    pairs = []
    for name, value in command.env.items():
        if not name or "=" in name:
            raise ValueError(f"environment variable {name!r} cannot be named so")
        pairs.append(os.fsencode(name) + b"=" + os.fsencode(value))
    executable, directory = os.fsencode(command.executable), os.fsencode(command.cwd)
    if any(b"\0" in text for text in (executable, directory, *arguments, *pairs)):
        raise ValueError("a text with a NUL character")
    terminal = command.stdin is not None and command.stdin.terminal
    mark = b"terminal" if terminal else b""
    return [executable, directory, mark, pack(arguments), pack(pairs)]
