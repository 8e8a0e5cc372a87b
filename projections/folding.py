"""Folds stored events with the handlers of one projection, up to the first that cannot be folded.

Rule 1: a projection stops just before the event that its handler raised at; of what the handler
had put by then nothing is kept.
Rule 2: an event that cannot be read (of an unknown type, or damaged) stops those that need it.
Rule 3: a view that cannot be read is not the handler's failure, whatever the handler made of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ledger.codec import TOPICS, decode
from ledger.errors import EventUnknown
from ledger.events import Event
from ledger.recorded import Recorded
from ledger.store import Row
from projections.projection import Handlers, Projection
from projections.rows import Key, Load, Rows
from projections.views import Failure


class Unread(msgspec.Struct, frozen=True):
    """A stored event that this version cannot read; *kind* is its type, where that is known."""

    row: Row
    kind: type[Event] | None
    message: str

    @property
    def position(self) -> int:
        """Its place in the log."""
        return self.row.position

    @property
    def stream(self) -> str:
        """The stream that it is in."""
        return self.row.stream


class Folded(msgspec.Struct, frozen=True):
    """The *rows* that events gave, the *position* of the last of them, and why it was the last."""

    rows: Rows
    position: int
    failure: Failure | None


class _Stopped(Exception):
    def __init__(self, index: int, failure: Failure) -> None:
        super().__init__(failure.message)
        self.index = index
        self.failure = failure


def read_events(page: Sequence[Row], readers: Iterable[Projection]) -> list[Recorded | Unread]:
    """Return the events that are stored in *page*, as far as their *readers* look at them."""
    private = _private_of(readers)
    events: list[Recorded | Unread] = []
    for row in page:
        try:
            events.append(decode(row, private))
        except (EventUnknown, msgspec.MsgspecError) as error:
            events.append(Unread(row, TOPICS.get(row.topic), str(error)))
    return events


def _private_of(readers: Iterable[Projection]) -> frozenset[type[Event]] | None:
    """Return the events whose private parts any of *readers* looks at; `None` is all."""
    read: frozenset[type[Event]] = frozenset()
    for projection in readers:
        if projection.reads_private is None:
            return None
        read |= projection.reads_private
    return read


def fold(
    projection: Projection,
    after: int,
    events: Sequence[Recorded | Unread],
    load: Load,
    *,
    is_checked: bool = False,
) -> Folded:
    """
    Fold those of *events* that have a position above *after*, as far as it goes.

    *load* returns rows as they were before. With *is_checked* a row that does not fit its table is
    refused to the handler that puts it. Raises whatever *load* raised.
    """
    handlers = projection.handlers
    loading = _Loading(load)
    rows = Rows(loading, is_checked=is_checked)
    failure: Failure | None = None
    try:
        position = _apply(handlers, after, events, rows)
    except _Stopped as stopped:
        loading.check()
        # The handler may have put half of its rows: everything before that event, once more.
        rows = Rows(loading, is_checked=is_checked)
        position = _apply(handlers, after, events[: stopped.index], rows)
        failure = stopped.failure
    loading.check()
    projection.settle(rows)
    return Folded(rows, position, failure)


class _Loading:
    """Remembers whether *load* ever raised, so that no handler can pass over it."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._error: Exception | None = None

    def __call__(self, table: Any, key: Key) -> Any:
        try:
            return self._load(table, key)
        except Exception as error:
            self._error = error
            raise

    def check(self) -> None:
        if self._error is not None:
            raise self._error


def _apply(handlers: Handlers, after: int, events: Sequence[Recorded | Unread], rows: Rows) -> int:
    """Fold the *events* above position *after* into *rows*; return the last one's position."""
    kinds, every = handlers.kinds, handlers.every
    for index, event in enumerate(events):
        if event.position <= after:
            continue
        if isinstance(event, Unread):
            if every is not None or event.kind in kinds:
                raise _Stopped(index, _failure(event.row, event.message))
        elif (folding := kinds.get(type(event.event), every)) is not None:
            try:
                folding(event, rows)
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
                raise _Stopped(index, _failure(event, said)) from error
        after = event.position
    return after


def _failure(place: Recorded | Row, message: str) -> Failure:
    return Failure(
        position=place.position,
        stream=place.stream,
        version=place.version,
        topic=place.topic,
        message=message,
    )
