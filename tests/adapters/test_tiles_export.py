"""The log as tiles: read back as a stranger's client would, down to the last entry."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from adapters import open_ledger
from adapters.ed25519_signer import check_ed25519
from adapters.tiles_export import export_tiles
from ledger import merkle
from ledger.checkpoint import open_checkpoint
from ledger.errors import InputInvalid, ProofInvalid, WorkspaceError
from ledger.evidence import log_keys
from ledger.ledger import Ledger
from ledger.sealing import SEALED
from ledger.tiles import (
    Tile,
    format_tile_path,
    parse_entry_bundle,
    parse_hash_tile,
    parse_tile_path,
)


@pytest.fixture
def ledger(home: Path, tmp_path: Path) -> Ledger:
    """A ledger with two short runs."""
    work = tmp_path / "work"
    work.mkdir()
    ledger = open_ledger()
    for name in ("R-1", "R-2"):
        with ledger.run(task="T-1", run=name, profile="local", directory=work) as run:
            run.execute(["sh", "-c", "echo a secret of theirs"])
    return ledger


def test_the_tiles_are_the_log_that_the_checkpoint_signs(ledger: Ledger, tmp_path: Path) -> None:
    """Entries hash to the leaves, leaves to the root, and the log's key has signed that."""
    directory = tmp_path / "tiles"
    returned = export_tiles(ledger.journal, directory)
    note = (directory / "checkpoint").read_bytes()
    checkpoint = open_checkpoint(note, log_keys(ledger.journal), check_ed25519)
    size = checkpoint.size
    assert checkpoint == returned
    assert size == ledger.journal.store.tree_head().size
    leaves = parse_hash_tile((directory / f"tile/0/000.p/{size}").read_bytes(), size)
    assert checkpoint.root == merkle.root_of(leaves)
    bundle = directory / format_tile_path(Tile(None, 0, size))
    entries = parse_entry_bundle(bundle.read_bytes(), size)
    assert leaves == [merkle.leaf_hash(entry) for entry in entries]
    files = {str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file()}
    tiles = {parse_tile_path(name) for name in files - {"checkpoint"}}
    assert {Tile(0, 0, size), Tile(None, 0, size)} == tiles


def test_nothing_private_is_among_the_entries(ledger: Ledger, tmp_path: Path) -> None:
    """Digests, and what seals state in public: no word of a command, no name, no path."""
    directory = tmp_path / "tiles"
    size = export_tiles(ledger.journal, directory).size
    data = (directory / f"tile/entries/000.p/{size}").read_bytes()
    assert b"secret" not in data
    assert str(tmp_path).encode() not in data
    kinds = [json.loads(entry) for entry in parse_entry_bundle(data, size)]
    assert 2 == sum(entry.get("kind") == "hashedrekord" for entry in kinds)
    assert SEALED not in {entry.get("topic") for entry in kinds}


def test_what_is_there_is_not_written_into(ledger: Ledger, tmp_path: Path) -> None:
    """Neither into a directory that is there nor below one that is not."""
    (tmp_path / "tiles").mkdir()
    with pytest.raises(InputInvalid, match="it is there already"):
        export_tiles(ledger.journal, tmp_path / "tiles")
    assert [] == list((tmp_path / "tiles").iterdir())
    with pytest.raises(WorkspaceError, match="No such file"):
        export_tiles(ledger.journal, tmp_path / "nowhere" / "tiles")


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE stored_events SET state = CAST(state || ' ' AS BLOB) WHERE position = 2",
        "DELETE FROM stored_events WHERE position = (SELECT max(position) FROM stored_events)",
        "UPDATE stored_events SET leaf = zeroblob(32) WHERE position = 3",
    ],
)
def test_what_was_changed_is_not_exported(ledger: Ledger, tmp_path: Path, attack: str) -> None:
    """An event edited, the last one gone, a leaf replaced: refused, and nothing is left of it."""
    (database,) = (tmp_path / "home").glob("*.db")
    with sqlite3.connect(database) as connection:
        assert connection.execute(attack).rowcount > 0
    with pytest.raises(ProofInvalid, match="cannot export the log"):
        export_tiles(ledger.journal, tmp_path / "tiles")
    assert {"home", "work"} == {path.name for path in tmp_path.iterdir()}
