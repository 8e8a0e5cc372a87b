"""A clock that a test sets; it moves by a microsecond each time it is read."""

from __future__ import annotations


class FakeClock:
    """A `Clock` that begins at *start* microseconds since 1970."""

    def __init__(self, start: int = 1_750_000_000_000_000) -> None:
        self.time = start

    def now(self) -> int:
        """Return the time, which moves on by one."""
        self.time += 1
        return self.time - 1

    def advance(self, microseconds: int) -> None:
        """Let time pass."""
        self.time += microseconds

    def monotonic(self) -> int:
        """Return the same time; nobody sets this clock back."""
        return self.now()
