"""The connections that one process has to a ledger's database.

Rule 1: one connection writes, and whoever has the turn to write has it alone; any number read.
Rule 2: reading never waits for writing (write-ahead log), and a reading connection cannot write.
Rule 3: during a fork no connection is open; parent and child make new ones (`forks`).
Rule 4: the database file is opened by SQLite alone: closing any other descriptor of it would
drop the locks of this process (https://sqlite.org/howtocorrupt.html, section 2.2).
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from adapters.sqlite.append import Appender
from adapters.sqlite.schema import connect, describe_failure
from ledger.errors import StoreUnavailable

SYNCHRONOUS = ("OFF", "NORMAL", "FULL", "EXTRA")
_IDLE_READERS: Final = 8


class SQLiteConnections:
    """
    Connections to the database at *path*, made as they are needed.

    *synchronous* is SQLite's word for how durable a commit is. *trace* may be set to a function
    that is given the text of every statement; it counts for connections made afterwards, so set
    it on a fresh object, or call `close` first.
    """

    def __init__(self, path: Path, synchronous: str) -> None:
        self.path = path
        self.trace: Callable[[str], object] | None = None
        self._synchronous = synchronous
        self._readers: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection | None = None
        self._appender: Appender | None = None
        self._lent = 0
        self.renew()

    def writer(self) -> Appender:
        """Return the writing end; the caller has the turn to write. Raises `sqlite3.Error`."""
        if self._appender is None:
            self._appender = Appender(self.connection_for_writing())
        return self._appender

    def connection_for_writing(self) -> sqlite3.Connection:
        """Return the connection that `writer` writes with; raises `sqlite3.Error`."""
        if self._writer is None:
            connection = connect(self.path)
            # Whoever switched to another journal (backup tools do) must not make readers wait.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            self._writer = self._traced(connection)
        return self._writer

    def drop_writer(self) -> None:
        """Close the writing connection after a failure: the next write begins with a new one."""
        connection, self._writer, self._appender = self._writer, None, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def read(self, statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Return all rows of one statement, as of one moment; raises `StoreUnavailable`."""
        try:
            with self.reading() as connection:
                return connection.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise StoreUnavailable(f"cannot read the ledger: {describe_failure(error)}") from error

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection that reads; raises `sqlite3.Error`."""
        with self._idle:
            self._lent += 1
            connection = self._readers.pop() if self._readers else None
        try:
            if connection is None:
                connection = connect(self.path)
                connection.execute("PRAGMA query_only = ON")
                self._traced(connection)
            yield connection
        finally:
            self._take_back(connection)

    def _take_back(self, connection: sqlite3.Connection | None) -> None:
        with self._idle:
            self._lent -= 1
            if connection is not None and len(self._readers) < _IDLE_READERS:
                self._readers.append(connection)
            elif connection is not None:
                connection.close()
            self._idle.notify_all()

    def pause(self) -> None:
        """
        Wait until nobody reads, close every connection, and let nobody read until `resume`.

        The caller sees to it that nobody writes.
        """
        self._idle.acquire()
        while self._lent:
            self._idle.wait()
        self.drop_writer()
        while self._readers:
            self._readers.pop().close()

    def resume(self) -> None:
        """Let connections be made again."""
        self._idle.release()

    def renew(self) -> None:
        """Begin anew in a forked child, whose parent paused: no connection was open."""
        self._idle = threading.Condition()

    def _traced(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        if self.trace is not None:
            connection.set_trace_callback(self.trace)
        return connection
