"""A blob store in memory that keeps its contract: small ones are rows, and only then readable."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator

from ledger.errors import BlobMissing
from ledger.outcomes import Blob, Captured

LARGEST_ROW = 64 * 1024


class MemorySink:
    """A `BlobSink` that keeps at most *limit* bytes."""

    def __init__(self, keep: Callable[[bytes], Blob], limit: int | None) -> None:
        self._keep = keep
        self._limit = limit
        self._kept = b""
        self._total = 0
        self.state = "open"

    def write(self, data: bytes) -> None:
        """Take the next bytes, while nobody has finished or discarded."""
        assert self.state == "open", "written to after its end"
        self._total += len(data)
        self._kept = (self._kept + data)[: self._limit]

    def finish(self) -> Captured:
        """Keep what is there and say what it is; nothing at all is no blob."""
        assert self.state == "open", "finished twice"
        self.state = "finished"
        blob = self._keep(self._kept) if self._kept else None
        return Captured(self._total, blob, len(self._kept) < self._total)

    def discard(self) -> None:
        """Forget everything."""
        self.state = "discarded"
        self._kept = b""


class MemoryBlobs:
    """
    A `BlobStore` whose large blobs are in *files* and whose small ones *rows* looks up.

    *files* outlives the process, as a directory would.
    """

    def __init__(self, files: dict[str, bytes], rows: Callable[[str], bytes | None]) -> None:
        self._files = files
        self._rows = rows
        self._keeping = 0

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep what is made within the block from being collected."""
        self._keeping += 1
        try:
            yield
        finally:
            self._keeping -= 1

    def sink(self, limit: int | None = None) -> MemorySink:
        """Return a sink that keeps at most *limit* bytes."""
        return MemorySink(self.put, limit)

    def put(self, data: bytes) -> Blob:
        """Keep *data* if it is large; hand it back as a row if it is small."""
        digest = hashlib.sha256(data).hexdigest()
        if len(data) <= LARGEST_ROW:
            return Blob(digest, len(data), data)
        assert self._keeping, "made where it could be collected before an event names it"
        self._files[digest] = data
        return Blob(digest, len(data))

    def read(self, digest: str) -> bytes:
        """Return the bytes; a row that no event was recorded with is not there."""
        data = self._files.get(digest)
        if data is None:
            data = self._rows(digest)
        if data is None:
            raise BlobMissing(f"cannot read blob {digest}: it is not there")
        return data

    def chunks(self, digest: str) -> Iterator[bytes]:
        """Yield the bytes in two pieces."""
        data = self.read(digest)
        yield data[:1]
        yield data[1:]
