"""Moves projections along the log: a page of events, a fold, one transaction.

Rule 1: exactly once: the position is read, and written with the rows, inside the transaction
that has the turn to write. Killed at any point, what was not committed is folded again.
Rule 2: a handler that raises stops its own projection, just before that event, and no other; it
is tried again whenever the projections are brought up to date.
Rule 3: a rebuild goes into the next generation and goes on where an earlier one was interrupted;
two at once share the work. Readers have the live generation until the next one takes its place.
Rule 4: the same events give the same rows, whatever the pages that they came in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from ledger.codec import decode
from ledger.errors import EventUnknown
from ledger.events import Event
from ledger.recorded import Recorded
from ledger.store import Row, Store
from projections.projection import Handlers, Projection
from projections.rows import Rows
from projections.views import Failure, Generation, Standing, Views, Writing

PAGE = 5000

Progress = Callable[[int, int], None]


class _Unread(msgspec.Struct, frozen=True):
    """A stored event of a type that this version does not know."""

    row: Row
    message: str


class Engine:
    """
    What keeps *views* in step with *store*.

    *projections* are those that it moves; *page* is how many events go into a transaction.
    """

    def __init__(
        self, store: Store, views: Views, projections: Sequence[Projection], *, page: int = PAGE
    ) -> None:
        self.views = views
        self.projections = tuple(projections)
        self._store = store
        self._page = page
        self._handlers = {one.name: one.handlers() for one in projections}

    def catch_up(self, progress: Progress | None = None) -> list[Standing]:
        """
        Bring every projection to the end of the log, and return how far each has come.

        One that is not there, or of another version, is rebuilt. *progress* is told the position
        reached and the size of the log.
        """
        size = self._store.tree_head().size
        standings = {standing.name: standing for standing in self.views.standings()}
        stale = [one for one in self.projections if _is_stale(one, standings, size)]
        if stale:
            self._rebuild(stale, progress)
        behind = [one for one in self.projections if one not in stale]
        if any(standings[one.name].position < size - 1 for one in behind):
            self._advance(behind, "live", progress)
        known = {standing.name: standing for standing in self.views.standings()}
        return [known[one.name] for one in self.projections if one.name in known]

    def rebuild(self, progress: Progress | None = None) -> list[Standing]:
        """Fold every projection anew, from the first event, and swap it in."""
        self._rebuild(self.projections, progress)
        return self.catch_up(progress)

    def refold(self, stream: str) -> None:
        """
        Fold the rows of one *stream* anew, as far as their projections have come.

        What a private part that was erased since gave a row is dropped by that, everywhere.
        """
        with self.views.writing() as writing:
            for projection in self.projections:
                standing = writing.standing(projection.name, "live")
                if not projection.by_stream or standing is None:
                    continue
                writing.delete_stream(projection, stream)
                history = self._store.stream_rows(stream)
                known = [row for row in history if row.position <= standing.position]
                begun = Standing(name=standing.name, version=standing.version)
                rows, _ = self._fold(
                    projection, begun, _decoded(known, projection.reads_private), writing, "live"
                )
                writing.write(rows, standing, "live")

    def through(self, position: int, progress: Progress | None = None) -> None:
        """Fold every projection anew, from the first event to the one at *position*."""
        with self.views.writing() as writing:
            for projection in self.projections:
                writing.begin(projection, "next")
        self._advance(self.projections, "next", progress, last=position)
        with self.views.writing() as writing:
            for projection in self.projections:
                writing.swap(projection)

    def _rebuild(self, projections: Sequence[Projection], progress: Progress | None) -> None:
        with self.views.writing() as writing:
            for projection in projections:
                begun = writing.standing(projection.name, "next")
                if begun is None or begun.version != projection.version or begun.failure:
                    writing.begin(projection, "next")
        self._advance(projections, "next", progress)
        for projection in projections:
            with self.views.writing() as writing:
                self._swap(writing, projection)

    def _swap(self, writing: Writing, projection: Projection) -> None:
        made = writing.standing(projection.name, "next")
        if made is None:
            # Another process, at the same rebuild, was first.
            return
        live = writing.standing(projection.name, "live")
        if made.failure and live and live.version == made.version and live.position > made.position:
            # What the live generation knows is worth more than a fresh one that stopped early.
            writing.drop(projection, "next")
        else:
            writing.swap(projection)

    def _advance(
        self,
        projections: Sequence[Projection],
        generation: Generation,
        progress: Progress | None,
        *,
        last: int | None = None,
    ) -> None:
        retried: set[str] = set()
        while (reached := self._step(projections, generation, retried, last)) is not None:
            if progress is not None:
                progress(reached + 1, self._store.tree_head().size)

    def _step(
        self,
        projections: Sequence[Projection],
        generation: Generation,
        retried: set[str],
        last: int | None,
    ) -> int | None:
        """Fold one page; return the position that it ended at, or `None` at the end of the log."""
        with self.views.writing() as writing:
            found = {one: writing.standing(one.name, generation) for one in projections}
            moving = {
                one: standing
                for one, standing in found.items()
                if standing and (standing.failure is None or one.name not in retried)
            }
            # One that stopped is tried again by itself, so that it holds nobody back.
            for one, standing in list(moving.items()):
                if standing.failure is not None:
                    retried.add(one.name)
                    moving = {one: standing}
                    break
            if not moving:
                return None
            after = min(standing.position for standing in moving.values())
            limit = self._page if last is None else min(self._page, last - after)
            page = self._store.page(after=after, limit=limit) if limit > 0 else ()
            if not page:
                return after if any(s.failure for s in moving.values()) else None
            records = _decoded(page, _read_by(moving))
            for projection, standing in moving.items():
                rows, moved = self._fold(projection, standing, records, writing, generation)
                writing.write(rows, moved, generation)
            return page[-1].position

    def _fold(
        self,
        projection: Projection,
        standing: Standing,
        records: Sequence[Recorded | _Unread],
        writing: Writing,
        generation: Generation,
    ) -> tuple[Rows, Standing]:
        rows = Rows(lambda table, key: writing.load(table, key, generation))
        failure: Failure | None = None
        handlers, after = self._handlers[projection.name], standing.position
        try:
            at = _apply(handlers, after, records, rows)
        except _Stopped as stopped:
            # The handler may have put half of its rows: everything before that event, once more.
            rows = Rows(lambda table, key: writing.load(table, key, generation))
            at = _apply(handlers, after, records[: stopped.index], rows)
            failure = stopped.failure
        projection.settle(rows)
        return rows, msgspec.structs.replace(standing, position=at, failure=failure)


class _Stopped(Exception):
    def __init__(self, index: int, failure: Failure) -> None:
        super().__init__(failure.message)
        self.index = index
        self.failure = failure


def _apply(
    handlers: Handlers, after: int, records: Sequence[Recorded | _Unread], rows: Rows
) -> int:
    """Fold the *records* above position *after* into *rows*; return the last one's position."""
    kinds, every = handlers.kinds, handlers.every
    for index, record in enumerate(records):
        if isinstance(record, _Unread):
            if every is not None and record.row.position > after:
                raise _Stopped(index, _failure(record.row, record.message))
            after = max(after, record.row.position)
            continue
        if record.position <= after:
            continue
        folding = kinds.get(type(record.event), every)
        if folding is not None:
            try:
                folding(record, rows)
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
                raise _Stopped(index, _failure(record, said)) from error
        after = record.position
    return after


def _failure(place: Recorded | Row, message: str) -> Failure:
    return Failure(
        position=place.position,
        stream=place.stream,
        version=place.version,
        topic=place.topic,
        message=message,
    )


def _read_by(projections: Iterable[Projection]) -> frozenset[type[Event]] | None:
    """Return the events whose private parts any of *projections* looks at; `None` is all."""
    read: frozenset[type[Event]] = frozenset()
    for projection in projections:
        if projection.reads_private is None:
            return None
        read |= projection.reads_private
    return read


def _decoded(
    page: Sequence[Row], private: frozenset[type[Event]] | None
) -> list[Recorded | _Unread]:
    records: list[Recorded | _Unread] = []
    for row in page:
        try:
            records.append(decode(row, private))
        except EventUnknown as error:
            records.append(_Unread(row, str(error)))
    return records


def _is_stale(projection: Projection, standings: dict[str, Standing], size: int) -> bool:
    standing = standings.get(projection.name)
    # A view that is ahead of the log is another log's.
    return standing is None or standing.version != projection.version or standing.position >= size
