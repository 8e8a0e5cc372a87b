"""What the journal needs of an event store, beyond `eventsourcing`'s recorder.

A store is a persistence module of `eventsourcing` whose application recorder satisfies `Store`.
Rule 1: events, private rows, blob rows and the tree change in one transaction, or not at all.
Rule 2: positions are gap-free leaf indexes of the RFC 6962 tree, beginning at 0.
Rule 3: versions of a stream are gap-free, beginning at 0; of two writers at one version exactly
one wins, the other gets `eventsourcing`'s `IntegrityError`.
Rule 4: what was returned as appended is durable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
from eventsourcing.persistence import StoredEvent

from ledger.merkle import TreeHead
from ledger.outcomes import Blob

__all__ = ["PrivatePart", "Row", "Store", "TreeHead"]


class PrivatePart(msgspec.Struct, frozen=True, gc=False):
    """An event's private part and the salt that its commitment was made with."""

    salt: bytes
    body: bytes


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One stored event with everything beside it; *private* is `None` when the row is gone."""

    position: int
    stream: str
    version: int
    topic: str
    facts: bytes
    leaf: bytes
    private: PrivatePart | None


class Store(Protocol):
    """An application recorder that keeps the tree, the private parts and the small blobs."""

    @property
    def ledger_id(self) -> str:
        """The UUID of this ledger, made with the store and kept for ever."""

    def insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        *,
        leaves: Sequence[bytes],
        private: Sequence[PrivatePart | None],
        blobs: Sequence[Blob] = (),
    ) -> Sequence[int]:
        """
        Append events of one stream and return their positions.

        *leaves* and *private* go with *stored_events* one to one. Of *blobs* those with a row
        are stored; one that is already there is left as it is. Threads that call at the same
        time share a transaction; a conflict fails only its own caller.
        """

    def stream_rows(
        self, stream: str, *, after: int = -1, through: int | None = None
    ) -> Sequence[Row]:
        """Return a stream's rows in order, those with a version above *after*, up to *through*."""

    def page(
        self,
        *,
        after: int = -1,
        limit: int = 1000,
        topics: Sequence[str] = (),
        newest_first: bool = False,
    ) -> Sequence[Row]:
        """
        Return at most *limit* rows of the whole log, in order of position.

        Those with a position above *after*; or, *newest_first*, from the end backwards.
        """

    def blob_row(self, digest: str) -> bytes | None:
        """Return a small blob's bytes, or `None` if there is no such row."""

    def tree_head(self) -> TreeHead:
        """Return the tree's head as of now."""

    def close(self) -> None:
        """Let go of every connection."""
