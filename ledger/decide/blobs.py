"""How an event names a blob."""

from __future__ import annotations

from ledger.events import BlobName
from ledger.outcomes import Blob


def blob_name(blob: Blob | None) -> BlobName | None:
    """Return what an event says of a blob."""
    return None if blob is None else BlobName(blob.digest, blob.size)
