"""One command in a container, from its start to its end: its streams, its limits, its outcome.

Rule 1: a time limit or a cancellation ends the whole container: SIGTERM to the command, a grace,
SIGKILL to all.
Rule 2: what the starter said before the command was there decides whether one was started.
Rule 3: the container is removed on every path.

A status of 128+n is taken for the signal n, as container runtimes have it: a program that exits
with such a code by itself cannot be told from one that was killed.
"""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import time
from typing import Any

from adapters.docker.accounts import Accounts
from adapters.docker.container import DockerContainer
from adapters.docker.input import ContainerInput
from adapters.docker.service import DockerTrouble
from adapters.docker.starter import BARRED, MISSING, NO_DIRECTORY, NO_INTERPRETER, STARTED
from adapters.docker.streams import Streams
from ledger.outcomes import Cancelled, Executed, Lost, NotStarted, Outcome, TimedOut, Usage
from ledger.ports import Cancellation, Command

_CHUNK = 1 << 16
_GRACE_S = 0.75
_KILL_S = 15.0
_ABOVE_SIGNALS = 128
_BROKEN = select.POLLHUP | select.POLLERR | select.POLLNVAL


class DockerExecution:
    """One command, which the starter becomes by *line*; `run` it once."""

    def __init__(
        self,
        container: DockerContainer,
        line: bytes,
        command: Command,
        cancellation: Cancellation | None,
    ) -> None:
        self._container = container
        self._line = line
        self._command = command
        self._cancellation = cancellation
        self._streams = Streams(command.stdout, command.stderr)
        self._signals = ["SIGKILL", "SIGTERM"]
        self._ending: str | None = None
        self._deadline = float("inf")
        self._has_ended = False

    @property
    def said(self) -> bytes:
        """What the starter said, once `run` has returned."""
        return self._streams.said or b""

    def run(self) -> Outcome:
        """
        Return how the command ended.

        An error of the caller's own callbacks ends the command and is raised.
        """
        try:
            outcome = self._follow()
        except DockerTrouble as trouble:
            outcome = Lost(message=f"cannot tell how the command ended: {trouble}")
        finally:
            # Closing the sandbox tries again, and says what could not be removed.
            with contextlib.suppress(DockerTrouble):
                self._container.remove()
        return outcome

    def _follow(self) -> Outcome:
        try:
            connection = self._container.listen()
        except DockerTrouble as trouble:
            return self._not_made(trouble)
        try:
            try:
                self._container.start()
            except DockerTrouble as trouble:
                return self._not_made(trouble)
            return self._listen(connection)
        finally:
            connection.close()

    def _not_made(self, trouble: DockerTrouble) -> NotStarted:
        if not trouble.answered or trouble.missing:
            raise trouble
        return self._failed(f"its container does not start: {trouble}")

    def _listen(self, connection: socket.socket) -> Outcome:
        began = time.monotonic()
        if self._command.time_limit_s is not None:
            self._deadline = began + self._command.time_limit_s
        given = ContainerInput(connection, self._line, self._command.stdin)
        accounts = Accounts(self._container.process(), self._container.id)
        try:
            while not self._has_ended:
                self._step(connection, given)
            # At once: the service is about to remove the control group.
            kills = accounts.kills
            usage = Usage(
                duration_us=int((time.monotonic() - began) * 1_000_000),
                cpu_us=accounts.cpu_us,
                peak_memory_kb=accounts.peak_kb,
            )
        finally:
            accounts.close()
        self._streams.finish()
        return self._ended(self._container.ended(), usage, kills)

    def _step(self, connection: socket.socket, given: ContainerInput) -> None:
        """Wait for whatever comes first and do it."""
        waiting = select.poll()
        wanted = given.wanted()
        events = {connection.fileno(): select.POLLIN}
        if wanted is not None:
            events[wanted[0]] = events.get(wanted[0], 0) | wanted[1]
        asking = -1
        if self._cancellation is not None and self._ending is None:
            asking = self._cancellation.fileno()
            events[asking] = select.POLLIN
        for descriptor, mask in events.items():
            waiting.register(descriptor, mask)
        ready = dict(waiting.poll(self._patience()))
        if asking in ready:
            self._ending = "cancelled"
            self._press()
        if wanted is not None and ready.get(wanted[0], 0) & (wanted[1] | _BROKEN):
            given.proceed()
        if ready.get(connection.fileno(), 0) & (select.POLLIN | _BROKEN):
            self._receive(connection)
        if time.monotonic() >= self._deadline and not self._has_ended:
            self._ending = self._ending or "timed out"
            self._press()

    def _receive(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            # A service that ends cuts the connection; the container's state tells what happened.
            data = b""
        self._has_ended = not data
        self._streams.take(data)

    def _patience(self) -> int | None:
        """Return milliseconds until the deadline, rounded up; `None` for no limit."""
        if self._deadline == float("inf"):
            return None
        # A C int holds 24 days; a longer limit is waited for in pieces.
        return min(max(0, int((self._deadline - time.monotonic()) * 1000) + 1), 1 << 30)

    def _press(self) -> None:
        """Send the next harder signal; in the end the container is given up."""
        if not self._signals:
            raise DockerTrouble("it cannot be ended", answered=False)
        name = self._signals.pop()
        self._container.signal(name)
        self._deadline = time.monotonic() + (_GRACE_S if name == "SIGTERM" else _KILL_S)

    def _ended(self, state: dict[str, Any], usage: Usage, kills: int | None) -> Outcome:
        if self._ending == "timed out":
            return TimedOut(usage=usage)
        if self._ending == "cancelled":
            asked_by = None if self._cancellation is None else self._cancellation.signal
            return Cancelled(usage=usage, signal=asked_by)
        if self._streams.said != STARTED:
            return self._not_started()
        code = int(state["ExitCode"])
        number = code - _ABOVE_SIGNALS
        is_signal = number in signal.valid_signals()
        return Executed(
            usage=usage,
            exit_code=None if is_signal else code,
            signal=number if is_signal else None,
            killed_by_memory_limit=bool(state.get("OOMKilled") or kills),
        )

    def _not_started(self) -> NotStarted:
        file = self._command.executable
        match self._streams.said:
            case word if word == NO_DIRECTORY:
                where = str(self._command.cwd)
                return NotStarted(
                    reason="failed",
                    message=f"cannot enter directory {where!r}: it is not in the container",
                )
            case word if word == MISSING:
                return NotStarted(
                    reason="not_found",
                    message=f"cannot execute {file!r}: it is not in the container",
                )
            case word if word == BARRED:
                return NotStarted(
                    reason="not_executable",
                    message=f"cannot execute {file!r}: it is no program that may be executed",
                )
            case word if word == NO_INTERPRETER:
                return NotStarted(
                    reason="not_executable",
                    message=f"cannot execute {file!r}: its interpreter is missing",
                )
        words = self._streams.early_errors.decode(errors="replace").split()
        return self._failed(" ".join(words[:50]) or "the image's sh said nothing")

    def _failed(self, why: str) -> NotStarted:
        file = self._command.executable
        return NotStarted(reason="failed", message=f"cannot start {file!r}: {why}")
