"""The clock and the randomness of this machine.

Rule: nothing else in the project asks the time or for random bytes that end up in an event.
"""

from __future__ import annotations

import os
import time


class SystemClock:
    """The machine's clocks; it satisfies `ledger.ports.Clock`."""

    def now(self) -> int:
        """Return microseconds since 1970 in UTC; it may be set back by the machine."""
        return time.time_ns() // 1000

    def monotonic(self) -> int:
        """Return microseconds that never go back, from an arbitrary start."""
        return time.monotonic_ns() // 1000


class SystemRandomness:
    """The operating system's random bytes; it satisfies `ledger.ports.Randomness`."""

    def bytes(self, count: int) -> bytes:
        """Return *count* unpredictable bytes (getrandom(2))."""
        return os.urandom(count)
