"""Locks of runs in memory; a process that dies lets go of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

from ledger.errors import RunBusy


class FakeLocks:
    """A `RunLock`; *held* are the streams that some process holds."""

    def __init__(self, held: set[str]) -> None:
        self.held = held

    @contextlib.contextmanager
    def hold(self, stream: str) -> Iterator[None]:
        """Hold the lock of *stream* within the block; raises `RunBusy`."""
        if stream in self.held:
            raise RunBusy(f"cannot work in run {stream}: another process does")
        self.held.add(stream)
        try:
            yield
        finally:
            self.held.discard(stream)

    def state(self, stream: str) -> Literal["free", "held"]:
        """Say whether some process holds it."""
        return "held" if stream in self.held else "free"
