"""What reads a ledger: its views, the engine that keeps them in step, and the questions.

Rule 1: whoever asks has the views brought up to date first; what stopped is said, never hidden.
Rule 2: finding a run by its name writes nothing: what the view does not know yet is looked up.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Self

from ledger.finding import read_named
from projections.built_in import BUILT_IN
from projections.engine import Engine, Progress
from projections.queries import Queries, RunFilter

if TYPE_CHECKING:
    from types import TracebackType

    from ledger.journal import Journal
    from projections.projection import Projection
    from projections.views import KeptViews, Standing


class Reader:
    """The *views* of *journal*, with the built-in projections."""

    def __init__(self, journal: Journal, views: KeptViews) -> None:
        self.journal = journal
        self.views = views
        self.queries = Queries(views)

    def engine(self, projections: Sequence[Projection] = BUILT_IN) -> Engine:
        """Return what moves *projections* along the log."""
        return Engine(self.journal.store, self.views, projections)

    def catch_up(self, progress: Progress | None = None) -> list[Standing]:
        """Bring the built-in views to the end of the log; return those that stopped before it."""
        standings = self.engine().catch_up(progress)
        return [standing for standing in standings if standing.failure is not None]

    def named(self, task: str, run: str) -> Iterator[tuple[str, str]]:
        """Yield stream and task of each run with this id; an empty *task* is any."""
        known = {standing.name: standing for standing in self.views.standings()}
        standing = known.get("run_status")
        position = -1 if standing is None else standing.position
        if standing is not None:
            wanted = RunFilter(task=task or None, run=run)
            yield from ((row.stream, row.task) for row in self.queries.runs(wanted))
        yield from read_named(self.journal, task, run, after=position)

    @contextlib.contextmanager
    def now(self) -> Iterator[Queries]:
        """Lend the questions to the views as they stand."""
        yield self.queries

    @contextlib.contextmanager
    def as_of(self, position: int) -> Iterator[Queries]:
        """Lend the questions to views folded anew through *position*, gone when the block ends."""
        with self.views.scratch() as views:
            Engine(self.journal.store, views, BUILT_IN).through(position)
            yield Queries(views)

    def close(self) -> None:
        """Let go of the views."""
        self.views.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
