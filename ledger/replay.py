"""State from events: the fold, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from ledger.events import Event, RunEvent
from ledger.run import Run, evolve


def fold(events: Iterable[Event], run: Run | None = None) -> Run:
    """Return the state that *events* amount to, from the beginning or from *run* on."""
    state = Run() if run is None else run
    for event in events:
        state = evolve(state, cast("RunEvent", event))
    return state
