"""The replaced system's `E2BSandboxAdapter`: a run's sandbox as an object, everything on record.

Rule 1: names, arguments and results are as that system's document shows them.
Rule 2: every action is done in the run that the context names, through the ledger: what is
recorded, permitted and lost is as for any other command. Where E2B cannot be had, the run's
policy decides what stands in.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from secrets import token_hex
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from ledger.opening import DEFAULT_TASK
from ledger.overrides import Overrides

if TYPE_CHECKING:
    from ledger.active_run import ActiveRun
    from ledger.context import RunContext


class ExecutionResult(msgspec.Struct, frozen=True, kw_only=True):
    """
    How a command ended; also by `result["exit_code"]`, as that system had it.

    *exit_code* is one number for every ending, as a shell has it.
    """

    success: bool
    stdout: str
    stderr: str
    exit_code: int

    def __getitem__(self, name: str) -> Any:
        if name not in self.__struct_fields__:
            raise KeyError(name)
        return getattr(self, name)


class E2BSandboxAdapter:
    """
    The sandbox of the run that *ctx* names, made at the first command and ended by `close`.

    The run is opened if it is not, for a sandbox at E2B under the default profile; it is closed
    when the process ends. Without *ctx* it is a run of its own.
    """

    def __init__(self, ctx: RunContext | None = None) -> None:
        self.ctx = ctx
        self._run: ActiveRun | None = None
        self._exit = ExitStack()

    @staticmethod
    def is_available() -> bool:
        """Say whether E2B could be used here: its package is installed and there is a key."""
        import importlib.util

        return bool(os.environ.get("E2B_API_KEY")) and importlib.util.find_spec("e2b") is not None

    def create(self) -> Self:
        """Return this; the sandbox is made at the first command."""
        self._active()
        return self

    def execute_command(
        self, cmd: Sequence[str], timeout: float | None = None, cwd: str | None = None
    ) -> ExecutionResult:
        """
        Execute a command, never through a shell; *timeout* in seconds, *cwd* in the workspace.

        Raises `CommandNotAllowed` (a `PermissionError`), `IsolationRefused`.
        """
        result = self._active().execute(cmd, timeout=timeout, cwd=_relative(cwd))
        return ExecutionResult(
            success=result.success,
            stdout=result.stdout.decode(errors="replace"),
            stderr=result.stderr.decode(errors="replace"),
            exit_code=result.returncode,
        )

    execute = execute_command

    def write_file(self, path: str, content: str) -> None:
        """Write a file of the workspace, which is `/workspace`; raises `FileRefused`."""
        self._active().write_file(path, content.encode())

    def read_file(self, path: str) -> str:
        """Return a file of the workspace as text; raises `FileRefused`."""
        return self._active().read_file(path).decode(errors="replace")

    def close(self) -> None:
        """End the sandbox; closing twice is closing once, and using it again makes another."""
        run, self._run = self._run, None
        if run is not None:
            run.let_go()
        self._exit.close()

    def _active(self) -> ActiveRun:
        if self._run is None:
            self._run = self._exit.enter_context(_resume(self.ctx))
        return self._run

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _resume(ctx: RunContext | None) -> AbstractContextManager[ActiveRun]:
    from adapters import syscalls

    task, run = (ctx.task_id, ctx.run_id) if ctx else (DEFAULT_TASK, f"E2B-{token_hex(6)}")
    trace = ctx.trace_id if ctx else None
    stream = syscalls.open_detached(
        task,
        run,
        trace,
        run_path=ctx.run_path if ctx else None,
        overrides=Overrides(sandbox="e2b"),
    )
    return syscalls.shared_ledger().resume(stream, caller_trace=trace)


def _relative(cwd: str | None) -> str | None:
    """Return *cwd* as a run has it; `/workspace` is the workspace's root."""
    if cwd is None or not (cwd == "/workspace" or cwd.startswith("/workspace/")):
        return cwd
    return cwd.removeprefix("/workspace").strip("/") or "."
