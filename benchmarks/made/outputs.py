"""What agents' commands print: a pool of outputs of lifelike sizes, or one of its own for each.

Rule: most are 2 to 10 KB, and a few in a hundred reach up to 260 KB.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from adapters.blobs import Blobs
from ledger.events import BlobName, StreamFacts
from ledger.outcomes import Blob

LARGEST = 260_000
POOL = 400
_TEXT = (
    "PASSED FAILED tests/test_orders.py::test_total src/orders.py:42: in total warning: unused "
    "import 0.03s collected 128 items rootdir: E assert 3 == 4 + - @@ def return None self.total "
    "npm run build modules transformed. dist/index.js gzip: 12.4 kB diff --git a/src b/src"
)


class Outputs:
    """
    Outputs for commands, kept in *blobs*.

    With *distinct* no two are the same; otherwise they come from a pool of `POOL`.
    """

    def __init__(self, blobs: Blobs, rng: random.Random, *, distinct: bool) -> None:
        self._blobs, self._rng, self._distinct = blobs, rng, distinct
        words = [rng.choice(_TEXT.split()) for _ in range(80_000)]
        self._text = "\n".join(
            " ".join(words[start : start + 11]) for start in range(0, len(words), 11)
        ).encode()
        self._pool: list[BlobName] = []
        self._count = 0

    def next(self) -> tuple[StreamFacts, BlobName, tuple[Blob, ...]]:
        """Return an output: its facts, its name, and the blob to append if it is a new one."""
        if not self._distinct and len(self._pool) == POOL:
            name = self._rng.choice(self._pool)
            return _facts(name.size), name, ()
        blob = self._blobs.put(self._make())
        name = BlobName(blob.digest, blob.size)
        if not self._distinct:
            self._pool.append(name)
        return _facts(blob.size), name, (blob,)

    def _make(self) -> bytes:
        rng = self._rng
        size = min(int(rng.lognormvariate(8.4, 0.55)), LARGEST)
        if rng.random() < 0.02:
            size = rng.randrange(16_000, LARGEST)
        start = rng.randrange(len(self._text) - size)
        self._count += 1
        return b"output %d\n" % self._count + self._text[start : start + size]


def _facts(size: int) -> StreamFacts:
    return StreamFacts(total=size, stored=size, truncated=False)
