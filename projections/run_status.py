"""One row a run: what became of it, and with what isolation.

Rule 1: a row is the fold of the run's own events and of nothing else; it can be dropped and
folded again.
Rule 2: status, cleanliness and counts come from facts alone. What a missing private part would
have said is `None`, and `missing` counts the events that have lost theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import msgspec

from ledger import events as e
from ledger.events import Mode, OsText, RunEvent
from ledger.isolation import Axis, Isolation, lost
from ledger.recorded import Established, Recorded
from ledger.run import Cleanliness, Run, Status, evolve
from projections.projection import Projection, Table, on
from projections.rows import Rows


class RunStatus(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    A run as a reader wants it.

    Times are microseconds in UTC. *commands* counts those that were requested, *failed* those of
    them that are known not to have exited with 0, *denied* those that never were requested.
    *sandbox* and *had* are those of the newest sandbox, *lost* what *had* lacks of *asked*.
    *repository* is the git directory that the checkout's worktrees share.
    """

    stream: str
    task: str
    run: str
    status: Status
    cleanliness: Cleanliness | None
    mode: Mode
    home: str
    parent: str | None
    opened_at: int
    ended_at: int | None = None
    duration_us: int | None = None
    commands: int = 0
    failed: int = 0
    denied: int = 0
    fallbacks: int = 0
    sandbox_wanted: str
    sandbox: str | None = None
    sandbox_id: str | None = None
    worktree: str | None = None
    asked: Isolation
    had: Isolation | None = None
    lost: tuple[Axis, ...] = ()
    files_changed: int | None = None
    insertions: int | None = None
    deletions: int | None = None
    actor: str | None
    via: Established
    host: str | None
    profile: str | None
    directory: OsText | None
    checkout: OsText | None
    repository: OsText | None
    labels: dict[str, str] | None
    events: int = 1
    missing: int = 0
    last_event: str
    last_at: int
    last_position: int


class Standing(msgspec.Struct, frozen=True, gc=False):
    """A run in the middle of the fold: its state, and its row so far."""

    run: Run
    row: RunStatus


class RunState(msgspec.Struct, frozen=True, gc=False):
    """What the fold of a run's next event needs beside its row."""

    stream: str
    run: Run


RUNS = Table(
    "run_status",
    RunStatus,
    key=("stream",),
    indexes=(
        ("opened_at",),
        ("task", "opened_at"),
        ("status", "opened_at"),
        ("run",),
        ("cleanliness",),
    ),
    about="One row a run: what became of it, and with what isolation.",
)
STATES = Table("run_states", RunState, key=("stream",))


class RunStatuses(Projection):
    """One row a run: what became of it, and with what isolation."""

    name = "run_status"
    version = 1
    tables = (RUNS, STATES)
    by_stream = True

    reads_private = frozenset({e.RunOpened})

    @on()
    def every(self, record: Recorded, rows: Rows) -> None:
        """Note an event of the run, for `settle` to fold with the others of the page."""
        stream = record.stream
        if record.version == 0:
            rows.pending[stream] = Stretch(begin(record))
            return
        stretch = rows.pending.get(stream)
        if stretch is None:
            state, row = rows.get(STATES, stream), rows.get(RUNS, stream)
            stretch = Stretch(Standing(state.run, row) if state and row else None)
            rows.pending[stream] = stretch
        stretch.follow(record)

    def settle(self, rows: Rows) -> None:
        """Put the row and the state of each run of the page."""
        for stream, stretch in rows.pending.items():
            standing = stretch.end()
            if standing is not None:
                rows.put(RUNS, standing.row)
                rows.put(STATES, RunState(stream, standing.run))


def fold_run_status(records: Iterable[Recorded]) -> RunStatus | None:
    """Return the row of the run that *records* are, or `None` if they are not a run's."""
    stretch: Stretch | None = None
    for record in records:
        if stretch is None:
            stretch = Stretch(begin(record))
        else:
            stretch.follow(record)
    standing = stretch.end() if stretch else None
    return standing.row if standing else None


def begin(record: Recorded) -> Standing | None:
    """Return the standing after a stream's first event, or `None` if it does not open a run."""
    event = record.event
    if not isinstance(event, e.RunOpened):
        return None
    run = evolve(Run(), event)
    text = event.private if isinstance(event.private, e.RunOpenedText) else None
    repository = text.repository if text else None
    row = RunStatus(
        stream=record.stream,
        task=event.task,
        run=event.run,
        status=run.status,
        cleanliness=run.cleanliness,
        mode=event.mode,
        home=event.home,
        parent=event.parent,
        opened_at=record.occurred,
        sandbox_wanted=event.sandbox_wanted,
        asked=event.asked,
        actor=record.actor,
        via=record.via,
        host=record.host,
        profile=text.rules.profile if text else None,
        directory=text.directory if text else None,
        checkout=repository.root if repository else None,
        repository=repository.common_dir if repository else None,
        labels=text.labels if text else None,
        missing=int(record.private == "missing"),
        last_event=type(event).__name__,
        last_at=record.occurred,
        last_position=record.position,
    )
    return Standing(run, row)


class Stretch:
    """
    Some events of one run, one after the other, from *standing* on; `None` is no run.

    The state moves with each event; the row is put together once, at the end.
    """

    __slots__ = ("_changes", "_events", "_failed", "_last", "_missing", "_row", "_run")

    def __init__(self, standing: Standing | None) -> None:
        self._run = standing.run if standing else None
        self._row = standing.row if standing else None
        self._changes: dict[str, Any] = {}
        self._events = self._failed = self._missing = 0
        self._last: Recorded | None = None

    def follow(self, record: Recorded) -> None:
        """Take the next event of the run."""
        if self._run is None or self._row is None:
            return
        event = cast("RunEvent", record.event)
        self._run = evolve(self._run, event)
        self._events += 1
        self._missing += record.private == "missing"
        self._failed += _failures(event)
        if isinstance(event, _TELLING):
            _note(self._changes, self._row, record, event)
        self._last = record

    def end(self) -> Standing | None:
        """Return the standing after the last of the events."""
        run, row, last = self._run, self._row, self._last
        if run is None or row is None:
            return None
        if last is None:
            return Standing(run, row)
        denied = self._changes.pop("denied", 0)
        changed = msgspec.structs.replace(
            row,
            status=run.status,
            cleanliness=run.cleanliness,
            fallbacks=run.fallbacks,
            commands=run.commands,
            failed=row.failed + self._failed,
            denied=row.denied + denied,
            events=row.events + self._events,
            missing=row.missing + self._missing,
            last_event=type(last.event).__name__,
            last_at=last.occurred,
            last_position=last.position,
            **self._changes,
        )
        return Standing(run, changed)


def _failures(event: RunEvent) -> int:
    match event:
        case e.CommandExecuted():
            return int(event.exit_code != 0)
        case e.CommandNotStarted() | e.CommandTimedOut() | e.CommandCancelled() | e.CommandLost():
            return 1
        case e.CommandOutcomeFound(outcome="executed", exit_code=0):
            # It was counted when it was called lost.
            return -1
        case _:
            return 0


# The events that say something of the row that the run's state does not know.
_TELLING = (
    e.WorktreeCreated,
    e.SandboxCreated,
    e.CommandDenied,
    e.PatchCaptured,
    e.RunCompleted,
    e.RunAbandoned,
)


def _note(changes: dict[str, Any], row: RunStatus, record: Recorded, event: RunEvent) -> None:
    match event:
        case e.WorktreeCreated():
            changes["worktree"] = event.kind
        case e.SandboxCreated():
            weaker = lost(row.asked, event.had)
            changes |= {"sandbox": event.kind, "sandbox_id": event.id, "had": event.had}
            changes["lost"] = weaker
        case e.CommandDenied():
            changes["denied"] = changes.get("denied", 0) + 1
        case e.PatchCaptured():
            changes |= {"files_changed": event.files, "insertions": event.insertions}
            changes["deletions"] = event.deletions
        case e.RunCompleted() | e.RunAbandoned():
            changes["ended_at"] = record.occurred
            changes["duration_us"] = record.occurred - row.opened_at
        case _:
            return
