"""The event store in SQLite, as a persistence module of `eventsourcing`.

Rule 1: appending is `sqlite_append`'s one transaction, in groups where threads write at once.
Rule 2: this module holds exactly one factory class; the library looks for it.
Rule 3: the library's own writing connections are never opened: its tables are not ours.

The environment that configures it: `PERSISTENCE_MODULE=adapters.sqlite_store`, `SQLITE_DBNAME`
(a file), `ORIGINATOR_ID_TYPE=text`, `CREATE_TABLE=n` to open an existing ledger only, and
`GESTA_SYNCHRONOUS` (`FULL` unless a benchmark or a test asks for less).
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from eventsourcing import sqlite
from eventsourcing.persistence import NotSupportedError, StoredEvent
from eventsourcing.utils import Environment

from adapters.forks import ForkAware, watch_forks
from adapters.sqlite.append import Batch, append_failure, read_head
from adapters.sqlite.connections import SYNCHRONOUS, SQLiteConnections
from adapters.sqlite.library_reads import LibraryReads
from adapters.sqlite.schema import check_schema, describe_failure, ensure_database
from adapters.sqlite.snapshot import SCANNED, SQLiteSnapshot
from adapters.sqlite.write_lock import WriteLock
from adapters.sqlite.write_queue import WriteQueue
from ledger.errors import GestaError, StoreUnavailable
from ledger.merkle import TreeHead
from ledger.outcomes import Blob
from ledger.store import IsSigned, PrivatePart, Row, SignHead

if TYPE_CHECKING:
    from eventsourcing.utils import EnvType


class SQLiteStore(LibraryReads, ForkAware):
    """
    The ledger in the database that *datastore* names; it satisfies `ledger.store.Store`.

    *synchronous* is how durable a commit is; *create* makes the database if there is none.
    Raises `StoreUnknown` for a database that is not ours or newer, `StoreUnavailable`.
    """

    def __init__(
        self, datastore: sqlite.SQLiteDatastore, *, synchronous: str = "FULL", create: bool = True
    ) -> None:
        super().__init__(datastore)
        path = Path(datastore.pool.db_name).absolute()
        self.connections = SQLiteConnections(path, synchronous)
        self._turn = WriteLock(path.with_name(f"{path.name}.lock"))
        self._queue: WriteQueue[Batch, Sequence[int]] = WriteQueue(self._turn, self._write)
        self._sign: SignHead | None = None
        self._is_signed: IsSigned | None = None
        watch_forks(self)
        ensure_database(path, self._turn, create=create)
        try:
            with self.connections.reading() as connection:
                self._ledger_id, self._origin = check_schema(connection, path)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"cannot open {path}: {describe_failure(error)}") from error
        except BaseException:
            self.close()
            raise

    @property
    def ledger_id(self) -> str:
        """The UUID of this ledger, made with the store and kept for ever."""
        return self._ledger_id

    @property
    def origin(self) -> str:
        """The name of its log: see `ledger.store.Store`."""
        return self._origin

    def sign_with(self, sign: SignHead, is_signed: IsSigned | None = None) -> None:
        """Have every later append sign its head with *sign*: see `ledger.store.Store`."""
        self._sign, self._is_signed = sign, is_signed

    def create_table(self) -> None:
        """Do nothing: the tables came with the database."""

    def insert_events(  # type: ignore[override]  # the library's keywords are anything at all
        self,
        stored_events: Sequence[StoredEvent],
        *,
        leaves: Sequence[bytes],
        private: Sequence[PrivatePart | None],
        blobs: Sequence[Blob] = (),
        keep_head: bool = False,
    ) -> Sequence[int]:
        """
        Append events of one stream and return their positions: see `ledger.store.Store`.

        Raises `IntegrityError` for a version that is not the stream's next, `StoreUnavailable`.
        """
        if not stored_events:
            return ()
        batch = Batch(stored_events, leaves, private, blobs, keep_head)
        try:
            return self._queue.submit(batch)
        except OSError as error:
            raise StoreUnavailable(f"cannot append to the ledger: {error}") from error

    def _write(self, batches: Sequence[Batch]) -> list[Sequence[int] | Exception]:
        try:
            return self.connections.writer().append(batches, self._sign, self._is_signed)
        except GestaError as error:
            # Nobody can sign, or did. Nothing was appended, and the connection is as it was.
            return [error for _ in batches]
        except sqlite3.Error as error:
            self.connections.drop_writer()
            return [append_failure(error) for _ in batches]
        except BaseException:
            self.connections.drop_writer()
            raise

    def stream_rows(
        self, stream: str, *, after: int = -1, through: int | None = None
    ) -> Sequence[Row]:
        """Return a stream's rows in order, those with a version above *after*, up to *through*."""
        statement = f"{SCANNED} WHERE e.originator_id = ? AND e.originator_version > ?"
        parameters: list[Any] = [stream, after]
        if through is not None:
            statement += " AND e.originator_version <= ?"
            parameters.append(through)
        statement += " ORDER BY e.originator_version"
        return [_row(*found) for found in self.connections.read(statement, parameters)]

    def page(
        self,
        *,
        after: int = -1,
        limit: int = 1000,
        topics: Sequence[str] = (),
        newest_first: bool = False,
    ) -> Sequence[Row]:
        """Return at most *limit* rows of the whole log with a position above *after*, in order."""
        statement = f"{SCANNED} WHERE e.position > ?"
        if topics:
            statement += f" AND e.topic IN ({','.join('?' * len(topics))})"
        statement += f" ORDER BY e.position {'DESC' if newest_first else 'ASC'} LIMIT ?"
        found = self.connections.read(statement, [after, *topics, limit])
        return [_row(*one) for one in found]

    def blob_row(self, digest: str) -> bytes | None:
        """Return a small blob's bytes, or `None` if there is no such row."""
        rows = self.connections.read("SELECT body FROM blobs WHERE digest = ?", (digest,))
        return bytes(rows[0][0]) if rows else None

    def tree_head(self) -> TreeHead:
        """Return the tree's head as of now."""
        return read_head(*self.connections.read("SELECT size, edge FROM tree")[0])

    def head_note(self) -> bytes:
        """Return the note of the tree's head, empty if nobody signed it."""
        return bytes(self.connections.read("SELECT note FROM tree")[0][0])

    def checkpoint(self, size: int) -> bytes | None:
        """Return the kept note of the log of *size* leaves, or `None`."""
        rows = self.connections.read("SELECT note FROM checkpoints WHERE size = ?", (size,))
        return bytes(rows[0][0]) if rows else None

    def newest_checkpoint(self) -> tuple[int, bytes] | None:
        """Return the kept note of the largest size with this, or `None` if none is kept."""
        statement = "SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1"
        rows = self.connections.read(statement)
        return (int(rows[0][0]), bytes(rows[0][1])) if rows else None

    def keep_checkpoint(self, size: int, note: bytes, *, instead_of: bytes | None) -> bool:
        """Keep a note as the one of *size*, if what is kept there still is *instead_of*."""
        try:
            with self._queue.alone():
                return self.connections.writer().keep(size, note, instead_of)
        except sqlite3.Error as error:
            self.connections.drop_writer()
            raise StoreUnavailable(
                f"cannot keep a checkpoint: {describe_failure(error)}"
            ) from error
        except OSError as error:
            raise StoreUnavailable(f"cannot keep a checkpoint: {error}") from error

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[SQLiteSnapshot]:
        """Lend everything as of now; raises `StoreUnavailable`."""
        try:
            with self.connections.reading() as connection:
                connection.execute("BEGIN")
                try:
                    yield SQLiteSnapshot(connection)
                finally:
                    connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise StoreUnavailable(f"cannot read the ledger: {describe_failure(error)}") from error

    def close(self) -> None:
        """Let go of every connection; what is being written or read is finished first."""
        self.prepare_fork()
        self._turn.close()
        self.resume_parent()

    def prepare_fork(self) -> None:
        """Have nobody write or read, and no connection open."""
        self._queue.pause()
        self.connections.pause()

    def resume_parent(self) -> None:
        """Let them write and read again, with new connections."""
        self.connections.resume()
        self._queue.resume()

    def renew_child(self) -> None:
        """Begin anew: the threads that were waiting are the parent's."""
        self.connections.renew()
        self._queue.renew()
        self._turn.close()


class Factory(sqlite.SQLiteFactory):
    """Makes the store that the environment names. There are no snapshots and no tracking here."""

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        self._stores: list[SQLiteStore] = []
        self._synchronous = (self.env.get("GESTA_SYNCHRONOUS") or "FULL").upper()
        if self._synchronous not in SYNCHRONOUS:
            raise OSError(f"cannot use GESTA_SYNCHRONOUS {self._synchronous!r}: it is unknown")
        if self.datastore.originator_id_type != "text":
            raise OSError("cannot use ORIGINATOR_ID_TYPE: streams have ids of text; set it to text")
        if self.datastore.pool.is_sqlite_memory_mode:
            raise OSError("cannot use SQLITE_DBNAME: a ledger is kept in a file")

    def application_recorder(self) -> SQLiteStore:
        """Return the store, its database made and checked."""
        store = SQLiteStore(
            self.datastore, synchronous=self._synchronous, create=self.env_create_table()
        )
        self._stores.append(store)
        return store

    def aggregate_recorder(self, purpose: str = "events") -> NoReturn:
        """Refuse: snapshots would put the library's tables into the ledger."""
        raise NotSupportedError(f"cannot record {purpose}: the ledger keeps events alone")

    def tracking_recorder(self, tracking_recorder_class: object = None) -> NoReturn:
        """Refuse: projections keep their positions with their views."""
        raise NotSupportedError("cannot record tracking: the ledger keeps events alone")

    def process_recorder(self) -> NoReturn:
        """Refuse: projections keep their positions with their views."""
        raise NotSupportedError("cannot record tracking: the ledger keeps events alone")

    def close(self) -> None:
        """Close every store that was made."""
        while self._stores:
            self._stores.pop().close()
        super().close()


def open_store(path: Path, *, synchronous: str = "FULL", create: bool = True) -> SQLiteStore:
    """Return the store in the database at *path*, without an application around it."""
    environment = {
        "SQLITE_DBNAME": str(path),
        "ORIGINATOR_ID_TYPE": "text",
        "GESTA_SYNCHRONOUS": synchronous,
        "CREATE_TABLE": "y" if create else "n",
    }
    return Factory(environment).application_recorder()


def _row(
    position: int,
    stream: str,
    version: int,
    topic: str,
    facts: bytes,
    leaf: bytes,
    salt: bytes | None,
    body: bytes | None,
) -> Row:
    private = None if salt is None or body is None else PrivatePart(salt, body)
    return Row(
        position=position,
        stream=stream,
        version=version,
        topic=topic,
        facts=facts,
        leaf=leaf,
        private=private,
    )
