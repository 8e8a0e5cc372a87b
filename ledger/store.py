"""What the journal needs of an event store, beyond `eventsourcing`'s recorder.

A store is a persistence module of `eventsourcing` whose application recorder satisfies `Store`.
Rule 1: events, private rows, blob rows and the tree change in one transaction, or not at all.
Rule 2: positions are gap-free leaf indexes of the RFC 6962 tree, beginning at 0.
Rule 3: versions of a stream are gap-free, beginning at 0; of two writers at one version exactly
one wins, the other gets `eventsourcing`'s `IntegrityError`.
Rule 4: what was returned as appended is durable.
Rule 5: the signed head changes with the tree, in the same transaction. A store knows no keys: it
is handed a function that makes the note, and keeps what that returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec
from eventsourcing.persistence import StoredEvent

from ledger.merkle import TreeHead
from ledger.outcomes import Blob

__all__ = [
    "IsSigned",
    "PrivatePart",
    "Row",
    "ScannedRow",
    "SignHead",
    "Snapshot",
    "Store",
    "TreeHead",
]

# Makes the note (a signed checkpoint) of a head.
SignHead = Callable[[TreeHead], bytes]
# Says whether a note is of this head, and a key of ours signed it.
IsSigned = Callable[[TreeHead, bytes], bool]

# A stored event as it is scanned, by the million: position, stream, version, topic, facts, leaf,
# and the salt and the bytes of its private part, both `None` when that row is gone.
ScannedRow = tuple[int, str, int, str, bytes, bytes, bytes | None, bytes | None]


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


class Snapshot(Protocol):
    """
    Everything as of one moment, for whoever checks it; what is appended meanwhile is not in it.

    It promises nothing of what it holds: rows are as they are found, whoever changed them.
    """

    def head(self) -> tuple[int, bytes, bytes]:
        """Return the tree's size, its edge and the note of both, as they are stored."""

    def rows(self, *, after: int = -1, below: int | None = None) -> Iterator[ScannedRow]:
        """Yield every stored event with a position above *after* and below *below*, in order."""

    def leaves(self, *, after: int = -1) -> Iterator[tuple[int, bytes]]:
        """Yield position and leaf of every stored event above *after*, in order."""

    def stream(self, stream: str) -> Iterator[ScannedRow]:
        """Yield the stored events of one stream, in the order of their versions."""

    def checkpoints(self, *, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield the kept notes of sizes above *after* with these, in order."""


class Store(Protocol):
    """An application recorder that keeps the tree, the private parts and the small blobs."""

    @property
    def ledger_id(self) -> str:
        """The UUID of this ledger, made with the store and kept for ever."""

    @property
    def origin(self) -> str:
        """
        The name of its log, and of the key that signs it.

        It derives from the ledger id. A ledger that was put back from an earlier copy of itself
        gets another one: of two histories, each is a log of its own.
        """

    def sign_with(self, sign: SignHead, is_signed: IsSigned | None = None) -> None:
        """
        Have every later append sign its head with *sign*; what that raises fails the append.

        A head that is not our own last one is first held against its note by *is_signed*; of one
        that nobody signed, nothing is appended: it would be signed with the next (`StoreUnknown`).
        """

    def insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        *,
        leaves: Sequence[bytes],
        private: Sequence[PrivatePart | None],
        blobs: Sequence[Blob] = (),
        keep_head: bool = False,
    ) -> Sequence[int]:
        """
        Append events of one stream and return their positions.

        *leaves* and *private* go with *stored_events* one to one. Of *blobs* those with a row
        are stored; one that is already there is left as it is. With *keep_head* the note of the
        head that covers them is kept as a checkpoint. Threads that call at the same
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

    def head_note(self) -> bytes:
        """Return the note of the tree's head, empty if nobody signed it."""

    def checkpoint(self, size: int) -> bytes | None:
        """Return the kept note of the log of *size* leaves, or `None`."""

    def newest_checkpoint(self) -> tuple[int, bytes] | None:
        """Return the kept note of the largest size with this, or `None` if none is kept."""

    def keep_checkpoint(self, size: int, note: bytes, *, instead_of: bytes | None) -> bool:
        """
        Keep a note as the one of *size*, if what is kept there still is *instead_of*.

        Returns whether it was; then it is durable.
        """

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Lend everything as of now; raises `StoreUnavailable`."""

    def close(self) -> None:
        """Let go of every connection."""
