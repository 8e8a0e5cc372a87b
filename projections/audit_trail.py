"""One row an event, in the order of the log: when, who, in which run, what, and where.

Rule 1: a row is made of its event and of what the run's earlier events say of the place; it can
be dropped and folded again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

import msgspec

from ledger import events as e
from ledger.isolation import Isolation
from ledger.recorded import Established, Recorded
from projections.projection import Projection, Table, on
from projections.rows import Rows
from projections.sentences import AnyEvent, sentence

_LONGEST_SENTENCE = 500


class AuditRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    An event as a reader wants it. Times are microseconds in UTC.

    *where* is the sandbox that the run had by then, `kind id`, or `host` before it had one;
    *isolation* what that sandbox gave. *task* and *run* are `None` for the ledger's own events.
    """

    position: int
    stream: str
    version: int
    task: str | None
    run: str | None
    occurred_at: int
    recorded_at: int
    event: str
    topic: str
    what: str
    command: str | None
    actor: str | None
    via: Established
    on_behalf_of: str | None
    host: str | None
    where: str
    isolation: Isolation | None
    trace: str
    caller_trace: str | None
    missing: bool


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What the earlier events of a stream say about the next one: whose it is, and where."""

    task: str | None = None
    run: str | None = None
    where: str = "host"
    had: Isolation | None = None


class RunPlace(msgspec.Struct, frozen=True):
    """What the fold of a stream's next event needs."""

    stream: str
    place: Place


TRAIL = Table(
    "audit_trail",
    AuditRow,
    key=("position",),
    indexes=(
        ("stream", "position"),
        ("event", "position"),
        ("recorded_at",),
        ("actor", "position"),
    ),
    search=("what", "actor", "task", "run", "event", "where", "host"),
    about="One row an event, in the order of the log: when, who, in which run, what, and where.",
)
PLACES = Table("audit_places", RunPlace, key=("stream",))


class AuditTrail(Projection):
    """One row an event, in the order of the log: when, who, in which run, what, and where."""

    name = "audit_trail"
    version = 1
    tables = (TRAIL, PLACES)
    by_stream = True

    @on()
    def every(self, record: Recorded, rows: Rows) -> None:
        """Add the event's row, and note where the run is by then."""
        known = rows.get(PLACES, record.stream) if record.version else None
        before = known.place if known else Place()
        place = move(before, record)
        if known is None or place is not before:
            rows.put(PLACES, RunPlace(record.stream, place))
        rows.put(TRAIL, row_of(place, record))


def fold_audit_trail(records: Iterable[Recorded]) -> Iterator[AuditRow]:
    """Yield the rows of *records*, which are whole streams, in any mixture."""
    places: dict[str, Place] = {}
    for record in records:
        place = move(places.get(record.stream, Place()), record)
        places[record.stream] = place
        yield row_of(place, record)


def move(place: Place, record: Recorded) -> Place:
    """Return where a run is after one more of its events."""
    match record.event:
        case e.RunOpened(task=task, run=run):
            return Place(task=task, run=run)
        case e.LegacyEventImported(task=task, run=run) if place.task is None:
            return Place(task=task, run=run)
        case e.SandboxCreated(kind=kind, id=id, had=had):
            return msgspec.structs.replace(place, where=f"{kind} {id}", had=had)
        case e.SandboxLost() | e.CleanedUp(resource="sandbox"):
            return msgspec.structs.replace(place, where="host", had=None)
        case _:
            return place


def row_of(place: Place, record: Recorded) -> AuditRow:
    """Return the row of an event that happened in *place*."""
    event = cast("AnyEvent", record.event)
    return AuditRow(
        position=record.position,
        stream=record.stream,
        version=record.version,
        task=place.task,
        run=place.run,
        occurred_at=record.occurred,
        recorded_at=record.recorded,
        event=type(event).__name__,
        topic=record.topic,
        what=_short(sentence(event)),
        command=getattr(event, "command", None),
        actor=record.actor,
        via=record.via,
        on_behalf_of=record.on_behalf_of,
        host=record.host,
        where=place.where,
        isolation=place.had,
        trace=record.trace,
        caller_trace=record.caller_trace,
        missing=record.private == "missing",
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SENTENCE else f"{text[: _LONGEST_SENTENCE - 1]}…"
