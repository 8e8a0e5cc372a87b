"""The tables of a ledger in SQLite: how they are made, and how they are known to be ours.

Rule 1: a database appears whole or not at all, made by exactly one of many processes.
Rule 2: a database that holds anything that we did not make is not opened. A trigger or a view
would make our own statements do another's work.
Rule 3: a newer store than ours is not opened; nothing in it is changed. An older one is opened
when `adapters.sqlite.migration` has brought it to today's tables.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import uuid
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from adapters.durable import sync_directory
from adapters.sqlite.write_lock import WriteLock
from ledger.errors import StoreOutdated, StoreUnavailable, StoreUnknown

APPLICATION_ID = int.from_bytes(b"gest", "big")
STORE_VERSION = 2

# A waiting writer sleeps on our own lock. This is for what else may hold SQLite's: recovery after
# a crash, the last process closing, another program.
BUSY_SECONDS = 60.0

_TABLES = {
    "stored_events": """CREATE TABLE stored_events (
    position INTEGER PRIMARY KEY,
    originator_id TEXT NOT NULL,
    originator_version INTEGER NOT NULL,
    topic TEXT NOT NULL,
    state BLOB NOT NULL,
    leaf BLOB NOT NULL
)""",
    "stored_events_stream": """CREATE UNIQUE INDEX stored_events_stream
ON stored_events (originator_id, originator_version)""",
    "private": """CREATE TABLE private (
    position INTEGER PRIMARY KEY,
    salt BLOB NOT NULL,
    body BLOB NOT NULL
)""",
    "tree": """CREATE TABLE tree (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    size INTEGER NOT NULL,
    edge BLOB NOT NULL,
    note BLOB NOT NULL
)""",
    "checkpoints": """CREATE TABLE checkpoints (
    size INTEGER PRIMARY KEY,
    note BLOB NOT NULL
)""",
    "blobs": """CREATE TABLE blobs (
    digest TEXT PRIMARY KEY,
    body BLOB NOT NULL
)""",
    "identity": """CREATE TABLE identity (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    ledger_id TEXT NOT NULL,
    origin TEXT NOT NULL
)""",
}
# The index that SQLite makes for a primary key that is not an integer has no text of its own.
OBJECTS: dict[str, str | None] = {**_TABLES, "sqlite_autoindex_blobs_1": None}


def connect(path: Path, *, patience: float = BUSY_SECONDS) -> sqlite3.Connection:
    """
    Return a connection in autocommit mode to an existing database; never makes one.

    *patience* is how many seconds it waits for a lock of SQLite's.
    """
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?mode=rw",
        uri=True,
        timeout=patience,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def describe_failure(error: Exception) -> str:
    """Return what SQLite said, in words that say who is in the way."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
        return "another program is holding its database"
    return str(error)


def ensure_database(path: Path, turn: WriteLock, *, create: bool) -> None:
    """
    See to it that there is a database at *path*.

    *turn* is held while one is made. Raises `StoreUnavailable` if there is none and *create* is
    false, or if it cannot be made.
    """
    if _is_there(path):
        return
    if not create:
        raise StoreUnavailable(f"cannot open {path}: it does not exist")
    try:
        with turn:
            if not _is_there(path):
                _make(path)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailable(f"cannot create {path}: {error}") from error


def check_schema(connection: sqlite3.Connection, path: Path) -> tuple[str, str]:
    """
    Return the ledger's id and its log's origin, if it is a ledger that this version can use.

    Raises `StoreUnknown` naming what is not ours, `StoreOutdated`, `StoreUnavailable`.
    """
    try:
        version = check_version(connection, path)
        if version < STORE_VERSION:
            raise StoreOutdated(
                f"cannot open {path}: it is of an older version (store {version}, this is "
                f"{STORE_VERSION}); run `gesta store migrate`"
            )
        check_objects(connection, path, OBJECTS)
        rows = connection.execute("SELECT ledger_id, origin FROM identity").fetchall()
        trees = connection.execute("SELECT count(*) FROM tree").fetchone()[0]
    except sqlite3.OperationalError as error:
        raise StoreUnavailable(f"cannot open {path}: {describe_failure(error)}") from error
    except sqlite3.DatabaseError as error:
        raise StoreUnknown(f"cannot open {path}: {error}") from error
    if len(rows) != 1 or trees != 1:
        raise StoreUnknown(f"cannot open {path}: its identity or its tree is missing")
    return str(rows[0][0]), str(rows[0][1])


def check_version(connection: sqlite3.Connection, path: Path) -> int:
    """
    Return which version of the tables the database has, today's or an older one.

    Raises `StoreUnknown` for what is newer or not a ledger, `sqlite3.Error`.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if application != APPLICATION_ID or version < 1:
        raise StoreUnknown(f"cannot open {path}: it is not a ledger of gesta's")
    if version > STORE_VERSION:
        raise StoreUnknown(
            f"cannot open {path}: it was written by a newer version "
            f"(store {version}, this is {STORE_VERSION})"
        )
    return version


def check_objects(
    connection: sqlite3.Connection, path: Path, objects: Mapping[str, str | None]
) -> None:
    """Raise `StoreUnknown` unless the database holds *objects*, by name and text, and no other."""
    found = connection.execute("SELECT type, name, sql FROM sqlite_schema").fetchall()
    for kind, name, text in found:
        if name not in objects or objects[name] != text:
            raise StoreUnknown(f"cannot open {path}: its {kind} {name!r} is not one of ours")
    for name in objects.keys() - {name for _, name, _ in found}:
        raise StoreUnknown(f"cannot open {path}: its {name!r} is missing")


def _is_there(path: Path) -> bool:
    try:
        # An empty file is no database yet. It is never opened to see: closing a descriptor of
        # the database would drop the locks of every connection in this process (POSIX).
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreUnavailable(f"cannot open {path}: {error}") from error


def _make(path: Path) -> None:
    for suffix in ("-wal", "-journal"):
        if Path(f"{path}{suffix}").exists():
            # SQLite would play another database's last writes into the new one.
            raise StoreUnavailable(
                f"cannot create {path}: {path.name}{suffix} of another database is in its place; "
                "move it away"
            )
    draft = path.with_name(f"{path.name}.new")
    _remove_draft(draft)
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _fill(draft)
        os.fsync(descriptor)
        # Up to here a crash leaves the draft, which the next process removes.
        os.rename(draft, path)
        sync_directory(path.parent)
    except BaseException:
        _remove_draft(draft)
        raise
    finally:
        os.close(descriptor)


def _fill(draft: Path) -> None:
    with contextlib.closing(connect(draft)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {STORE_VERSION}")
        for statement in _TABLES.values():
            connection.execute(statement)
        connection.execute("INSERT INTO tree VALUES (1, 0, x'', x'')")
        ledger = str(uuid.uuid4())
        connection.execute("INSERT INTO identity VALUES (1, ?, ?)", (ledger, f"gesta/{ledger}"))
        connection.execute("COMMIT")


def _remove_draft(draft: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        Path(f"{draft}{suffix}").unlink(missing_ok=True)
