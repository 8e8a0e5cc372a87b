"""The functions of the system that this one replaces, each recording its events in the ledger.

Rule 1: names, arguments and results are as that system's documents show them.
Rule 2: a run that they open is detached, and closed when the process ends; opening it again is
finding it again.
Rule 3: no path is taken on trust: what is cleaned up is the worktree of a run on record.
"""

from __future__ import annotations

import atexit
import contextlib
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ledger.context import RunContext
from ledger.errors import GestaError, RunExists, RunNotFound, WorkspaceError
from ledger.ledger import Ledger
from ledger.overrides import NOTHING, Overrides
from ledger.run import Phase

__all__ = [
    "cleanup_git_worktree",
    "init_git_worktree",
    "init_run_structure",
    "read_file",
    "run_command",
    "write_file",
]

_opened_here: dict[str, None] = {}


def init_git_worktree(
    task_id: str, run_id: str, run_path: Path, trace_id: str | None = None
) -> Path:
    """Return the worktree of a run, opening the run in *run_path* if it is not open yet."""
    return shared_ledger().workspace(open_detached(task_id, run_id, trace_id, run_path=run_path))


def cleanup_git_worktree(worktree_path: Path, trace_id: str | None = None) -> None:
    """
    Close the run that *worktree_path* is the worktree of: captured, removed, on record.

    Raises `WorkspaceError` for any other directory, and deletes nothing then.
    """
    path = Path(worktree_path)
    ledger = shared_ledger()
    if ledger.journal.load(path.name).phase is Phase.NEW or ledger.workspace(path.name) != path:
        raise WorkspaceError(f"cannot clean up {worktree_path}: it is no run's worktree")
    _close(path.name, trace_id)


def init_run_structure(
    task_id: str, run_id: str, trace_id: str | None = None, use_git_worktree: bool = True
) -> Path:
    """Open a run and return its directory, with `artifacts` and `journal` in it."""
    overrides = NOTHING if use_git_worktree else Overrides(no_worktree=True)
    stream = open_detached(task_id, run_id, trace_id, overrides=overrides)
    run_path = shared_ledger().workspace(stream).parent
    for name in ("artifacts", "journal"):
        (run_path / name).mkdir(exist_ok=True)
    return run_path


def run_command(
    cmd: Sequence[str],
    ctx: RunContext,
    cwd: Path | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """
    Execute a command in the run that *ctx* names; *cwd* is relative to its workspace.

    Raises `CommandNotAllowed` (a `PermissionError`), `IsolationRefused`.
    """
    with shared_ledger().resume(_open_context(ctx), caller_trace=ctx.trace_id) as run:
        result = run.execute(cmd, cwd=None if cwd is None else str(cwd), timeout=timeout)
        return subprocess.CompletedProcess(
            list(cmd),
            result.returncode,
            result.stdout.decode(errors="replace"),
            result.stderr.decode(errors="replace"),
        )


def write_file(path: Path | str, content: str, ctx: RunContext) -> None:
    """Write a file of the run's workspace; raises `FileRefused` (a `PermissionError`)."""
    with shared_ledger().resume(_open_context(ctx), caller_trace=ctx.trace_id) as run:
        run.write_file(str(path), content.encode())


def read_file(path: Path | str, ctx: RunContext) -> str:
    """Return a file of the run's workspace as text; raises `FileRefused`."""
    with shared_ledger().resume(_open_context(ctx), caller_trace=ctx.trace_id) as run:
        return run.read_file(str(path)).decode(errors="replace")


@cache
def shared_ledger() -> Ledger:
    """Return the ledger that `open_ledger` finds, opened once and closed when the process ends."""
    from adapters.wiring import open_ledger

    atexit.register(_close_all)
    return open_ledger()


def _open_context(ctx: RunContext) -> str:
    return open_detached(ctx.task_id, ctx.run_id, ctx.trace_id, run_path=ctx.run_path)


def open_detached(
    task: str,
    run: str,
    trace: str | None,
    *,
    run_path: Path | None = None,
    overrides: Overrides = NOTHING,
) -> str:
    """Return the stream of a detached run of ours, opening it if it is not open yet."""
    ledger = shared_ledger()
    try:
        return ledger.find(f"{task}/{run}")
    except RunNotFound:
        pass
    try:
        active = ledger.open(
            task=task, run=run, run_path=run_path, overrides=overrides, caller_trace=trace
        )
    except RunExists:
        # Another thread or process was first.
        return ledger.find(f"{task}/{run}")
    _opened_here[active.stream] = None
    return active.stream


def _close(stream: str, trace: str | None = None) -> None:
    with shared_ledger().resume(stream, caller_trace=trace) as run:
        run.close()
    _opened_here.pop(stream, None)


def _close_all() -> None:
    for stream in list(_opened_here):
        # What cannot be closed now is on record as open, and recovery closes it.
        with contextlib.suppress(GestaError):
            _close(stream)
    shared_ledger().close()
