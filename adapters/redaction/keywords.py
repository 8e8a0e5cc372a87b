"""Finds many words at once in bytes: one by one while there is little, by Aho-Corasick then.

Rule: both ways find the same, every occurrence, in order of place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ahocorasick_rs import BytesAhoCorasick

# Bytes that are searched word by word before an automaton is built: less than its import costs.
_FEW = 16 * 1024

Hit = tuple[int, int, int]


class Keywords:
    """The *words*, none of which is empty, to be looked for in whatever is handed in."""

    def __init__(self, words: Sequence[bytes]) -> None:
        self._words = words
        self._automaton: BytesAhoCorasick | None = None
        self._searched = 0
        self.longest = max(map(len, words), default=0)

    def find(self, data: bytes) -> list[Hit]:
        """Return where words begin and end, and which they are, sorted; they may overlap."""
        if not self._words:
            return []
        if self._automaton is None:
            self._searched += len(data)
            if self._searched <= _FEW:
                return self._find_one_by_one(data)
            self._automaton = self._build()
        hits = self._automaton.find_matches_as_indexes(data, overlapping=True)
        return sorted((start, end, index) for index, start, end in hits)

    def _build(self) -> BytesAhoCorasick:
        from ahocorasick_rs import BytesAhoCorasick, MatchKind

        return BytesAhoCorasick(self._words, matchkind=MatchKind.Standard)

    def _find_one_by_one(self, data: bytes) -> list[Hit]:
        hits = []
        for index, word in enumerate(self._words):
            at = data.find(word)
            while at >= 0:
                hits.append((at, at + len(word), index))
                at = data.find(word, at + 1)
        return sorted(hits)
