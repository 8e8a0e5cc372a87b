"""One stream of bytes with its secrets taken out: which bytes are settled, and what replaces them.

Rule 1: parts that overlap or touch become one marker, which the first of their rules names.
Rule 2: a byte is given out when everything that could touch it has been looked at. What is held
back is an unfinished line, of a long line a few windows; never more than four.
Rule 3: after an error nothing more comes out.
"""

from __future__ import annotations

from collections.abc import Sequence

from adapters.redaction.search import BEHIND, WINDOW, Found, Search, Stretch


class Redaction:
    """The `RedactingStream` of one *search*; *names* are its rules' by their ranks."""

    def __init__(self, search: Search, names: Sequence[str]) -> None:
        self._search = search
        self._names = names
        self._hold = max(WINDOW, search.longest_known)
        self._pieces: list[bytes] = []
        self._size = 0
        # `_data` begins at place `_base` of the stream. Looked at is what is before `_at`, settled
        # what is before `_base`, given out what is before `_written`: the rest is in `_found`.
        self._data = b""
        self._base = 0
        self._at = 0
        self._written = 0
        self._long_line: int | None = None
        self._found: list[Found] = []
        self._failed = False
        self.counts: dict[str, int] = {}

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return what can no longer become part of a secret."""
        self._pieces.append(data)
        self._size += len(data)
        if b"\n" not in data and self._size < 3 * self._hold:
            return b""
        return self._advance(final=False)

    def finish(self) -> bytes:
        """Return the rest; nothing may be fed afterwards."""
        return self._advance(final=True)

    def mark(self, start: int, end: int, rank: int) -> None:
        """Have a part of what is about to be fed taken out, whatever the rules say."""
        self._found.append(Found(start, end, rank))

    def _advance(self, *, final: bool) -> bytes:
        if self._failed:
            raise RuntimeError("cannot go on redacting: it has failed before")
        self._failed = True
        self._data = b"".join((self._data, *self._pieces))
        self._pieces = []
        whole = len(self._data)
        usable = whole if final else max(0, whole - self._search.overlap)
        while self._look(usable, final):
            pass
        settled = self._at
        if final:
            settled = whole
        elif self._long_line is not None:
            settled = max(0, self._long_line - self._base, settled - BEHIND)
        out = self._settle(self._base + settled, final)
        self._data = self._data[settled:]
        self._base += settled
        self._at -= settled
        self._size = len(self._data)
        self._failed = False
        return out

    def _look(self, usable: int, final: bool) -> bool:
        """Look at the next stretch; say whether there was one."""
        at, data, base = self._at, self._data, self._base
        if self._long_line is not None:
            return self._look_at_long_line(usable, final)
        end = at
        while cut := data.rfind(b"\n", end, min(end + WINDOW, usable)) + 1:
            end = cut
        if final and usable - end < WINDOW:
            end = usable
        if end > at:
            self._found += self._search.look(Stretch(data, base, at, end))
            self._at = end
        elif usable - at >= WINDOW:
            self._long_line = base + at
            self._search.enter_long_line()
        else:
            return False
        return True

    def _look_at_long_line(self, usable: int, final: bool) -> bool:
        assert self._long_line is not None
        at, data, base = self._at, self._data, self._base
        end = data.find(b"\n", at, usable) + 1
        ended = end > 0 or final
        if ended:
            end = end or usable
        else:
            end = at + max(0, usable - self._hold - at) // WINDOW * WINDOW
            if end == at:
                return False
        line = self._long_line - base
        self._found += self._search.look(Stretch(data, base, at, end, line, ended))
        self._at = end
        if ended:
            self._long_line = None
        return True

    def _settle(self, settled: int, final: bool) -> bytes:
        """Return what is settled and not yet given out, with markers in place of what was found."""
        data, base, out = self._data, self._base, []
        self._found = _merged(self._found)
        for index, found in enumerate(self._found):
            if found.end >= settled and not final:
                # Something that touches it may still be found.
                self._found = self._found[index:]
                settled = min(found.start, settled)
                break
            if found.start > self._written:
                out.append(data[self._written - base : found.start - base])
            out.append(self._marker(found))
            self._written = found.end
        else:
            self._found = []
        if settled > self._written:
            out.append(data[self._written - base : settled - base])
            self._written = settled
        return b"".join(out)

    def _marker(self, found: Found) -> bytes:
        name = self._names[found.rank]
        self.counts[name] = self.counts.get(name, 0) + 1
        return f"[redacted:{name}]".encode() + found.tail


def _merged(found: list[Found]) -> list[Found]:
    """Return *found* in order, with what overlaps or touches made one."""
    merged: list[Found] = []
    for one in sorted(found):
        if merged and one.start <= merged[-1].end:
            last = merged[-1]
            longer = max(last, one, key=lambda found: (found.end, found.tail))
            merged[-1] = Found(last.start, longer.end, min(last.rank, one.rank), longer.tail)
        else:
            merged.append(one)
    return merged
