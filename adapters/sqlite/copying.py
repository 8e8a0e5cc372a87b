"""A database copied while others write to it, whole, and a copy that becomes a log of its own."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from adapters.sqlite.schema import connect


def copy_database(source: sqlite3.Connection, target: Path) -> None:
    """
    Write the database of *source* to the new file *target*, which is durable on return.

    It is one read transaction of SQLite's online backup (https://sqlite.org/backup.html): writers
    go on, and what they commit meanwhile is not in the copy. The copy is a single file. Raises
    `OSError`, `sqlite3.Error`; then nothing is left of it.
    """
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with contextlib.closing(connect(target)) as copy:
            source.backup(copy)
            # The copied header asks for a write-ahead log, which would be a second file.
            copy.execute("PRAGMA journal_mode = DELETE")
        os.fsync(descriptor)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def name_log(path: Path, origin: str) -> None:
    """Give the log in the database at *path* another *origin*; raises `sqlite3.Error`."""
    with contextlib.closing(connect(path)) as connection:
        connection.execute("UPDATE identity SET origin = ?", (origin,))
