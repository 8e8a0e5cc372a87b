"""The whole log as a directory of tiles (C2SP tlog-tiles), for clients and mirrors of others.

Rule 1: the directory is there whole, under its name, or not at all.
Rule 2: every entry is hashed again as it is written. What does not lead to the signed head is not
exported.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.durable import sync_directory
from ledger import merkle
from ledger.checkpoint import Checkpoint, read_checkpoint
from ledger.errors import InputInvalid, ProofInvalid, WorkspaceError
from ledger.sealing import leaf_entry
from ledger.tiles import Tile, entry_bundles, format_tile_path, hash_tiles

if TYPE_CHECKING:
    from ledger.journal import Journal
    from ledger.store import Snapshot


def export_tiles(journal: Journal, directory: Path) -> Checkpoint:
    """
    Write the log as of now to *directory*, which must not be there, and return its head.

    It holds `checkpoint`, `tile/LEVEL/…` and `tile/entries/…`. Entries are digests and signed
    facts: nothing private is among them. Raises `InputInvalid`, `ProofInvalid`,
    `StoreUnavailable`, `WorkspaceError`.
    """
    if os.path.lexists(directory):
        raise InputInvalid(f"cannot export to {directory}: it is there already")
    draft = directory.with_name(f".{directory.name[:64]}.{uuid.uuid4().hex}")
    try:
        try:
            draft.mkdir()
            checkpoint = _fill(journal, draft)
            os.rename(draft, directory)
            sync_directory(directory.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise WorkspaceError(f"cannot export to {directory}: {error.strerror}") from error
    return checkpoint


def _fill(journal: Journal, draft: Path) -> Checkpoint:
    with journal.store.snapshot() as snapshot:
        note = snapshot.head()[2]
        if not note:
            raise ProofInvalid("cannot export the log: nobody has signed its head")
        checkpoint, seen = read_checkpoint(note), _Seen()
        _write(draft, hash_tiles(seen.taking(snapshot)))
        _write(draft, entry_bundles(_entries(snapshot)))
    head = seen.head
    if (head.size, merkle.root(head)) != (checkpoint.size, checkpoint.root):
        raise ProofInvalid(
            f"cannot export the log: its {head.size} leaves do not lead to its signed head of "
            f"{checkpoint.size}; see `gesta verify`"
        )
    (draft / "checkpoint").write_bytes(note)
    return checkpoint


class _Seen:
    """The head over the leaves that have passed by."""

    def __init__(self) -> None:
        self.head = merkle.EMPTY

    def taking(self, snapshot: Snapshot) -> Iterator[bytes]:
        for _, leaf in snapshot.leaves():
            self.head = merkle.extend(self.head, (leaf,))
            yield leaf


def _entries(snapshot: Snapshot) -> Iterator[bytes]:
    for position, stream, version, topic, facts, leaf, _, _ in snapshot.rows():
        entry = leaf_entry(stream, version, topic, facts)
        if merkle.leaf_hash(entry) != leaf:
            raise ProofInvalid(
                f"cannot export the log: event {position} is not what was recorded; see "
                "`gesta verify`"
            )
        yield entry


def _write(draft: Path, tiles: Iterable[tuple[Tile, bytes]]) -> None:
    for tile, data in tiles:
        path = draft / format_tile_path(tile)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
