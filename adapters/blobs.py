"""Large things by the SHA-256 of their bytes: small ones as rows, others as compressed files.

Rule 1: nothing exists under a blob's name that is not whole and durable: a file is synced before
it is renamed, its directory after. A writer that was killed leaves a draft that nothing names.
Rule 2: memory is bounded, whatever the size; more than `ROW_LIMIT` bytes go to disk as they come.
Rule 3: what is read is checked against its name before the last of it is handed out.
Rule 4: a file takes its name only while the store's lock is shared (flock(2)), and the lock is kept
until `keeping` ends; who collects files has it alone. No file is collected before its event is on
record.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path
from typing import Final

from adapters.blob_files import DraftFile, read_file
from adapters.shared_lock import SharedLock
from ledger.errors import BlobDamaged, BlobMissing, StoreUnavailable
from ledger.outcomes import Blob, Captured

ROW_LIMIT: Final = 64 * 1024
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """
    The blobs under *directory*, and those that *rows* returns; it satisfies `BlobStore`.

    *rows* takes a digest and returns the bytes of the blob's row, or `None`.
    """

    def __init__(self, directory: Path, rows: Callable[[str], bytes | None]) -> None:
        self._directory = directory
        self._rows = rows
        self._shared = SharedLock(directory.with_name(f"{directory.name}.lock"))

    def sink(self, limit: int | None = None) -> BlobWriter:
        """Return a sink that keeps at most *limit* bytes."""
        return BlobWriter(self._directory, limit, self._shared)

    def keeping(self) -> AbstractContextManager[None]:
        """Keep files that are made within the block from being collected."""
        return self._shared.keeping()

    def put(self, data: bytes) -> Blob:
        """Keep *data*; a large one is a synced file when this returns, a small one a row."""
        if len(data) <= ROW_LIMIT:
            return Blob(sha256(data).hexdigest(), len(data), bytes(data))
        sink = self.sink()
        try:
            sink.write(data)
            blob = sink.finish().blob
        finally:
            sink.discard()
        assert blob is not None
        return blob

    def read(self, digest: str) -> bytes:
        """Return the bytes, checked against *digest*; raises `BlobMissing`."""
        row = self._row(digest)
        if row is not None:
            return row
        # Checked in bounded memory first: a damaged file may expand to any size.
        for _ in self.chunks(digest):
            pass
        return b"".join(self.chunks(digest))

    def chunks(self, digest: str) -> Iterator[bytes]:
        """Yield the bytes in pieces, in bounded memory; raises `BlobMissing`."""
        row = self._row(digest)
        if row is not None:
            yield row
            return
        hasher, held = sha256(), b""
        try:
            for piece in read_file(self._path(digest)):
                hasher.update(piece)
                if held:
                    yield held
                held = piece
        except FileNotFoundError:
            raise BlobMissing(f"cannot read blob {digest}: it is not in the store") from None
        except OSError as error:
            raise BlobMissing(f"cannot read blob {digest}: {error.strerror}") from error
        except ValueError as error:
            raise BlobDamaged(f"cannot read blob {digest}: its file is damaged") from error
        _check(digest, hasher.hexdigest())
        yield held

    def _row(self, digest: str) -> bytes | None:
        if not _DIGEST.fullmatch(digest):
            raise BlobMissing(f"cannot read blob {digest!r}: it is not in the store")
        row = self._rows(digest)
        if row is not None:
            _check(digest, sha256(row).hexdigest())
        return row

    def _path(self, digest: str) -> Path:
        return self._directory / "sha256" / digest[:2] / digest[2:]


class BlobWriter:
    """Takes the bytes of one blob as they come; it satisfies `ledger.ports.BlobSink`."""

    def __init__(self, directory: Path, limit: int | None, shared: SharedLock) -> None:
        self._directory = directory
        self._shared = shared
        self._limit = limit
        self._total = self._kept = 0
        self._head = bytearray()
        self._draft: DraftFile | None = None
        self._hasher = sha256()
        self._open = True

    def write(self, data: bytes) -> None:
        """Take the next bytes; raises `StoreUnavailable` if they cannot be kept."""
        if not self._open:
            raise ValueError("cannot write to a blob: it is finished")
        self._total += len(data)
        if self._limit is not None:
            data = data[: max(self._limit - self._kept, 0)]
        if not data:
            return
        self._kept += len(data)
        self._hasher.update(data)
        try:
            self._keep(data)
        except OSError as error:
            self.discard()
            raise StoreUnavailable(f"cannot write a blob: {error}") from error

    def finish(self) -> Captured:
        """
        Make what was kept durable (or hand it back as a row) and say what it is.

        Where nothing was kept there is no blob. Raises `StoreUnavailable`.
        """
        if not self._open:
            raise ValueError("cannot finish a blob: it is finished")
        blob = self._finish() if self._kept else None
        self._open = False
        return Captured(total=self._total, blob=blob, truncated=self._total > self._kept)

    def discard(self) -> None:
        """Forget everything; also after `finish` nothing more happens."""
        self._open = False
        self._head.clear()
        draft, self._draft = self._draft, None
        if draft is not None:
            draft.remove()

    def __del__(self) -> None:
        self.discard()

    def _keep(self, data: bytes) -> None:
        if self._draft is None:
            if len(self._head) + len(data) <= ROW_LIMIT:
                self._head += data
                return
            self._draft = DraftFile(self._directory)
            self._draft.write(bytes(self._head))
            self._head.clear()
        self._draft.write(data)

    def _finish(self) -> Blob:
        digest = self._hasher.hexdigest()
        if self._draft is None:
            return Blob(digest, self._kept, bytes(self._head))
        try:
            with self._shared.keeping():
                self._shared.take()
                self._draft.publish(Path("sha256", digest[:2], digest[2:]))
        except OSError as error:
            self.discard()
            raise StoreUnavailable(f"cannot write blob {digest}: {error}") from error
        self._draft = None
        return Blob(digest, self._kept)


def _check(digest: str, found: str) -> None:
    if found != digest:
        raise BlobDamaged(f"cannot read blob {digest}: its bytes do not match its name")
