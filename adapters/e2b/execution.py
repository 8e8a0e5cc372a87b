"""One command in an E2B sandbox, followed from here: its streams, its limits, its result.

Rule 1: the time limit is ours: SIGTERM to the whole tree, a grace, SIGKILL; then the guest's
process. What the command printed until then has been handed on.
Rule 2: a connection that drops is made anew, and the guest says again what had not arrived. Only
a sandbox that is gone, or stays out of reach, is lost.
"""

from __future__ import annotations

import contextlib
import select
import time
from typing import Any

from adapters.e2b.errors import E2BError, Trouble
from adapters.e2b.frames import Ended, Frames, Line
from adapters.e2b.input import open_sent_input
from adapters.e2b.machine import E2BMachine
from adapters.e2b.request import Result, decode_result
from ledger.ports import Cancellation, Command

_TERM, _KILL = 15, 9
_GRACE_S = 0.75
_KILL_S = 15.0
_START_S = 60.0
_OUT_OF_REACH_S = 30.0
_PAUSE_S = 0.5
_SILENCE_S = 20.0
# After so long without a word from us the guest ends the command: we are dead.
FORSAKEN_S = 90.0
_UNACKNOWLEDGED = 256 << 10


class E2BExecution:
    """One command; `run` it once. *request* is what the guest is asked to do."""

    def __init__(
        self,
        machine: E2BMachine,
        request: dict[str, Any],
        command: Command,
        cancellation: Cancellation | None,
    ) -> None:
        self._machine = machine
        self._request = request
        self._command = command
        self._cancellation = cancellation
        self._input = open_sent_input(command.stdin)
        self._frames = Frames()
        self._process = 0
        self._deadline = float("inf")
        self._signals = [_KILL, _TERM]
        self._unacknowledged = 0
        self._last_said = 0.0
        self._discards = False
        self._result: Result | None = None
        self.ending: str | None = None

    def run(self) -> Result:
        """
        Return the guest's result; `ending` says whether we ended the command, and why.

        Raises `E2BError` if the result cannot be had; an error of the caller's own callbacks ends
        the command and is raised.
        """
        try:
            return self._follow()
        except E2BError:
            raise
        except BaseException:
            self._stop()
            raise
        finally:
            self._frames.close(_GRACE_S)
            if self._input is not None:
                self._input.finish()

    def _follow(self) -> Result:
        self._last_said = time.monotonic()
        if self._command.time_limit_s is not None:
            # Until the command is said to have begun, which its own time is counted from.
            self._deadline = self._last_said + _START_S + self._command.time_limit_s
        begun = {"stdin": self._input is not None, "silence_s": FORSAKEN_S}
        handle = self._machine.start({**self._request, **begun})
        self._process = int(handle.pid)
        self._frames.listen(handle)
        while self._result is None:
            self._step()
        # If this does not arrive the guest waits in vain for a while; we have what we wanted.
        with contextlib.suppress(E2BError):
            self._say(f"a {self._frames.last}")
        return self._result

    def _step(self) -> None:
        """Wait for whatever comes first and do it."""
        waiting = select.poll()
        waiting.register(self._frames.fileno(), select.POLLIN)
        if self._cancellation is not None and self.ending is None:
            waiting.register(self._cancellation.fileno(), select.POLLIN)
        given = self._input
        source = None if given is None else given.source
        if source is not None:
            waiting.register(source, select.POLLIN)
        for descriptor, _ in waiting.poll(self._patience()):
            if descriptor == self._frames.fileno():
                self._hear()
            elif descriptor == source:
                self._send_input()
            elif self.ending is None:
                self.ending = "cancelled"
                self._press()
        if given is not None and given.is_due and self._result is None:
            self._send_input()
        self._attend()

    def _patience(self) -> int:
        """Return milliseconds until something is due, rounded up."""
        if self._input is not None and self._input.is_due:
            return 0
        due = min(self._deadline, self._last_said + _SILENCE_S)
        return max(0, int((due - time.monotonic()) * 1000) + 1)

    def _attend(self) -> None:
        now = time.monotonic()
        if self._result is not None:
            return
        if now >= self._deadline:
            self.ending = self.ending or "timed out"
            self._press()
        if now - self._last_said >= _SILENCE_S:
            self._say("p")
        self._machine.renew()

    def _press(self) -> None:
        """Send the next harder signal to the tree; in the end there is only its machine."""
        if not self._signals:
            self._machine.kill(self._process)
            raise E2BError(Trouble(reason="failed", message="the command cannot be ended"))
        number = self._signals.pop()
        self._say(f"e {number}")
        self._deadline = time.monotonic() + (_GRACE_S if number == _TERM else _KILL_S)

    def _hear(self) -> None:
        for item in self._frames.take():
            if isinstance(item, Line):
                self._understand(item)
            elif self._result is None:
                self._listen_again(item)
        if self._frames.has_gap:
            self._frames.has_gap = False
            self._say(f"r {self._frames.last}")

    def _understand(self, line: Line) -> None:
        match line.kind:
            case "o" | "e":
                if not self._discards:
                    take = self._command.stdout if line.kind == "o" else self._command.stderr
                    take(line.content)
                self._unacknowledged += len(line.content)
                if self._unacknowledged >= _UNACKNOWLEDGED:
                    self._unacknowledged = 0
                    self._say(f"a {line.number}")
            case "s" if self.ending is None and self._command.time_limit_s is not None:
                self._deadline = time.monotonic() + self._command.time_limit_s
            case "w" if self._input is not None:
                self._input.note_taken(int(line.content))
            case "x":
                self._result = decode_result(line.content)

    def _listen_again(self, ended: Ended) -> None:
        if ended.error is None:
            words = ended.last_words.splitlines()[-1:] or ["it said nothing"]
            message = f"our program in the sandbox ended: {words[0]}"
            raise E2BError(Trouble(reason="failed", message=message))
        give_up = time.monotonic() + _OUT_OF_REACH_S
        trouble = ended.error.trouble
        while trouble.fate == "passing" and time.monotonic() < give_up:
            try:
                handle = self._machine.connect(self._process)
            except E2BError as error:
                trouble = error.trouble
                time.sleep(_PAUSE_S)
                continue
            self._frames.listen(handle)
            self._say(f"r {self._frames.last}")
            return
        raise E2BError(trouble)

    def _send_input(self) -> None:
        assert self._input is not None
        line = self._input.next_line()
        if line is not None:
            self._say(line)

    def _say(self, line: str) -> None:
        self._machine.say(self._process, line)
        self._last_said = time.monotonic()

    def _stop(self) -> None:
        """End the command after an error that is not its own; its output is let go."""
        if self._process == 0:
            return
        self._discards = True
        self._input = None
        self.ending = "stopped"
        self._signals = []
        try:
            self._say(f"e {_KILL}")
            self._deadline = time.monotonic() + _KILL_S
            while self._result is None:
                self._step()
            self._say(f"a {self._frames.last}")
        except E2BError:
            # The sandbox is lost, or its guest is being ended: either way the command ends.
            return
