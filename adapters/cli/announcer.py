"""Prints what a run warns of, at the moment that it is on record."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from adapters.cli.cautions import cautions
from adapters.cli.printing import warn
from ledger.recorded import Recorded


class Announcer:
    """Listens to a run; *before* is called ahead of anything that is printed."""

    def __init__(self) -> None:
        self.before: Callable[[], None] = lambda: None

    def __call__(self, records: Sequence[Recorded]) -> None:
        """Print a line for each event that is worth one."""
        lines = list(cautions([record.event for record in records]))
        if lines:
            self.before()
        for line in lines:
            warn(line)
