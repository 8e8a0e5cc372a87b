"""The numbers that a dashboard opens with: by the day on which runs were opened.

Rule 1: all of a run counts on the day on which it was opened, so that what is still open is what
was opened less what has ended.
Rule 2: nothing private is counted by: which commands are slow or fail is asked of `commands`.
"""

from __future__ import annotations

import msgspec

from ledger import events as e
from ledger.recorded import Recorded
from projections.projection import Projection, Table, on
from projections.rows import Rows
from projections.sandbox_metrics import day_of


class DashboardDay(msgspec.Struct, frozen=True, kw_only=True):
    """
    The runs that were opened on one *day* (UTC), and what has become of them since.

    *fell_back* are runs that used something weaker than asked for, *refused* those that could
    have nothing permitted; *denials* are commands and files that the policy denied.
    """

    day: str
    opened: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    abandoned: int = 0
    fell_back: int = 0
    refused: int = 0
    denials: int = 0
    commands: int = 0


class OpenedDay(msgspec.Struct, frozen=True, kw_only=True):
    """What the fold of a run's next event needs."""

    stream: str
    day: str
    fell_back: bool = False
    refused: bool = False


DAYS = Table(
    "dashboard",
    DashboardDay,
    key=("day",),
    about="One row a day: the runs opened on it, and what has become of them.",
)
OF_RUN = Table("dashboard_runs", OpenedDay, key=("stream",))


class Dashboard(Projection):
    """The numbers that a dashboard opens with."""

    name = "dashboard"
    version = 1
    tables = (DAYS, OF_RUN)
    reads_private = frozenset()

    @on(e.RunOpened)
    def opened(self, record: Recorded, rows: Rows) -> None:
        """Count a run, and note its day."""
        run = OpenedDay(stream=record.stream, day=day_of(record.occurred))
        rows.put(OF_RUN, run)
        _add(rows, run, "opened")

    @on(e.RunCompleted, e.RunAbandoned)
    def ended(self, record: Recorded, rows: Rows) -> None:
        """Count how a run ended."""
        if run := rows.get(OF_RUN, record.stream):
            event = record.event
            _add(rows, run, event.outcome if isinstance(event, e.RunCompleted) else "abandoned")

    @on(e.FallbackTaken, e.FallbackRefused)
    def fell_back(self, record: Recorded, rows: Rows) -> None:
        """Count a run that fell back, or could not, once."""
        run = rows.get(OF_RUN, record.stream)
        what = "fell_back" if isinstance(record.event, e.FallbackTaken) else "refused"
        if run is not None and not getattr(run, what):
            rows.put(OF_RUN, msgspec.structs.replace(run, **{what: True}))
            _add(rows, run, what)

    @on(e.CommandDenied, e.FileDenied)
    def denied(self, record: Recorded, rows: Rows) -> None:
        """Count a denial."""
        if run := rows.get(OF_RUN, record.stream):
            _add(rows, run, "denials")

    @on(e.CommandRequested)
    def requested(self, record: Recorded, rows: Rows) -> None:
        """Count a command."""
        if run := rows.get(OF_RUN, record.stream):
            _add(rows, run, "commands")


def _add(rows: Rows, run: OpenedDay, what: str) -> None:
    row = rows.get(DAYS, run.day) or DashboardDay(day=run.day)
    rows.put(DAYS, msgspec.structs.replace(row, **{what: getattr(row, what) + 1}))
