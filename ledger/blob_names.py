"""Which blobs stored bytes name: what a backup has to hold, and what nothing may remove.

Rule 1: stored bytes are read as they are, so that an event that this version does not know keeps
its blobs too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ledger.events import BlobName

_FIELDS = frozenset(BlobName.__struct_fields__)


def blob_names(stored: bytes) -> Iterator[BlobName]:
    """
    Yield the names of the blobs in *stored*: the facts of an event, or its private part.

    Raises `msgspec.DecodeError` if it is not JSON.
    """
    waiting: list[Any] = [msgspec.json.decode(stored)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            if value.keys() == _FIELDS and isinstance(value["size"], int):
                yield msgspec.convert(value, BlobName)
            waiting += value.values()
