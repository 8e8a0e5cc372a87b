"""Locks of runs in memory; a process that dies lets go of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Literal

from ledger.errors import RunBusy
from ledger.liveness import ProcessMark
from tests.fakes.fuse import Crash


class FakeHold:
    """A lock that is held; *files* are what is noted of each stream, *left* what was before."""

    def __init__(self, files: dict[str, tuple[int, ...]], stream: str) -> None:
        self._files = files
        self._stream = stream
        self.left = tuple(ProcessMark(pid, 1, "boot") for pid in files.get(stream, ()))
        self._files[stream] = ()
        self.remembered = False

    def note(self, pids: Sequence[int]) -> None:
        """Note the processes that would have to be ended if we died."""
        self._files[self._stream] = tuple(pids)

    def remember(self, run: bool) -> None:
        """Say whether the run is still known when it is let go."""
        self.remembered = run


class FakeLocks:
    """A `RunLock`; *held* are the streams that some process holds, *files* their notes."""

    def __init__(self, held: set[str], files: dict[str, tuple[int, ...]]) -> None:
        self.held = held
        self.files = files

    @contextlib.contextmanager
    def hold(self, stream: str) -> Iterator[FakeHold]:
        """Hold the lock of *stream* within the block; raises `RunBusy`."""
        if stream in self.held:
            raise RunBusy(f"cannot work in run {stream}: another process does")
        self.held.add(stream)
        hold = FakeHold(self.files, stream)
        try:
            yield hold
        except Crash:
            # A process that died removes nothing: the file stays, and the machine lets go.
            raise
        except BaseException:
            self._let_go(stream, hold)
            raise
        else:
            self._let_go(stream, hold)

    def _let_go(self, stream: str, hold: FakeHold) -> None:
        self.held.discard(stream)
        if hold.remembered:
            hold.note(())
        else:
            del self.files[stream]

    def state(self, stream: str) -> Literal["free", "held"]:
        """Say whether some process holds it."""
        return "held" if stream in self.held else "free"

    def known(self) -> list[str]:
        """Return the streams that somebody works in, or died working in."""
        return sorted(self.files)
