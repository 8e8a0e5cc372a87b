"""An older store brought to today's tables, by one explicit command.

Rule 1: a migration is one transaction: after a crash at any line the store is of its old version
or of the new one, and whole. Doing it again goes on, or finds nothing to do.
Rule 2: only a store that holds exactly what its own version made is migrated.
Rule 3: nobody else has the store open meanwhile: an older gesta that was started before must not
write its rows into newer tables.
Rule 4: what is stored is carried over byte for byte; no event is read and written again.
Rule 5: before the first step a copy of the old store is made beside it, whole and durable.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from adapters.durable import sync_directory
from adapters.sqlite.copying import copy_database
from adapters.sqlite.schema import (
    OBJECTS,
    STORE_VERSION,
    check_objects,
    check_schema,
    check_version,
    connect,
    describe_failure,
)
from adapters.sqlite.write_lock import WriteLock
from ledger.errors import StoreUnavailable, StoreUnknown

# Whoever has the store open is at work, or will be gone in a moment.
_PATIENCE_S: Final = 5.0


class Step(msgspec.Struct, frozen=True):
    """How a store gets from one version to the next: *objects* are those of the older one."""

    objects: Mapping[str, str | None]
    statements: tuple[str, ...]


class Migrated(msgspec.Struct, frozen=True, kw_only=True):
    """Which version the store was of and is of now, and where the copy of the old one is kept."""

    before: int
    after: int
    kept: Path | None


_FIRST: dict[str, str | None] = {
    **OBJECTS,
    "tree": """CREATE TABLE tree (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    size INTEGER NOT NULL,
    edge BLOB NOT NULL
)""",
    "identity": """CREATE TABLE identity (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    ledger_id TEXT NOT NULL
)""",
}
del _FIRST["checkpoints"]
# The first version signed nothing: what it recorded is covered by the next head that is signed.
_TO_SIGNED = (
    "ALTER TABLE tree RENAME TO tree_before",
    str(OBJECTS["tree"]),
    "INSERT INTO tree SELECT only, size, edge, x'' FROM tree_before",
    "DROP TABLE tree_before",
    str(OBJECTS["checkpoints"]),
    "ALTER TABLE identity RENAME TO identity_before",
    str(OBJECTS["identity"]),
    "INSERT INTO identity SELECT only, ledger_id, 'gesta/' || ledger_id FROM identity_before",
    "DROP TABLE identity_before",
)
STEPS = {1: Step(_FIRST, _TO_SIGNED)}


def migrate_database(path: Path) -> Migrated:
    """
    Bring the store at *path* to today's version.

    Raises `StoreUnknown` for what is not ours or newer, `StoreUnavailable` if another process has
    it open, if there is no room or no store; then it is as it was.
    """
    if not path.exists():
        raise StoreUnavailable(f"cannot migrate {path}: it does not exist")
    turn = WriteLock(path.with_name(f"{path.name}.lock"))
    try:
        with turn, contextlib.closing(_alone(path)) as connection:
            return _migrate(connection, path)
    except (OSError, sqlite3.OperationalError) as error:
        raise StoreUnavailable(f"cannot migrate {path}: {describe_failure(error)}") from error
    except sqlite3.DatabaseError as error:
        raise StoreUnknown(f"cannot migrate {path}: {error}") from error
    finally:
        turn.close()


def _alone(path: Path) -> sqlite3.Connection:
    """Return a connection beside which there is no other one, in any process."""
    connection = connect(path, patience=_PATIENCE_S)
    try:
        # https://sqlite.org/wal.html#use_of_wal_without_shared_memory
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("ROLLBACK")
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> Migrated:
    version = check_version(connection, path)
    if version == STORE_VERSION:
        check_schema(connection, path)
        return Migrated(before=version, after=version, kept=None)
    check_objects(connection, path, STEPS[version].objects)
    kept = _keep_copy(connection, path, version)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in range(version, STORE_VERSION):
            for statement in STEPS[step].statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {STORE_VERSION}")
        check_objects(connection, path, OBJECTS)
        connection.execute("COMMIT")
    except BaseException:
        # SQLite itself rolls back on some failures (a full disk), and on others does not.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return Migrated(before=version, after=STORE_VERSION, kept=kept)


def _keep_copy(connection: sqlite3.Connection, path: Path, version: int) -> Path:
    """Copy the old store beside the new one; a copy that an interrupted migration left goes."""
    kept = path.with_name(f"{path.name}.store-{version}")
    draft = kept.with_name(f"{kept.name}.new")
    draft.unlink(missing_ok=True)
    copy_database(connection, draft)
    os.rename(draft, kept)
    sync_directory(path.parent)
    return kept
