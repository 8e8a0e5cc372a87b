"""Counts every call to the world, and breaks at the one that a test names."""

from __future__ import annotations

from collections.abc import Callable


class Crash(BaseException):
    """The process died at this line; nothing after it was done."""


class Fuse:
    """
    What every fake calls when it is asked for something and again when that is done.

    *passed* holds the names of what was done so far, in order. After a `Crash` whatever is asked
    crashes as well: a dead process does nothing more.
    """

    def __init__(self) -> None:
        self.passed: list[str] = []
        self._dead = False
        self._breaks: Callable[[], bool] = lambda: False
        self._error: Callable[[], BaseException] = Crash

    def pass_by(self, name: str) -> None:
        """Count one call; raises if this is the one to break at."""
        if self._dead:
            raise Crash(name)
        self.passed.append(name)
        if self._breaks():
            error = self._error()
            self._dead = isinstance(error, Crash)
            raise error

    def break_at(self, place: int, error: Callable[[], BaseException] = Crash) -> None:
        """Break at call number *place*, from 0, of those that are still to come."""
        broken = len(self.passed) + place + 1
        self._breaks = lambda: len(self.passed) == broken
        self._error = error

    def break_on(
        self,
        name: str,
        error: Callable[[], BaseException] = Crash,
        *,
        after: int = 0,
        times: int = 1,
    ) -> None:
        """Break on the calls of *name*: *times* of them, when *after* have gone well."""
        seen = self.passed.count(name)
        first = seen + after + 1

        def breaks() -> bool:
            return self.passed[-1] == name and first <= self.passed.count(name) < first + times

        self._breaks = breaks
        self._error = error

    def mend(self) -> None:
        """Break no more: another process goes on from here."""
        self._dead = False
        self._breaks = lambda: False
