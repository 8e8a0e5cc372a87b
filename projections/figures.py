"""The numbers that a dashboard opens with, put together from the views.

Rule 1: rates are over what has ended: an open run has neither succeeded nor failed.
Rule 2: what is grouped by private words (a command line) is asked for, never kept.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from ledger.events import OsText
from projections.columns import columns_of
from projections.commands import COMMANDS, CommandRow
from projections.criteria import Criteria
from projections.dashboard import DAYS, DashboardDay
from projections.queries import Queries, RunFilter
from projections.run_status import RunStatus
from projections.sandbox_metrics import day_of
from projections.views import Tables

_MOST = 10
# How many of the newest failures of a kind are looked at: enough to see, and always quick.
_FAILURES = 1000
_FAILED = ("failed", "lost", "not_started", "signalled", "timed_out")


class FailingCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command line that failed: how often, and when it was last requested (µs, UTC)."""

    argv: tuple[OsText, ...]
    failures: int
    last_at: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a dashboard opens with, for the runs opened on *days*.

    *success_rate* is over the runs that have ended, *fallback_rate* over all; `None` where there
    are none. *slowest* are the commands that took longest, *most_failing* those that failed most
    often, of the newest thousand failures of each kind.
    """

    runs: int
    ended: int
    succeeded: int
    failed: int
    cancelled: int
    abandoned: int
    open: int
    success_rate: float | None
    fallback_rate: float | None
    refused: int
    denials: int
    commands: int
    days: tuple[DashboardDay, ...]
    open_runs: tuple[RunStatus, ...]
    slowest: tuple[CommandRow, ...]
    most_failing: tuple[FailingCommand, ...]


def figures(tables: Tables, *, since: int | None = None) -> Figures:
    """Return the numbers of the days from *since* on (microseconds, UTC), all without it."""
    criteria = Criteria(DAYS)
    if since is not None:
        criteria.where("t.day >= ?", day_of(since))
    days = tuple(criteria.read(tables, order="t.day"))
    opened = _sum(days, "opened")
    endings = {name: _sum(days, name) for name in ("succeeded", "failed", "cancelled", "abandoned")}
    ended = sum(endings.values())
    queries = Queries(tables)
    waiting = [
        row
        for status in ("open", "running")
        for row in queries.runs(RunFilter(status=status, since=since), limit=_MOST)
    ]
    return Figures(
        runs=opened,
        ended=ended,
        open=opened - ended,
        success_rate=endings["succeeded"] / ended if ended else None,
        fallback_rate=_sum(days, "fell_back") / opened if opened else None,
        refused=_sum(days, "refused"),
        denials=_sum(days, "denials"),
        commands=_sum(days, "commands"),
        days=days,
        open_runs=tuple(sorted(waiting, key=lambda row: -row.opened_at)[:_MOST]),
        slowest=tuple(queries.slowest_commands(since=since, limit=_MOST)),
        most_failing=_most_failing(tables, since),
        **endings,
    )


def _sum(days: tuple[DashboardDay, ...], name: str) -> int:
    return sum(getattr(day, name) for day in days)


def _most_failing(tables: Tables, since: int | None) -> tuple[FailingCommand, ...]:
    counts: Counter[str] = Counter()
    newest: dict[str, int] = {}
    for status in _FAILED:
        criteria = Criteria(COMMANDS).equal(status=status).within("requested_at", since, None)
        # Where the private part is missing, nothing says which command it was.
        criteria.where("t.argv IS NOT NULL")
        columns = ("argv", "requested_at")
        found = criteria.cells(tables, columns, order="t.position DESC", limit=_FAILURES)
        for argv, requested_at in found:
            counts[argv] += 1
            newest[argv] = max(requested_at, newest.get(argv, 0))
    argv_of = columns_of(CommandRow).decoder("argv")
    most = sorted(counts, key=lambda argv: (-counts[argv], -newest[argv], argv))[:_MOST]
    return tuple(
        FailingCommand(argv=argv_of(argv), failures=counts[argv], last_at=newest[argv])
        for argv in most
    )
