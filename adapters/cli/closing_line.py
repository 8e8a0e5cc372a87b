"""The line that a person at a terminal gets when a run has ended."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.cli.times import duration, plural
from ledger.recorded import Recorded
from projections.run_status import RunStatus, fold_run_status


def closing_line(records: Sequence[Recorded]) -> str:
    """Return id, status, number of commands, time and size of the patch of the run *records*."""
    row = fold_run_status(records)
    assert row is not None
    name = f"{row.task}/{row.run}"
    parts = [f"{name} {row.status}", plural(row.commands, "command"), duration(row.duration_us)]
    parts.append(patch_words(row))
    return f"{', '.join(part for part in parts if part)}; gesta show {name}"


def patch_words(row: RunStatus) -> str:
    """Return the size of the run's patch in words, empty if none was captured."""
    if row.files_changed is None:
        return ""
    if row.files_changed == 0:
        return "no change"
    files = plural(row.files_changed, "file")
    return f"{files} changed (+{row.insertions} -{row.deletions})"
