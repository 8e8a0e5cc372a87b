"""Views in SQLite: plain tables in a database beside the ledger, which nothing else is read from.

Rule 1: a view can be dropped at any time: the database holds nothing that is not in the ledger.
Rule 2: one process writes at a time and the others sleep until it is done; readers never wait.
Rule 3: a database that is not ours, or another ledger's, is not touched.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from adapters.forks import ForkAware, watch_forks
from adapters.sqlite import view_tables as sql
from adapters.sqlite.connections import SQLiteConnections
from adapters.sqlite.schema import connect, describe_failure
from adapters.sqlite.view_writing import STANDINGS, SQLiteWriting, find_standing, live_standings
from adapters.sqlite.write_lock import WriteLock
from ledger.errors import StoreUnavailable, StoreUnknown
from projections.columns import Cell
from projections.projection import Table
from projections.views import Search, Standing

APPLICATION_ID = int.from_bytes(b"gesv", "big")
FORMAT = 1
_CACHE_KB = 32_768


class SQLiteViews(ForkAware):
    """
    The views of ledger *ledger_id* in the database at *path*, made if there is none.

    It satisfies `projections.views.Views`. Raises `StoreUnknown` for a database that is not ours
    or another ledger's, `StoreUnavailable`.
    """

    def __init__(self, path: Path, ledger_id: str) -> None:
        self.path = path
        self.connections = SQLiteConnections(path, "NORMAL")
        self._ledger_id = ledger_id
        self._turn = WriteLock(path.with_name(f"{path.name}.lock"))
        self._writing = threading.Lock()
        watch_forks(self)
        with self._failing("open"):
            if not path.exists():
                with self._turn:
                    self._make()
            with self.connections.reading() as connection:
                _check_identity(connection, path, ledger_id)

    def standings(self) -> Sequence[Standing]:
        """Return how far each live projection has come."""
        with self._failing("read"), self.connections.reading() as connection:
            return live_standings(connection)

    @contextlib.contextmanager
    def writing(self) -> Iterator[SQLiteWriting]:
        """Wait for the turn to write and begin a transaction, committed when the block ends."""
        with self._failing("write"), self._writing, self._turn:
            connection = self.connections.connection_for_writing()
            try:
                connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
                connection.execute("BEGIN IMMEDIATE")
                writing = SQLiteWriting(connection)
                yield writing
                connection.execute("COMMIT")
            except BaseException:
                # Closing alone would not end a transaction that a cursor is still reading in.
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                self.connections.drop_writer()
                raise
            if writing.is_erasing:
                self._leave_no_trace(connection)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[SQLiteSnapshot]:
        """Read the live views as of one moment."""
        with self._failing("read"), self.connections.reading() as connection:
            connection.execute("BEGIN")
            try:
                yield SQLiteSnapshot(connection)
            finally:
                connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def scratch(self) -> Iterator[SQLiteViews]:
        """Lend views of their own, empty, that are gone when the block ends."""
        with tempfile.TemporaryDirectory(prefix=".views-", dir=self.path.parent) as directory:
            views = SQLiteViews(Path(directory, "views.db"), self._ledger_id)
            try:
                yield views
            finally:
                views.close()

    def select(self, statement: str, parameters: Sequence[Cell] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query in SQL with `?` for each of *parameters*."""
        with self._failing("read"), self.connections.reading() as connection:
            return connection.execute(statement, list(map(_sayable, parameters))).fetchall()

    def matching(
        self, table: Table[Any], texts: Sequence[str], column: str | None = None
    ) -> Search:
        """Return how the rows of *table* are found that hold all of *texts*."""
        name = sql.search_name(table)
        return Search(
            source=f"{name} AS found",
            number="found.rowid",
            condition=f"found.{name} MATCH ?",
            parameters=(sql.match(texts, column),),
        )

    def close(self) -> None:
        """Let go of every connection."""
        self.prepare_fork()
        self._turn.close()
        self.resume_parent()

    def prepare_fork(self) -> None:
        """Have nobody write or read, and no connection open."""
        self._writing.acquire()
        self.connections.pause()

    def resume_parent(self) -> None:
        """Let them write and read again, with new connections."""
        self.connections.resume()
        self._writing.release()

    def renew_child(self) -> None:
        """Begin anew: the threads that were waiting are the parent's."""
        self.connections.renew()
        self._writing = threading.Lock()
        self._turn.close()

    @contextlib.contextmanager
    def _failing(self, verb: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            why = describe_failure(error)
            raise StoreUnavailable(f"cannot {verb} the views in {self.path}: {why}") from error
        except sqlite3.DatabaseError as error:
            raise StoreUnknown(
                f"cannot {verb} the views in {self.path}: {error}; remove the file and run "
                "`gesta rebuild`"
            ) from error
        except OSError as error:
            raise StoreUnavailable(f"cannot {verb} the views in {self.path}: {error}") from error

    def _leave_no_trace(self, connection: sqlite3.Connection) -> None:
        # What was deleted still lies in free pages that earlier changes left, and in the log.
        connection.execute("VACUUM")
        is_busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        # The next writer has the database's own settings again.
        self.connections.drop_writer()
        if is_busy:
            raise StoreUnavailable(
                f"cannot erase from {self.path}: another program is reading it; try again when "
                "it has ended"
            )

    def _make(self) -> None:
        if self.path.exists():
            return
        draft = self.path.with_name(f"{self.path.name}.new")
        for suffix in ("", "-journal"):
            Path(f"{draft}{suffix}").unlink(missing_ok=True)
        os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with contextlib.closing(connect(draft)) as connection:
            # A write-ahead log that a removed database has left would be played into this one.
            for suffix in ("-wal", "-shm"):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)
            connection.execute("BEGIN")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
            connection.execute("CREATE TABLE gesta_views (ledger_id TEXT NOT NULL)")
            connection.execute("INSERT INTO gesta_views VALUES (?)", (self._ledger_id,))
            connection.execute(STANDINGS)
            connection.execute("COMMIT")
        # Nothing waits for the disk: a database that did not survive is made again.
        os.rename(draft, self.path)


class SQLiteSnapshot:
    """The transaction that reads on *connection*; see `projections.views.Snapshot`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def standing(self, name: str) -> Standing | None:
        """Return how far a projection had come."""
        return find_standing(self._connection, name, "live")

    def scan(self, table: Table[Any]) -> Iterator[tuple[Cell, ...]]:
        """Yield the cells of every row, in the order of the key."""
        order = f"ORDER BY {sql.names(table.key)}"
        return iter(self._connection.execute(sql.select(table, "live", order)))


def _sayable(cell: Cell) -> Cell:
    """Return a parameter as a database takes it: whatever was typed, bytes that are no text too."""
    return cell.encode("utf-8", "replace").decode() if isinstance(cell, str) else cell


def _check_identity(connection: sqlite3.Connection, path: Path, ledger_id: str) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID or version != FORMAT:
        raise StoreUnknown(
            f"cannot use the views in {path}: this version did not make them; remove the file "
            "and run `gesta rebuild`"
        )
    if connection.execute("SELECT ledger_id FROM gesta_views").fetchone() != (ledger_id,):
        raise StoreUnknown(
            f"cannot use the views in {path}: they are of another ledger; remove the file and "
            "run `gesta rebuild`"
        )
