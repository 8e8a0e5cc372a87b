"""What a reader may ask: runs, events, commands, sandboxes, and the numbers of a dashboard.

Rule 1: answers are read from views and never folded; whoever asks has them brought up to date.
Rule 2: pages go by key, newest first but for the audit trail, whose order is the log's.
Rule 3: nothing here fails because a private part is missing.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ledger.events import OsText
from projections.audit_trail import TRAIL, AuditRow
from projections.columns import Cell, RowT, encode_os_text
from projections.commands import COMMANDS, CommandRow
from projections.criteria import Criteria
from projections.projection import Table
from projections.run_details import DETAILS, RunDetails
from projections.run_status import RUNS, RunStatus
from projections.run_view import RunView, view
from projections.sandbox_metrics import METRICS, SandboxDay
from projections.views import Tables
from projections.workspaces import WORKSPACES, State, WorkspaceRow

_PAGE = 1000
_OF_TASK = "t.stream IN (SELECT stream FROM run_status WHERE task = ?)"
# Imported journals are no runs: their events alone say which task they are of.
_OF_TASK_OR_IMPORTED = (
    "t.stream IN (SELECT stream FROM run_status WHERE task = ? UNION SELECT stream"
    " FROM audit_trail WHERE event = 'LegacyEventImported' AND task = ?)"
)


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """
    Which runs are wanted; what is `None` or `False` says nothing.

    Times are in microseconds, UTC. *repository* is a shared git directory, *directory* the one
    that a run without a repository was opened in; *sandbox* is the kind that was had.
    """

    task: str | None = None
    run: str | None = None
    status: str | None = None
    since: int | None = None
    until: int | None = None
    actor: str | None = None
    sandbox: str | None = None
    repository: OsText | None = None
    directory: OsText | None = None
    fell_back: bool = False
    leaked: bool = False


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """
    Which events are wanted: of a run (its *stream*), of a *task*, by class name, by when they were
    recorded (microseconds), by who acted, by all the texts that are in the row, by the positions
    they come after and go to.
    """

    stream: str | None = None
    task: str | None = None
    events: frozenset[str] = frozenset()
    since: int | None = None
    until: int | None = None
    actor: str | None = None
    search: tuple[str, ...] = ()
    after: int = -1
    through: int | None = None


class CommandFilter(msgspec.Struct, frozen=True, kw_only=True):
    """
    Which commands are wanted: of a run (its *stream*), of a *task*, by how they ended, by when they
    were requested (microseconds), by a *text* in what was run.
    """

    stream: str | None = None
    task: str | None = None
    status: str | None = None
    exit_code: int | None = None
    since: int | None = None
    until: int | None = None
    text: str | None = None


class Queries:
    """Answers from *tables*, as they stand."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    def runs(
        self, wanted: RunFilter, *, before: RunStatus | None = None, limit: int | None = None
    ) -> list[RunStatus]:
        """Return the runs that are *wanted*, newest first: those that come after *before*."""
        criteria = (
            Criteria(RUNS)
            .equal(task=wanted.task, run=wanted.run, status=wanted.status, actor=wanted.actor)
            .equal(sandbox=wanted.sandbox, cleanliness="leaked" if wanted.leaked else None)
            .equal(repository=_cell(wanted.repository), directory=_cell(wanted.directory))
            .within("opened_at", wanted.since, wanted.until)
        )
        if wanted.fell_back:
            criteria.where("t.fallbacks > 0")
        if before is not None:
            criteria.where("(t.opened_at, t.stream) < (?, ?)", before.opened_at, before.stream)
        return criteria.read(self.tables, order="t.opened_at DESC, t.stream DESC", limit=limit)

    def run(self, stream: str) -> RunStatus | None:
        """Return the row of one run."""
        found = Criteria(RUNS).equal(stream=stream).read(self.tables, order="t.stream")
        return found[0] if found else None

    def whole_run(self, stream: str) -> RunView | None:
        """Return one run with its commands and everything that it made, used and left."""
        row = self.run(stream)
        if row is None:
            return None
        found = Criteria(DETAILS).equal(stream=stream).read(self.tables, order="t.stream")
        commands = Criteria(COMMANDS).equal(stream=stream).read(self.tables, order="t.position")
        return view(row, found[0] if found else RunDetails(stream=stream), commands)

    def audit(
        self, wanted: AuditFilter, *, newest_first: bool = False, limit: int | None = None
    ) -> list[AuditRow]:
        """Return the events that are *wanted*, in the order of the log or from its end."""
        criteria = Criteria(TRAIL)
        first, last = wanted.after + 1, wanted.through
        if wanted.search:
            criteria.found(self.tables.matching(TRAIL, wanted.search), by="position")
            if wanted.stream is not None:
                # What was found in other runs need not be looked up to be passed over.
                of_run = Criteria(TRAIL).equal(stream=wanted.stream)
                first = max(first, of_run.first(self.tables, "position") or 0)
                last = _least(last, of_run.last(self.tables, "position"))
        criteria.numbered("position", first or None, last)
        criteria.among("event", wanted.events).equal(stream=wanted.stream, actor=wanted.actor)
        criteria.within("recorded_at", wanted.since, wanted.until)
        if wanted.task is not None:
            criteria.where(_OF_TASK_OR_IMPORTED, wanted.task, wanted.task)
        order = "t.position DESC" if newest_first else "t.position"
        return criteria.read(self.tables, order=order, limit=limit)

    def last_before(self, time: int) -> int:
        """
        Return the last position of the longest beginning of the log that is not later than *time*.

        *time* is in microseconds. Nothing in that beginning was recorded after it; -1 is an empty
        beginning.
        """
        later = Criteria(TRAIL).within("recorded_at", time + 1, None).first(self.tables, "position")
        if later is not None:
            return int(later) - 1
        last = Criteria(TRAIL).last(self.tables, "position")
        return -1 if last is None else int(last)

    def every_event(self, wanted: AuditFilter) -> Iterator[AuditRow]:
        """Yield all the events that are *wanted*, in the order of the log, in bounded memory."""
        if wanted.since is not None:
            begin = Criteria(TRAIL).within("recorded_at", wanted.since, None)
            first = begin.first(self.tables, "position")
            if first is None:
                return
            wanted = msgspec.structs.replace(wanted, after=max(wanted.after, first - 1))
        while page := self.audit(wanted, limit=_PAGE):
            yield from page
            if len(page) < _PAGE:
                return
            wanted = msgspec.structs.replace(wanted, after=page[-1].position)

    def commands(
        self, wanted: CommandFilter, *, before: CommandRow | None = None, limit: int | None = None
    ) -> list[CommandRow]:
        """Return the commands that are *wanted*, newest first: those that come after *before*."""
        criteria = Criteria(COMMANDS)
        if wanted.text is not None:
            # The event that asked for it has its words, and its position.
            search = self.tables.matching(TRAIL, [wanted.text], "what")
            criteria.found(search, by="position")
        if before is not None:
            criteria.numbered("position", None, before.position - 1)
        criteria.equal(stream=wanted.stream, status=wanted.status, exit_code=wanted.exit_code)
        criteria.within("requested_at", wanted.since, wanted.until)
        if wanted.task is not None:
            criteria.where(_OF_TASK, wanted.task)
        return criteria.read(self.tables, order="t.position DESC", limit=limit)

    def slowest_commands(self, *, since: int | None = None, limit: int) -> list[CommandRow]:
        """Return the commands that took longest, of those requested from *since* on."""
        # Which they are is in an index; the rows are looked up only of those.
        criteria = Criteria(COMMANDS).where("t.duration_us IS NOT NULL")
        criteria.within("requested_at", since, None)
        order = "t.duration_us DESC" if since is None else "+t.duration_us DESC"
        keys = criteria.cells(self.tables, ("stream", "command"), order=order, limit=limit)
        return [
            row
            for stream, command in keys
            for row in Criteria(COMMANDS)
            .equal(stream=stream, command=command)
            .read(self.tables, order="t.position")
        ]

    def sandbox_days(
        self, *, kind: str | None = None, since: str | None = None
    ) -> list[SandboxDay]:
        """Return the metrics of each day from *since* on (as `2026-11-23`), and of each kind."""
        criteria = Criteria(METRICS).equal(kind=kind)
        if since is not None:
            criteria.where("t.day >= ?", since)
        return criteria.read(self.tables, order="t.day, t.kind")

    def workspaces(
        self,
        *,
        home: str | None = None,
        task: str | None = None,
        since: int | None = None,
        states: tuple[State, ...] = (),
    ) -> list[WorkspaceRow]:
        """Return what was made in a *home*, for a *task*, and is one of *states*, oldest first."""
        criteria = Criteria(WORKSPACES).equal(home=home, task=task).among("state", states)
        criteria.within("made_at", since, None)
        return criteria.read(self.tables, order="t.made_at, t.stream, t.resource, t.ordinal")

    def every_row(self, table: Table[RowT]) -> list[RowT]:
        """Return all rows of a table, in the order of its key."""
        order = ", ".join(f't."{name}"' for name in table.key)
        return Criteria(table).read(self.tables, order=order)


def _cell(text: OsText | None) -> Cell:
    return None if text is None else encode_os_text(text)


def _least(one: int | None, other: int | None) -> int | None:
    known = [number for number in (one, other) if number is not None]
    return min(known) if known else None
