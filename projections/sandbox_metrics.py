"""How sandboxes do, by day and kind: counts, and how long things took in fixed buckets.

Rule 1: integers alone, added up: whatever pages the events come in, the sums are the same.
Rule 2: nothing private is counted by; an erasure changes nothing here.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache
from typing import Literal

import msgspec

from ledger import events as e
from ledger.recorded import Recorded
from projections.projection import Projection, Table, on
from projections.rows import Rows

BUCKETS = 32
_NO_TIMES = (0,) * BUCKETS
_DAY_US = 86_400_000_000
_EPOCH = date(1970, 1, 1)


class SandboxDay(msgspec.Struct, frozen=True, kw_only=True):
    """
    The sandboxes of one *kind* on one *day* (UTC, as `2026-11-23`).

    *failures* are commands that did not exit with 0 or did not start, *time_limits* those that
    were ended by theirs, *commands_lost* those of which no outcome was known then. *lost*
    sandboxes were found gone, *leaked* ones could not be cleaned up. Fallbacks are counted by what
    was used (*fallbacks_to*) and by what was wanted (*fallbacks_from*, *refused*). *sandbox_us*
    adds up how long sandboxes that are gone existed, in microseconds.

    *startups* (from asking for a sandbox to having it) and *durations* (of commands) count in
    buckets: the first is below 1 ms, bucket n from 2^(n-1) ms to below 2^n ms, the last open.
    """

    day: str
    kind: str
    created: int = 0
    commands: int = 0
    failures: int = 0
    time_limits: int = 0
    cancelled: int = 0
    commands_lost: int = 0
    lost: int = 0
    leaked: int = 0
    fallbacks_to: int = 0
    fallbacks_from: int = 0
    refused: int = 0
    sandbox_us: int = 0
    startups: tuple[int, ...] = _NO_TIMES
    durations: tuple[int, ...] = _NO_TIMES


class _Sandbox(msgspec.Struct, frozen=True):
    ordinal: int
    kind: str
    since: int


class RunSandboxes(msgspec.Struct, frozen=True, kw_only=True):
    """What the fold of a run's next event needs: its sandboxes, and where commands run."""

    stream: str
    live: tuple[_Sandbox, ...] = ()
    open_command: str | None = None
    open_kind: str | None = None


METRICS = Table(
    "sandbox_metrics",
    SandboxDay,
    key=("day", "kind"),
    indexes=(("kind", "day"),),
    about="One row a day and kind of sandbox: how many, how long, and what went wrong.",
)
OF_RUN = Table("sandbox_runs", RunSandboxes, key=("stream",))


def bucket(microseconds: int) -> int:
    """Return the number of the bucket that a duration falls into."""
    return min((max(microseconds, 0) // 1000).bit_length(), BUCKETS - 1)


def day_of(microseconds: int) -> str:
    """Return the day, in UTC, of a time in microseconds."""
    return _day_word(microseconds // _DAY_US)


@lru_cache(maxsize=4096)
def _day_word(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()


class SandboxMetrics(Projection):
    """How sandboxes do, by day and kind."""

    name = "sandbox_metrics"
    version = 1
    tables = (METRICS, OF_RUN)
    reads_private = frozenset()

    @on(e.SandboxCreated)
    def created(self, record: Recorded, rows: Rows) -> None:
        """Count a sandbox, and how long it took to have it."""
        event = record.event
        assert isinstance(event, e.SandboxCreated)
        run = _run(record, rows)
        made = _Sandbox(event.ordinal, event.kind, record.occurred)
        rows.put(OF_RUN, msgspec.structs.replace(run, live=(*run.live, made)))
        _add(rows, record, event.kind, created=1)
        if event.startup_us is not None:
            _time(rows, record, event.kind, "startups", event.startup_us)

    @on(e.SandboxLost, e.CleanedUp, e.CleanupFailed)
    def gone(self, record: Recorded, rows: Rows) -> None:
        """Count a sandbox that is gone, or should be."""
        event = record.event
        if isinstance(event, e.CleanedUp | e.CleanupFailed) and event.resource != "sandbox":
            return
        ordinal: int = event.ordinal  # type: ignore[attr-defined]  # all three have one
        run = _run(record, rows)
        sandbox = next((one for one in run.live if one.ordinal == ordinal), None)
        if sandbox is None:
            return
        if isinstance(event, e.CleanupFailed):
            _add(rows, record, sandbox.kind, leaked=1)
            return
        left = tuple(one for one in run.live if one is not sandbox)
        rows.put(OF_RUN, msgspec.structs.replace(run, live=left))
        existed = max(record.occurred - sandbox.since, 0)
        is_lost = isinstance(event, e.SandboxLost)
        _add(rows, record, sandbox.kind, sandbox_us=existed, lost=int(is_lost))

    @on(e.FallbackTaken, e.FallbackRefused)
    def fell_back(self, record: Recorded, rows: Rows) -> None:
        """Count a fallback under both kinds."""
        event = record.event
        if isinstance(event, e.FallbackTaken) and event.component == "sandbox":
            _add(rows, record, event.used, fallbacks_to=1)
            _add(rows, record, event.wanted, fallbacks_from=1)
        elif isinstance(event, e.FallbackRefused) and event.component == "sandbox":
            _add(rows, record, event.wanted, refused=1)

    @on(e.CommandRequested)
    def requested(self, record: Recorded, rows: Rows) -> None:
        """Count a command, and note where it runs."""
        event = record.event
        assert isinstance(event, e.CommandRequested)
        run = _run(record, rows)
        kind = next((one.kind for one in run.live if one.ordinal == event.sandbox), None)
        rows.put(OF_RUN, msgspec.structs.replace(run, open_command=event.command, open_kind=kind))
        if kind is not None:
            _add(rows, record, kind, commands=1)

    @on(
        e.CommandExecuted,
        e.CommandNotStarted,
        e.CommandTimedOut,
        e.CommandCancelled,
        e.CommandLost,
    )
    def ended(self, record: Recorded, rows: Rows) -> None:
        """Count how a command ended, and how long it took."""
        event, run = record.event, _run(record, rows)
        if run.open_kind is None or run.open_command != getattr(event, "command", None):
            return
        match event:
            case e.CommandExecuted(exit_code=0):
                pass
            case e.CommandExecuted() | e.CommandNotStarted():
                _add(rows, record, run.open_kind, failures=1)
            case e.CommandTimedOut():
                _add(rows, record, run.open_kind, time_limits=1)
            case e.CommandCancelled():
                _add(rows, record, run.open_kind, cancelled=1)
            case _:
                _add(rows, record, run.open_kind, commands_lost=1)
        if (took := getattr(event, "duration_us", None)) is not None:
            _time(rows, record, run.open_kind, "durations", took)
        rows.put(OF_RUN, msgspec.structs.replace(run, open_command=None, open_kind=None))


def _run(record: Recorded, rows: Rows) -> RunSandboxes:
    return rows.get(OF_RUN, record.stream) or RunSandboxes(stream=record.stream)


def _day(rows: Rows, record: Recorded, kind: str) -> SandboxDay:
    day = day_of(record.occurred)
    return rows.get(METRICS, day, kind) or SandboxDay(day=day, kind=kind)


def _add(rows: Rows, record: Recorded, kind: str, **counts: int) -> None:
    row = _day(rows, record, kind)
    sums = {name: getattr(row, name) + count for name, count in counts.items()}
    rows.put(METRICS, msgspec.structs.replace(row, **sums))


def _time(
    rows: Rows,
    record: Recorded,
    kind: str,
    what: Literal["startups", "durations"],
    microseconds: int,
) -> None:
    row = _day(rows, record, kind)
    counts = list(getattr(row, what))
    counts[bucket(microseconds)] += 1
    rows.put(METRICS, msgspec.structs.replace(row, **{what: tuple(counts)}))
