"""The numbers that a dashboard opens with, put together from the views.

Rule 1: rates are over what has ended: an open run has neither succeeded nor failed.
Rule 2: what is grouped by private words (a command line) is asked for, never kept.
"""

from __future__ import annotations

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
_FAILED = "('failed', 'signalled', 'timed_out', 'lost', 'not_started')"
_GROUP = (
    f"argv, count(*), sum(status IN {_FAILED}), sum(duration_us) / count(duration_us),"
    " max(duration_us)"
)


class CommandFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One command line: how often it was requested and failed, and how long it took (µs)."""

    argv: tuple[OsText, ...]
    times: int
    failures: int
    mean_us: int | None
    longest_us: int | None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a dashboard opens with, for the runs opened on *days*.

    *success_rate* is over the runs that have ended, *fallback_rate* over all; `None` where there
    are none. The commands are those that took longest, and those that failed most often.
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
    slowest: tuple[CommandFigures, ...]
    most_failing: tuple[CommandFigures, ...]


def figures(tables: Tables, *, since: int | None = None) -> Figures:
    """Return the numbers of the days from *since* on (microseconds, UTC), all without it."""
    criteria = Criteria(DAYS)
    if since is not None:
        criteria.where("day >= ?", day_of(since))
    days = tuple(criteria.read(tables, order="day"))
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
        slowest=_groups(tables, since, "max(duration_us) DESC, argv", "duration_us IS NOT NULL"),
        most_failing=_groups(tables, since, "3 DESC, 2, argv", f"status IN {_FAILED}"),
        **endings,
    )


def _sum(days: tuple[DashboardDay, ...], name: str) -> int:
    return sum(getattr(day, name) for day in days)


def _groups(
    tables: Tables, since: int | None, order: str, condition: str
) -> tuple[CommandFigures, ...]:
    criteria = Criteria(COMMANDS).within("requested_at", since, None)
    # Where the private part is missing, nothing says which command it was.
    criteria.where("argv IS NOT NULL").where(condition)
    found = criteria.group(tables, select=_GROUP, by="argv", order=order, limit=_MOST)
    argv_of = columns_of(CommandRow).decoder("argv")
    return tuple(
        CommandFigures(
            argv=argv_of(argv), times=times, failures=failures, mean_us=mean, longest_us=longest
        )
        for argv, times, failures, mean, longest in found
    )
