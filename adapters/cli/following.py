"""Waits for what is recorded next, with the views brought up to date each time.

Rule: what waits asks the store for the size of its log and nothing else; views are only written
when there is more.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from adapters.cli.reading import catch_up

if TYPE_CHECKING:
    from adapters.reader import Reader

_SECONDS = 0.2


def follow(reader: Reader) -> Iterator[None]:
    """Yield now, and again whenever more is on record and in the views; there is no end to it."""
    for _ in changes(reader):
        # The first time too: what was recorded since somebody last did would wait for the next.
        catch_up(reader)
        yield


def changes(reader: Reader) -> Iterator[None]:
    """Yield now, and again whenever more is on record; there is no end to it."""
    store = reader.journal.store
    size = store.tree_head().size
    yield
    while True:
        while (longer := store.tree_head().size) == size:
            time.sleep(_SECONDS)
        size = longer
        yield
