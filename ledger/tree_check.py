"""The tree built again from the stored leaves, and held against every head that is known of it.

Rule 1: a head that has another root than the leaves before it says that one of them is not what
was signed. Which one, is known as closely as the heads around it stand.
Rule 2: of heads that do not fit only the first is told: the later ones follow from it. And it is
not told where an event before it is known to be wrong: that says more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice

from ledger import merkle
from ledger.assurance import head_text
from ledger.checkpoint import Checkpoint
from ledger.merkle import TreeHead
from ledger.verdict import Finding, Findings

_CHUNK = 4096
# Of so many kept heads, the newest ones, the signatures are checked without being asked to.
NEWEST = 1000
_SIGNATURE_LINE = "\n— ".encode()

KeptHead = tuple[int, bytes, str]


class TreeCheck:
    """
    Builds the tree from the head *since* on, and compares.

    *origin* names the log of a size. *known* are heads that the verifier kept. *each* is called
    with every kept head that fits, where all signatures are to be checked.
    """

    def __init__(
        self,
        since: TreeHead,
        known: tuple[Checkpoint, ...],
        origin: Callable[[int], str],
        findings: Findings,
        each: Callable[[KeptHead], object] | None = None,
    ) -> None:
        self.head = since
        self._known = sorted(known, key=lambda one: one.size)
        self._origin = origin
        self._findings = findings
        self._each = each
        self._fits = since.size
        self._broken = False
        # From where to where there is an event that the first head that does not fit is not of.
        self.unlike: tuple[int, int] | None = None
        self.short = False
        self.kept = 0
        self.newest: deque[KeptHead] = deque(maxlen=NEWEST)
        self.cosigned: deque[KeptHead] = deque(maxlen=NEWEST)

    def run(
        self,
        leaves: Iterator[bytes],
        kept: Iterator[tuple[int, bytes]],
        size: int,
    ) -> None:
        """Build the tree of *size* leaves from *leaves* and compare the *kept* heads, in order."""
        upcoming = next(kept, None)
        known = deque(one for one in self._known if one.size <= size)
        while self.head.size < size:
            stops = [_CHUNK * (self.head.size // _CHUNK + 1), size]
            stops += [upcoming[0]] if upcoming else []
            stops += [known[0].size] if known else []
            wanted = max(min(stops), self.head.size) - self.head.size
            found = list(islice(leaves, wanted))
            self.head = merkle.extend(self.head, found)
            while upcoming is not None and upcoming[0] <= self.head.size:
                self._compare(*upcoming)
                upcoming = next(kept, None)
            while known and known[0].size <= self.head.size:
                self._compare_known(known.popleft())
            if len(found) < wanted:
                break
        self._finish(leaves, upcoming, kept, size)

    def _finish(
        self,
        leaves: Iterator[bytes],
        upcoming: tuple[int, bytes] | None,
        kept: Iterator[tuple[int, bytes]],
        size: int,
    ) -> None:
        beyond = sum(1 for _ in leaves)
        if self.head.size < size:
            self._broken, self.short = True, True
        elif beyond:
            self._invalid(f"{beyond} events stand after the last signed head, of {size}", size)
        if upcoming is not None and not self._broken:
            self.kept += 1 + sum(1 for _ in kept)
            what = f"a kept head is of {upcoming[0]} events, and the log has {self.head.size}"
            self._invalid(what, self.head.size)
        for one in self._known:
            if one.size > size:
                what = f"you kept a head of {one.size} events, and this log has {size}"
                self._findings.add(Finding(kind="diverged", what=what, position=size))

    def _compare(self, size: int, note: bytes) -> None:
        self.kept += 1
        if size != self.head.size or self._broken:
            return
        text = head_text(self._origin(size), size, merkle.root(self.head))
        if not note.startswith(f"{text}\n".encode()):
            self._broken = True
            self.unlike = self._fits, size
            return
        self._fits = size
        one = (size, note, text)
        self.newest.append(one)
        if note.count(_SIGNATURE_LINE) > 1:
            self.cosigned.append(one)
        if self._each is not None:
            self._each(one)

    def explain(self, size: int) -> None:
        """Tell of a head that does not fit, where no event is known to be wrong before it."""
        known = {one.position for one in self._findings.first if one.kind == "invalid"}
        if self.short and not any(at is not None and at < self.head.size for at in known):
            what = f"the log ends here, and its head is of {size} events: the others are gone"
            self._invalid(what, self.head.size)
        if self.unlike is None:
            return
        first, end = self.unlike
        if not any(at is not None and first <= at < end for at in known):
            self._invalid(
                f"the events from {first} to {end - 1} are not those that the kept head of {end} "
                "was signed for, or that head was changed",
                first,
            )

    def _compare_known(self, known: Checkpoint) -> None:
        if known.size == self.head.size and known.root == merkle.root(self.head):
            return
        what = (
            f"you kept a head of {known.size} events with root {known.root.hex()}; "
            "this log had another one at that size"
        )
        self._findings.add(Finding(kind="diverged", what=what))

    def _invalid(self, what: str, position: int) -> None:
        self._broken = True
        self._findings.add(Finding(kind="invalid", what=what, position=position))
