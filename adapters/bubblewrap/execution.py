"""One command in a bubblewrap sandbox: what bwrap is started with, and what its end means.

Rule 1: an ending is the command's own only if the starter inside said so; what bwrap says is
about bwrap.
Rule 2: nothing of the command stands on bwrap's command line: it goes to the starter through a
descriptor.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from adapters.execution import Execution
from adapters.supervisor.messages import pack
from ledger.outcomes import Lost, NotStarted, Outcome, Usage

if TYPE_CHECKING:
    from adapters.supervision import Supervisor
    from ledger.ports import Cancellation, Command

_MOST_WORDS = 2000
_KILLED = 9


class BubblewrapExecution(Execution):
    """
    One command; `run` it once.

    *arguments* begin with the file of bwrap and end with the starter's.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        command: Command,
        cancellation: Cancellation | None,
        arguments: Sequence[str],
    ) -> None:
        super().__init__(supervisor, command, cancellation)
        self._arguments = [os.fsencode(argument) for argument in arguments]
        self._words: int | None = None
        self._report: int | None = None
        self._sheltering: list[int] = []

    def _request(self, fields: list[bytes]) -> list[bytes]:
        request = _memory_file(pack(fields))
        self._lent.append(request)
        self._words = _memory_file()
        self._report, report = os.pipe()
        self._lent.append(report)
        self._sheltering = [request, report]
        marks = b" ".join([b"shelter", fields[2]])
        return [self._arguments[0], b"/", marks, pack(self._arguments), b""]

    def _arrange(self, out: int, err: int, given: list[int]) -> list[int]:
        assert self._words is not None
        return [out, self._words, *given, *self._sheltering, err]

    def _outcome(self, end: list[bytes]) -> Outcome:
        if end[0] == b"failed":
            number = end[2].decode()
            why = os.strerror(int(number)) if number.isdigit() else number
            return NotStarted(reason="failed", message=f"cannot start bwrap: {why}")
        return super()._outcome(end)

    def _ended(self, status: int, usage: Usage, kills: int) -> Outcome:
        match self._reported():
            case [*_, [b"ended", command_status, *numbers]]:
                took = Usage(
                    # A limit counts from the start of the sandbox, and so does what it ended.
                    duration_us=usage.duration_us if self._ending else int(numbers[0]),
                    cpu_us=int(numbers[1]),
                    peak_memory_kb=int(numbers[2]),
                )
                return super()._ended(int(command_status), took, kills)
            case [[b"failed", stage, number], *_]:
                return self._refused(stage, int(number))
            case [] if self._ending is None and not kills:
                said = self._said()
                return NotStarted(reason="failed", message=f"cannot start bwrap: {said}")
        if self._ending is None and not kills:
            return Lost(message="cannot tell how the command ended: its sandbox was killed")
        # A time limit, a cancellation or the memory limit ended the sandbox whole.
        return super()._ended(_KILLED, usage, kills)

    def _refused(self, stage: bytes, number: int) -> Outcome:
        if stage == b"present" and number == errno.ENOENT:
            number = errno.ENOEXEC
            message = f"cannot execute {self._command.executable!r}: its interpreter is missing"
            return NotStarted(reason="not_executable", message=message)
        named = "executable" if stage == b"present" else stage.decode()
        return self._not_started(named, number)

    def _has_executable(self) -> bool:
        # What this machine has is not what the sandbox shows.
        return False

    def _reported(self) -> list[list[bytes]]:
        """Return the lines of the report; whoever could write more has ended."""
        assert self._report is not None
        os.set_blocking(self._report, False)
        try:
            text = os.read(self._report, 1 << 12)
        except BlockingIOError:
            text = b""
        return [line.split() for line in text.splitlines()]

    def _said(self) -> str:
        """Return the last words of bwrap, or of the interpreter inside."""
        assert self._words is not None
        text = os.pread(self._words, _MOST_WORDS, 0).decode(errors="replace").strip()
        return text.splitlines()[-1].removeprefix("bwrap: ") if text else "it said nothing"

    def _release(self) -> None:
        super()._release()
        for descriptor in (self._words, self._report):
            if descriptor is not None:
                os.close(descriptor)
        self._words = self._report = None


def _memory_file(data: bytes = b"") -> int:
    descriptor = os.memfd_create("gesta", os.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
