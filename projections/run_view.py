"""One run whole, as `gesta show` has it: its row, its details and its commands.

Rule 1: put together from the rows of views, or folded from the run's own events: the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ledger.recorded import Recorded
from projections.commands import CommandRow, fold_commands
from projections.run_details import (
    ArtifactRow,
    CleanupRow,
    FallbackRow,
    PatchRow,
    RunDetails,
    SandboxRow,
    WorktreeRow,
    follow,
)
from projections.run_status import RunStatus, fold_run_status


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """One run whole, as `gesta show` has it."""

    run: RunStatus
    profile_digest: str | None
    base: str | None
    overridden: tuple[str, ...]
    worktree: WorktreeRow | None
    sandboxes: tuple[SandboxRow, ...]
    fallbacks: tuple[FallbackRow, ...]
    commands: tuple[CommandRow, ...]
    patch: PatchRow | None
    artifacts: tuple[ArtifactRow, ...]
    cleanups: tuple[CleanupRow, ...]


def view_of(records: Sequence[Recorded]) -> RunView | None:
    """Return one run whole, or `None` if *records* are not a run's."""
    row = fold_run_status(records)
    if row is None:
        return None
    details = RunDetails(stream=row.stream)
    for record in records:
        details = follow(details, record.event)
    return view(row, details, fold_commands(records))


def view(row: RunStatus, details: RunDetails, commands: Sequence[CommandRow]) -> RunView:
    """Return one run whole, put together from its rows."""
    rest = msgspec.structs.asdict(details)
    del rest["stream"]
    return RunView(run=row, commands=tuple(commands), **rest)
