"""Stores as earlier versions left them, made from `tests/vectors/store-N.sql`.

Rule: the text of a store is never rewritten; it was dumped by the version that wrote it.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from adapters.sqlite.schema import APPLICATION_ID

VECTORS = Path(__file__).parents[1] / "vectors"


def make_old_store(path: Path, version: int) -> None:
    """Make the store of *version* at *path*."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript((VECTORS / f"store-{version}.sql").read_text(encoding="utf-8"))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {version}")


def contents(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return what a store of any version holds that must never change: events and beside them."""
    queries = {
        "events": "SELECT * FROM stored_events ORDER BY position",
        "private": "SELECT position, salt, body FROM private ORDER BY position",
        "blobs": "SELECT digest, body FROM blobs ORDER BY digest",
        "tree": "SELECT size, edge FROM tree",
        "identity": "SELECT ledger_id FROM identity",
    }
    with closing(sqlite3.connect(path)) as connection:
        return {name: connection.execute(text).fetchall() for name, text in queries.items()}
