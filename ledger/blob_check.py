"""Blobs held against the names that events have for them.

Rule 1: a blob is looked at once, however many events name it, as far as memory is bounded.
Rule 2: what names a blob is found in the private part as it is stored (`ledger.blob_names`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from hashlib import sha256

import msgspec

from ledger.blob_names import blob_names
from ledger.errors import BlobDamaged, BlobMissing
from ledger.ports import BlobStore
from ledger.store import ScannedRow
from ledger.verdict import Finding, Findings, Kind

# Names that are remembered, so as not to read a blob twice.
_REMEMBERED = 100_000


def check_blobs(rows: Iterable[ScannedRow], blobs: BlobStore, findings: Findings) -> int:
    """Read every blob that the private parts of *rows* name; return how many."""
    seen: set[str] = set()
    count = 0
    for row in rows:
        body = row[7]
        for digest, size in _names(body):
            if digest in seen:
                continue
            if len(seen) < _REMEMBERED:
                seen.add(digest)
            count += 1
            if wrong := _wrong(blobs, digest, size):
                kind, what = wrong
                findings.add(
                    Finding(kind=kind, what=what, position=row[0], stream=row[1], version=row[2])
                )
    return count


def _names(body: bytes | None) -> Iterator[tuple[str, int]]:
    # That it is not what was recorded is somebody else's finding.
    with contextlib.suppress(msgspec.DecodeError):
        for name in blob_names(body or b""):
            yield name.sha256, name.size


def _wrong(blobs: BlobStore, digest: str, size: int) -> tuple[Kind, str] | None:
    hasher, read = sha256(), 0
    try:
        for piece in blobs.chunks(digest):
            hasher.update(piece)
            read += len(piece)
    except BlobDamaged as error:
        return "invalid", str(error)
    except BlobMissing as error:
        return "missing", str(error)
    if (hasher.hexdigest(), read) != (digest, size):
        return "invalid", f"blob {digest} has {read} bytes, not the {size} of its name"
    return None
