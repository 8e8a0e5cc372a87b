"""The blobs that the events in one database name, and whether they are there whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator

from ledger.blob_names import blob_names
from ledger.errors import BlobMissing
from ledger.events import BlobName
from ledger.ports import BlobStore

Rows = Callable[[str], bytes | None]
MakeBlobs = Callable[[Rows], BlobStore]


def named_blobs(connection: sqlite3.Connection) -> Iterator[BlobName]:
    """Yield the names of the blobs that the events in a database name, in order."""
    rows = connection.execute(
        "SELECT e.state, p.body FROM stored_events e LEFT JOIN private p"
        " ON p.position = e.position ORDER BY e.position"
    )
    for facts, body in rows:
        yield from blob_names(facts)
        if body is not None:
            yield from blob_names(body)


def blob_rows(connection: sqlite3.Connection) -> Rows:
    """Return what looks small blobs up in a database."""

    def row(digest: str) -> bytes | None:
        found = connection.execute("SELECT body FROM blobs WHERE digest = ?", (digest,)).fetchone()
        return None if found is None else bytes(found[0])

    return row


def is_whole(blobs: BlobStore, name: BlobName) -> bool:
    """Say whether a blob is there, all of it, and has the bytes that its name says."""
    try:
        return name.size == sum(map(len, blobs.chunks(name.sha256)))
    except BlobMissing:
        return False
