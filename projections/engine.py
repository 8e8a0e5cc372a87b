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

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from ledger.errors import InputInvalid
from ledger.recorded import Recorded
from ledger.store import Store
from projections.folding import Unread, fold, read_events
from projections.projection import Projection
from projections.rows import Key, Rows
from projections.views import Generation, Standing, Views, Writing

PAGE = 5000

Progress = Callable[[int, int], None]


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

    def catch_up(self, progress: Progress | None = None) -> list[Standing]:
        """
        Bring every projection to the end of the log, and return how far each has come.

        One that is not there, or of another version, is rebuilt. *progress* is told the position
        reached and the size of the log.
        """
        size = self._store.tree_head().size
        standings = {standing.name: standing for standing in self.views.standings()}
        stale = [
            one
            for one in self.projections
            if one.name not in standings or not _is_of(standings[one.name], one, size)
        ]
        if stale:
            self._rebuild(stale, progress)
        behind = [one for one in self.projections if one not in stale]
        if any(standings[one.name].position < size - 1 for one in behind):
            self._advance(_Way(behind, "live"), progress)
        known = {standing.name: standing for standing in self.views.standings()}
        return [known[one.name] for one in self.projections if one.name in known]

    def rebuild(self, progress: Progress | None = None) -> list[Standing]:
        """Fold every projection anew, from the first event, and swap it in."""
        self._rebuild(self.projections, progress)
        return self.catch_up(progress)

    def refold(self, *streams: str) -> None:
        """
        Fold the rows of *streams* anew, as far as their projections have come.

        What private parts that were erased since gave to views is dropped by that, everywhere: a
        view that cannot be folded anew in part, because it is of another version, of a projection
        that is not ours or of one that now fails, is dropped whole and built when it is wanted.
        """
        history = [
            event
            for one in streams
            for event in read_events(self._store.stream_rows(one), self.projections)
        ]
        ours = {projection.name: projection for projection in self.projections}
        with self.views.writing() as writing:
            writing.erase()
            for name in writing.names():
                writing.drop(name, "next")
                standing = writing.standing(name, "live")
                if standing is None:
                    continue
                if name not in ours or not _is_of(standing, ours[name]):
                    writing.drop(name, "live")
                else:
                    self._refold(ours[name], standing, streams, history, writing)

    def through(self, position: int, progress: Progress | None = None) -> None:
        """Fold every projection anew, from the first event to the one at *position*."""
        with self.views.writing() as writing:
            for projection in self.projections:
                writing.begin(projection, "next")
        self._advance(_Way(self.projections, "next", position), progress)
        with self.views.writing() as writing:
            for projection in self.projections:
                writing.swap(projection)

    def _refold(
        self,
        projection: Projection,
        standing: Standing,
        streams: Sequence[str],
        history: Sequence[Recorded | Unread],
        writing: Writing,
    ) -> None:
        if standing.failure and standing.failure.stream in streams:
            # What the handler said may quote what is gone; the next attempt says it anew.
            standing = replace(standing, failure=None)
        load = partial(_load, writing, "live")
        if not projection.by_stream:
            writing.write(Rows(load), standing, "live")
            return
        writing.delete_streams(projection, streams)
        known = [event for event in history if event.position <= standing.position]
        for stream in streams:
            own = [event for event in known if event.stream == stream]
            folded = fold(projection, -1, own, load)
            if folded.failure is not None:
                writing.drop(projection.name, "live")
                return
            writing.write(folded.rows, standing, "live")

    def _rebuild(self, projections: Sequence[Projection], progress: Progress | None) -> None:
        size = self._store.tree_head().size
        with self.views.writing() as writing:
            for projection in projections:
                begun = writing.standing(projection.name, "next")
                if begun is None or begun.failure or not _is_of(begun, projection, size):
                    writing.begin(projection, "next")
        self._advance(_Way(projections, "next"), progress)
        for projection in projections:
            with self.views.writing() as writing:
                self._swap(writing, projection, size)

    def _swap(self, writing: Writing, projection: Projection, size: int) -> None:
        made = writing.standing(projection.name, "next")
        if (
            made is None
            or not _is_of(made, projection)
            or (made.failure is None and made.position < size - 1)
        ):
            # Another process, at the same rebuild, was first; what is there now is begun anew.
            return
        live = writing.standing(projection.name, "live")
        if made.failure and live and live.version == made.version and live.position > made.position:
            # What the live generation knows is worth more than a fresh one that stopped early.
            writing.drop(projection.name, "next")
        else:
            writing.swap(projection)

    def _advance(self, way: _Way, progress: Progress | None) -> None:
        is_checked = False
        while True:
            try:
                reached = self._step(way, is_checked=is_checked)
            except InputInvalid:
                # A row does not fit its table: the same page again, to know which event gave it.
                if is_checked:
                    raise
                is_checked = True
                continue
            is_checked = False
            if reached is None:
                return
            if progress is not None:
                progress(reached + 1, self._store.tree_head().size)

    def _step(self, way: _Way, *, is_checked: bool) -> int | None:
        """Fold one page; return the position that it ended at, or `None` at the end of the log."""
        with self.views.writing() as writing:
            moving = _moving(way, writing)
            if not moving:
                return None
            after = min(standing.position for standing in moving.values())
            limit = self._page if way.last is None else min(self._page, way.last - after)
            page = self._store.page(after=after, limit=limit) if limit > 0 else ()
            if not page:
                return after if any(s.failure for s in moving.values()) else None
            events = read_events(page, moving)
            for projection, standing in moving.items():
                folded = fold(
                    projection,
                    standing.position,
                    events,
                    partial(_load, writing, way.generation),
                    is_checked=is_checked,
                )
                moved = replace(standing, position=folded.position, failure=folded.failure)
                writing.write(folded.rows, moved, way.generation)
            return page[-1].position


class _Way(msgspec.Struct, frozen=True):
    """
    One way along the log, of these *projections*: into which generation, up to which event.

    *retried* are those that had stopped and were tried again on the way.
    """

    projections: Sequence[Projection]
    generation: Generation
    last: int | None = None
    retried: set[str] = msgspec.field(default_factory=set)


def _moving(way: _Way, writing: Writing) -> dict[Projection, Standing]:
    moving = {}
    for projection in way.projections:
        standing = writing.standing(projection.name, way.generation)
        # Of another version it is another program's: our handlers are not for its tables.
        if standing is None or not _is_of(standing, projection):
            continue
        if standing.failure is None:
            moving[projection] = standing
        elif projection.name not in way.retried:
            # One that stopped is tried again by itself, so that it holds nobody back.
            way.retried.add(projection.name)
            return {projection: standing}
    return moving


def _load(writing: Writing, generation: Generation, table: Any, key: Key) -> Any:
    return writing.load(table, key, generation)


def _is_of(standing: Standing, projection: Projection, size: int | None = None) -> bool:
    """Say whether a standing is of this version, and of a log with so many events at least."""
    # A view that is ahead of the log is another log's.
    is_ahead = size is not None and standing.position >= size
    return standing.version == projection.version and not is_ahead
