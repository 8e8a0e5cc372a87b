"""What the ledger believes to exist: worktrees and sandboxes, and what has become of them.

Rule 1: recovery and gc compare this with what does exist; nothing here looks at the machine.
Rule 2: a row stays when its thing is gone: its `state` says so.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ledger import events as e
from ledger.events import OsText, Resource
from ledger.recorded import Recorded
from projections.projection import Projection, Table, on
from projections.rows import Rows

State = Literal["live", "lost", "cleaned", "leaked"]


class WorkspaceRow(msgspec.Struct, frozen=True, kw_only=True):
    """
    A worktree, a sandbox or a branch that a run made. Times are microseconds in UTC.

    *name* is its path, its id or its own name; *home* is the home of the ledger that made it.
    """

    stream: str
    resource: Resource
    ordinal: int
    task: str
    run: str
    home: str
    kind: str | None
    name: OsText | None
    state: State
    made_at: int
    changed_at: int


class WorkspaceRun(msgspec.Struct, frozen=True, kw_only=True):
    """What the fold of a run's next event needs."""

    stream: str
    task: str
    run: str
    home: str
    worktrees: int = 0


WORKSPACES = Table(
    "workspaces",
    WorkspaceRow,
    key=("stream", "resource", "ordinal"),
    indexes=(("state", "resource"),),
    about="One row a worktree, sandbox or branch that a run made, and what has become of it.",
)
OF_RUN = Table("workspace_runs", WorkspaceRun, key=("stream",))


class Workspaces(Projection):
    """What the ledger believes to exist: worktrees and sandboxes, and what became of them."""

    name = "workspaces"
    version = 1
    tables = (WORKSPACES, OF_RUN)
    by_stream = True
    reads_private = frozenset({e.WorktreeCreated, e.CleanupFailed})

    @on(e.RunOpened)
    def opened(self, record: Recorded, rows: Rows) -> None:
        """Note whose workspaces will follow."""
        event = record.event
        assert isinstance(event, e.RunOpened)
        run = WorkspaceRun(stream=record.stream, task=event.task, run=event.run, home=event.home)
        rows.put(OF_RUN, run)

    @on(e.WorktreeCreated, e.SandboxCreated)
    def made(self, record: Recorded, rows: Rows) -> None:
        """Add what was made."""
        event, run = record.event, rows.get(OF_RUN, record.stream)
        if run is None:
            return
        if isinstance(event, e.SandboxCreated):
            row = _row(record, run, "sandbox", event.ordinal, event.kind, event.id)
            rows.put(WORKSPACES, row)
        elif isinstance(event, e.WorktreeCreated):
            ordinal = run.worktrees + 1
            rows.put(OF_RUN, msgspec.structs.replace(run, worktrees=ordinal))
            text = event.private if isinstance(event.private, e.WorktreeCreatedText) else None
            path = text.path if text else None
            rows.put(WORKSPACES, _row(record, run, "worktree", ordinal, event.kind, path))

    @on(e.SandboxLost)
    def lost(self, record: Recorded, rows: Rows) -> None:
        """Mark a sandbox that was found gone."""
        assert isinstance(record.event, e.SandboxLost)
        _mark(record, rows, "sandbox", record.event.ordinal, "lost")

    @on(e.CleanedUp)
    def cleaned(self, record: Recorded, rows: Rows) -> None:
        """Mark what is gone."""
        assert isinstance(record.event, e.CleanedUp)
        _mark(record, rows, record.event.resource, record.event.ordinal, "cleaned")

    @on(e.CleanupFailed)
    def leaked(self, record: Recorded, rows: Rows) -> None:
        """Mark, or add, what may still be there."""
        event, run = record.event, rows.get(OF_RUN, record.stream)
        assert isinstance(event, e.CleanupFailed)
        known = rows.get(WORKSPACES, record.stream, event.resource, event.ordinal)
        if known is None and run is not None:
            # Made without an answer: no event said that it was.
            text = event.private if isinstance(event.private, e.CleanupText) else None
            name = text.name if text else None
            rows.put(WORKSPACES, _row(record, run, event.resource, event.ordinal, None, name))
        _mark(record, rows, event.resource, event.ordinal, "leaked")


def _row(
    record: Recorded,
    run: WorkspaceRun,
    resource: Resource,
    ordinal: int,
    kind: str | None,
    name: OsText | None,
) -> WorkspaceRow:
    return WorkspaceRow(
        stream=record.stream,
        resource=resource,
        ordinal=ordinal,
        task=run.task,
        run=run.run,
        home=run.home,
        kind=kind,
        name=name,
        state="live",
        made_at=record.occurred,
        changed_at=record.occurred,
    )


def _mark(record: Recorded, rows: Rows, resource: Resource, ordinal: int, state: State) -> None:
    row = rows.get(WORKSPACES, record.stream, resource, ordinal)
    if row is not None:
        changed = msgspec.structs.replace(row, state=state, changed_at=record.occurred)
        rows.put(WORKSPACES, changed)
