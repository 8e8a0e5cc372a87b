"""The processes of a machine that outlived who ran them."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.liveness import ProcessMark


class FakeSurvivors:
    """A `Survivors`; *running* are the processes that there are, *stubborn* those that stay."""

    def __init__(self, running: set[int], stubborn: set[int]) -> None:
        self._running = running
        self._stubborn = stubborn

    def end(self, stream: str, marks: Sequence[ProcessMark]) -> int:
        """End whoever is noted."""
        noted = {mark.pid for mark in marks}
        self._running -= noted - self._stubborn
        return len(self._running & noted)
