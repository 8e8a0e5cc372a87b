"""A run that is open in this process: what a program holds to execute commands in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ledger import file_access
from ledger.cells import CellResult
from ledger.cleaning import close_sandbox
from ledger.closing import CloseRun, close_run, settle
from ledger.commands import Execute, Finished
from ledger.errors import GestaError
from ledger.execution import execute
from ledger.interpreters import encode_source, program_for
from ledger.outcomes import Blob, Cancelled, Captured, Executed, NotStarted, Outcome, TimedOut

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.capture import Live
    from ledger.events import RunOutcome
    from ledger.ports import BlobStore, Cancellation
    from ledger.run import Run
    from ledger.session import Session


class Result:
    """
    How a command ended.

    *exit_code* is the command's own, or `None` if it did not exit; *outcome* says how it ended
    instead. Outputs are bytes, as stored: cut off where *truncated* says so.
    """

    def __init__(self, blobs: BlobStore, argv: tuple[str, ...], finished: Finished) -> None:
        self._blobs = blobs
        self._output = finished.output
        self.args = argv
        self.command = finished.command
        self.outcome: Outcome = finished.outcome

    @property
    def exit_code(self) -> int | None:
        """The command's exit code, or `None` if it did not exit."""
        return self.outcome.exit_code if isinstance(self.outcome, Executed) else None

    @property
    def success(self) -> bool:
        """Whether the command ran and exited with 0."""
        return self.exit_code == 0

    @property
    def returncode(self) -> int:
        """One number for every ending, as a shell has it: 124 time limit, 127 not found, 128+n."""
        match self.outcome:
            case Executed(exit_code=int(code)):
                return code
            case Executed(signal=int(signal)) | Cancelled(signal=int(signal)):
                return 128 + signal
            case TimedOut():
                return 124
            case NotStarted(reason="not_found"):
                return 127
            case NotStarted():
                return 126
            case Cancelled():
                return 130
            case _:
                return 125

    @property
    def stdout(self) -> bytes:
        """What the command printed."""
        return self._bytes(self._output.stdout)

    @property
    def stderr(self) -> bytes:
        """What the command printed to its standard error."""
        return self._bytes(self._output.stderr)

    @property
    def truncated(self) -> bool:
        """Whether more was printed than is stored."""
        return self._output.stdout.truncated or self._output.stderr.truncated

    def _bytes(self, captured: Captured) -> bytes:
        blob = captured.blob
        return b"" if blob is None else self._read(blob)

    def _read(self, blob: Blob) -> bytes:
        return self._blobs.read(blob.digest) if blob.row is None else blob.row


class CodeResult(Result):
    """
    How a cell of code ended.

    *results* is what the sandbox's own interpreter told apart from what the cell printed, as
    stored; elsewhere there are none, and the value of a last expression is part of *stdout*.
    """

    @property
    def results(self) -> tuple[CellResult, ...]:
        """The cell's value, what it displayed, and the error that ended it, as they came."""
        return tuple(
            CellResult(kept.kind, kept.media_type, self._read(kept.blob))
            for kept in self._output.results
        )

    @property
    def text(self) -> str | None:
        """The value of the last expression as text, where the interpreter told it apart."""
        for result in self.results:
            if (result.kind, result.media_type) == ("main", "text/plain"):
                return result.data.decode(errors="replace")
        return None


class ActiveRun:
    """
    An open run. As a context manager it is closed at the end of the block, also by an exception.

    One command runs at a time.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def id(self) -> str:
        """The run's id, unique in its task."""
        return self._session.run.run

    @property
    def task(self) -> str:
        """The task that the run is for."""
        return self._session.run.task

    @property
    def stream(self) -> str:
        """The id of the run's stream of events, unique everywhere."""
        return self._session.stream

    @property
    def state(self) -> Run:
        """The run's state, as its events have it now."""
        return self._session.run

    @property
    def workspace(self) -> Path:
        """The directory that the run works in."""
        return self._session.root

    @property
    def run_path(self) -> Path:
        """The run's own directory, which holds its workspace."""
        return self._session.run_path

    def execute(
        self,
        argv: Sequence[str],
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int | bytes | None = None,
        may_fail: bool = False,
        step: str | None = None,
        stdout: Live | None = None,
        stderr: Live | None = None,
        cancellation: Cancellation | None = None,
    ) -> Result:
        """
        Execute a command, never through a shell, and return how it ended.

        *timeout* in seconds takes the place of the policy's, *cwd* is relative to the workspace.
        *stdin* is data, or a descriptor to read from; by default there is none. *stdout* and
        *stderr* are called with bytes as they come.

        Raises `CommandNotAllowed`, `IsolationRefused`, `MoveIllegal`, `InputInvalid`: no process
        was started.
        """
        return self.perform(
            Execute(
                argv=argv if isinstance(argv, str | bytes) else tuple(argv),  # type: ignore[arg-type]
                step=step,
                may_fail=may_fail,
                cwd=cwd,
                env=dict(env or {}),
                time_limit=timeout,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
            ),
            cancellation,
        )

    def execute_shell(self, line: str, *, timeout: float | None = None) -> Result:
        """Execute a line by `sh -c`, recorded as such; otherwise like `execute`."""
        return self.perform(
            Execute(argv=("sh", "-c", line), form="shell", time_limit=timeout), None
        )

    def execute_code(
        self,
        source: str,
        language: str = "python",
        *,
        timeout: float | None = None,
        may_fail: bool = False,
        step: str | None = None,
        stdout: Live | None = None,
        stderr: Live | None = None,
        cancellation: Cancellation | None = None,
    ) -> CodeResult:
        """
        Execute a cell of `python`, `bash` or `javascript`, and return how it ended.

        Where the sandbox has an interpreter of its own (E2B), a cell finds what earlier ones of
        its language defined; elsewhere each is a program of its own, which reads *source* as its
        standard input. An error that Python code raises is an exit code of 1.

        Raises `InputInvalid` for any other language; otherwise like `execute`.
        """
        data = encode_source(source)
        wanted = Execute(
            argv=program_for(language),
            form="cell",
            language=language,
            source=data,
            step=step,
            may_fail=may_fail,
            time_limit=timeout,
            stdin=data,
            stdout=stdout,
            stderr=stderr,
        )
        finished = execute(self._session, wanted, cancellation)
        return CodeResult(self._session.hands.blobs, wanted.argv, finished)

    def perform(self, wanted: Execute, cancellation: Cancellation | None) -> Result:
        """Execute a command that is described in full; `execute` in one value."""
        finished = execute(self._session, wanted, cancellation)
        return Result(self._session.hands.blobs, wanted.argv, finished)

    def write_file(self, path: str, data: bytes) -> None:
        """Write a file of the workspace, whole or not at all; raises `FileRefused`."""
        file_access.write_file(self._session, path, data)

    def read_file(self, path: str) -> bytes:
        """Return the content of a file of the workspace; raises `FileRefused`."""
        return file_access.read_file(self._session, path)

    def settle(self) -> None:
        """Read the run again and call a command lost that was begun and cannot be at work now."""
        self._session.reload()
        settle(self._session)

    def let_go(self) -> None:
        """End the sandbox without a word on record; for when the ledger cannot be written."""
        close_sandbox(self._session, None)

    def close(self, outcome: RunOutcome | None = None, *, message: str | None = None) -> None:
        """End the run and clean up; without an *outcome* it is as its commands went."""
        close_run(self._session, CloseRun(outcome=outcome, message=message))

    def end(self, wanted: CloseRun) -> None:
        """End the run as *wanted* says in full."""
        close_run(self._session, wanted)


def ending_for(error: BaseException | None) -> CloseRun:
    """Return the end that a run gets whose block was left by *error*, or in order."""
    if error is None:
        return CloseRun()
    if isinstance(error, KeyboardInterrupt):
        return CloseRun(outcome="cancelled", reason="signal")
    message = str(error) if isinstance(error, GestaError) else f"{type(error).__name__}: {error}"
    return CloseRun(outcome="failed", reason="error", message=message)
