"""What a witness of ours remembers, in SQLite: the logs that it knows, and each one's last head.

Rule: a head is replaced by one statement, that names what it replaces; it is synced before that
returns.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ledger.errors import ProofInvalid, StoreUnavailable
from ledger.note import format_vkey, parse_vkey
from ledger.signing import VerifierKey
from ledger.witness import NOTHING, Seen

_TABLES = (
    "CREATE TABLE IF NOT EXISTS logs (vkey TEXT PRIMARY KEY, origin TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS heads
(origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL)""",
)


class WitnessMemory:
    """The memory in the database at *path*, made if it is not there; for any number of threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            with self._connection() as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                for table in _TABLES:
                    connection.execute(table)
        except OSError as error:
            raise StoreUnavailable(f"cannot use {path}: {error.strerror}") from error

    def add_log(self, key: VerifierKey) -> None:
        """Know one more key of a log."""
        with self._connection() as connection:
            connection.execute(
                "INSERT INTO logs VALUES (?, ?) ON CONFLICT DO NOTHING",
                (format_vkey(key), key.name),
            )

    def keys(self, origin: str) -> list[VerifierKey]:
        """Return the known keys of a log."""
        with self._connection() as connection:
            rows = connection.execute("SELECT vkey FROM logs WHERE origin = ?", (origin,))
            with contextlib.suppress(ProofInvalid):
                return [parse_vkey(text) for (text,) in rows]
        return []

    def latest(self, origin: str) -> Seen:
        """Return the head cosigned last, `NOTHING` if there is none."""
        with self._connection() as connection:
            statement = "SELECT size, root FROM heads WHERE origin = ?"
            row = connection.execute(statement, (origin,)).fetchone()
        return NOTHING if row is None else Seen(*row)

    def advance(self, origin: str, old: Seen, new: Seen) -> bool:
        """Put *new* in the place of *old*, if that still is what is there."""
        with self._connection() as connection:
            if old == NOTHING:
                statement = (
                    "INSERT INTO heads VALUES (?, ?, ?) ON CONFLICT (origin) DO UPDATE"
                    " SET size = excluded.size, root = excluded.root WHERE heads.size = 0"
                )
                done = connection.execute(statement, (origin, new.size, new.root))
            else:
                statement = (
                    "UPDATE heads SET size = ?, root = ? WHERE origin = ? AND size = ? AND root = ?"
                )
                parameters = (new.size, new.root, origin, old.size, old.root)
                done = connection.execute(statement, parameters)
            return done.rowcount == 1

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        # In autocommit mode: each statement is a transaction of its own.
        try:
            with contextlib.closing(
                sqlite3.connect(self._path, isolation_level=None, timeout=60)
            ) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                yield connection
        except sqlite3.Error as error:
            raise StoreUnavailable(f"cannot use {self._path}: {error}") from error
