"""One row a run: what became of it, and with what isolation.

Rule 1: a row is the fold of the run's own events and of nothing else; it can be dropped and
folded again.
Rule 2: status, cleanliness and counts come from facts alone. What a missing private part would
have said is `None`, and `missing` counts the events that have lost theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import msgspec

from ledger import events as e
from ledger.events import Mode, OsText, RunEvent
from ledger.isolation import Axis, Isolation, lost
from ledger.recorded import Established, Recorded
from ledger.run import Cleanliness, Run, Status, evolve
from projections.projection import Projection, Table, on
from projections.rows import Rows


class RunStatus(msgspec.Struct, frozen=True, kw_only=True):
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


class Standing(msgspec.Struct, frozen=True):
    """A run in the middle of the fold: its state, and its row so far."""

    run: Run
    row: RunStatus


class RunState(msgspec.Struct, frozen=True):
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

    @on()
    def every(self, record: Recorded, rows: Rows) -> None:
        """Move the run's row and its state."""
        state, row = rows.get(STATES, record.stream), rows.get(RUNS, record.stream)
        if state is None or row is None:
            standing = begin(record)
        else:
            standing = follow(Standing(state.run, row), record)
        if standing is not None:
            rows.put(RUNS, standing.row)
            rows.put(STATES, RunState(record.stream, standing.run))


def fold_run_status(records: Iterable[Recorded]) -> RunStatus | None:
    """Return the row of the run that *records* are, or `None` if they are not a run's."""
    standing: Standing | None = None
    for record in records:
        standing = begin(record) if standing is None else follow(standing, record)
        if standing is None:
            return None
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


def follow(standing: Standing, record: Recorded) -> Standing:
    """Return the standing after the next event of the same run."""
    event = cast("RunEvent", record.event)
    run, row = evolve(standing.run, event), standing.row
    changed = msgspec.structs.replace(
        row,
        status=run.status,
        cleanliness=run.cleanliness,
        fallbacks=run.fallbacks,
        commands=run.commands,
        failed=row.failed + _failures(event),
        events=row.events + 1,
        missing=row.missing + (record.private == "missing"),
        last_event=type(event).__name__,
        last_at=record.occurred,
        last_position=record.position,
    )
    return Standing(run, _with_details(changed, record, event))


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


def _with_details(row: RunStatus, record: Recorded, event: RunEvent) -> RunStatus:
    replace = msgspec.structs.replace
    match event:
        case e.WorktreeCreated():
            return replace(row, worktree=event.kind)
        case e.SandboxCreated():
            weaker = lost(row.asked, event.had)
            return replace(row, sandbox=event.kind, sandbox_id=event.id, had=event.had, lost=weaker)
        case e.CommandDenied():
            return replace(row, denied=row.denied + 1)
        case e.PatchCaptured():
            return replace(
                row,
                files_changed=event.files,
                insertions=event.insertions,
                deletions=event.deletions,
            )
        case e.RunCompleted() | e.RunAbandoned():
            spent = record.occurred - row.opened_at
            return replace(row, ended_at=record.occurred, duration_us=spent)
        case _:
            return row
