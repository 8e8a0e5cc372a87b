"""Bytes that look random and are the same for the same seed."""

from __future__ import annotations

from random import Random


class FixedRandomness:
    """A `Randomness` whose bytes follow from *seed*."""

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(seed)

    def bytes(self, count: int) -> bytes:
        """Return the next *count* bytes."""
        return self._random.randbytes(count)
