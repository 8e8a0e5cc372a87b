"""Which blobs stored bytes name: what a backup has to hold, and what nothing may remove.

Rule 1: a name is a `sha256` and a `size` beside it, wherever they stand in the stored JSON. An
event of a type that this version does not know names its blobs all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ledger.events import BlobName


def blob_names(stored: bytes) -> Iterator[BlobName]:
    """
    Yield the names of the blobs in *stored*: the facts of an event, or its private part.

    Raises `msgspec.DecodeError` if it is not JSON.
    """
    if b'"sha256":"' not in stored:
        return
    try:
        todo: list[Any] = [msgspec.json.decode(stored)]
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(f"what is stored is not JSON of ours: {error}") from error
    while todo:
        match todo.pop():
            case {"sha256": str(digest), "size": int(size)}:
                yield BlobName(digest, size)
            case dict() as inner:
                todo += inner.values()
            case list() as inner:
                todo += inner
            case _:
                continue
