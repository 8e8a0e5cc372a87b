"""`run_status` by the library's own ProjectionRunner, from the same ledger into SQLite.

What the library lacks is put in as its documents say: SQLite has no subscription, so one polls;
a mapper turns stored events into ours. The projection folds and writes the very rows of
`projections.run_status`, and holds the rows that it has written in memory, which spares it a read
for every event.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from eventsourcing.application import Application
from eventsourcing.persistence import ListenNotifySubscription, Mapper, Notification, Tracking
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.sqlite import SQLiteDatastore, SQLiteTrackingRecorder

from adapters.sqlite import view_tables as sql
from adapters.sqlite_store import SQLiteStore
from ledger.codec import decode
from ledger.recorded import Recorded
from ledger.store import Row
from projections.columns import columns_of
from projections.folding import fold
from projections.run_status import RunStatuses

_POLL = 0.05


@dataclass(frozen=True)
class RowNotification(Notification):
    """A notification with the whole stored row: the private part is not in the library's."""

    row: Row


class PollingSubscription(ListenNotifySubscription[Any]):
    """The library's subscription, woken by the clock."""

    def __init__(self, recorder: Any, gt: int | None, topics: Sequence[str]) -> None:
        super().__init__(recorder, gt, topics)
        self._poll_thread = threading.Thread(target=self._poll, daemon=True)
        self._poll_thread.start()

    def _poll(self) -> None:
        while not self._has_been_stopped:
            self._has_been_notified.set()
            time.sleep(_POLL)


class FollowedStore(SQLiteStore):
    """Our store, up to *events* events, with what the library's runner asks of one."""

    events = sys.maxsize

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> PollingSubscription:
        """Return what yields events, and waits for more."""
        return PollingSubscription(self, gt, topics)

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Return events after *start*, which is what its subscription asks for."""
        start = start or 0
        limit = min(limit, self.events - start)
        if limit <= 0:
            return []
        return [
            RowNotification(
                row.stream, row.version, row.topic, row.facts, id=row.position + 1, row=row
            )
            for row in self.page(after=start - 1, limit=limit)
        ]


class RowMapper(Mapper[str]):
    """Turns a notification into our recorded event."""

    def __init__(self) -> None:
        pass

    def to_domain_event(self, stored_event: Any) -> Any:
        """Return the event."""
        return decode(stored_event.row, RunStatuses.reads_private)


class FollowedLedger(Application[str]):
    """The ledger as an application that a runner can follow."""

    name = "followed"

    def construct_mapper(self) -> Mapper[str]:
        """Return the mapper of rows."""
        return RowMapper()

    def construct_recorder(self) -> Any:
        """Return the store that can be followed."""
        datastore = cast("Any", self.factory).datastore
        return FollowedStore(datastore, synchronous="OFF", create=False)


class StatusView(SQLiteTrackingRecorder):
    """The tables of `run_status`, with the library's tracking beside them."""

    def __init__(self, datastore: SQLiteDatastore, **kwargs: Any) -> None:
        super().__init__(datastore, **kwargs)
        tables = RunStatuses.tables
        for table in tables:
            self.create_table_statements += [
                sql.create(table, "live").replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1),
                *(
                    text.replace("CREATE INDEX", "CREATE INDEX IF NOT EXISTS", 1)
                    for text in sql.indexes(table)
                ),
            ]
        self._puts = {table.name: sql.put(table, "live") for table in tables}

    def write(self, changes: Any, tracking: Tracking) -> None:
        """Write rows and position in one transaction."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            for table, changed in changes:
                encode = columns_of(table.row).encode
                for row in changed.values():
                    cursor.execute(self._puts[table.name], encode(row))


class StatusRows(Projection[StatusView]):
    """The fold of `projections.run_status`, an event at a time."""

    name = "statusrows"

    def __init__(self, view: StatusView) -> None:
        super().__init__(view)
        self._projection = RunStatuses()
        self._held: dict[tuple[str, Any], Any] = {}

    def process_event(self, domain_event: Recorded, tracking: Tracking) -> None:
        """Fold one event and write what it changed."""
        position = domain_event.position
        folded = fold(
            self._projection,
            position - 1,
            [domain_event],
            lambda table, key: self._held.get((table.name, key)),
        )
        changes = list(folded.rows.changes())
        for table, changed in changes:
            self._held.update({(table.name, key): row for key, row in changed.items()})
        self.view.write(changes, tracking)


def follow(ledger: Path, target: Path, events: int) -> float:
    """Have the runner fold the first *events* events into *target*; return the seconds it took."""
    environment = {
        "FOLLOWED_PERSISTENCE_MODULE": "adapters.sqlite_store",
        "FOLLOWED_SQLITE_DBNAME": str(ledger),
        "FOLLOWED_ORIGINATOR_ID_TYPE": "text",
        "STATUSROWS_PERSISTENCE_MODULE": "eventsourcing.sqlite",
        "STATUSROWS_SQLITE_DBNAME": str(target),
    }
    FollowedStore.events = events
    began = time.perf_counter()
    runner = ProjectionRunner(
        application_class=FollowedLedger,
        projection_class=StatusRows,
        view_class=StatusView,
        env=environment,
    )
    with runner:
        view = runner.projection.view
        with view.datastore.get_connection(commit=True) as connection:
            # As durable as our views are: what a crash takes is folded again.
            connection.cursor().execute("PRAGMA synchronous = NORMAL")
        while (view.max_tracking_id(FollowedLedger.name) or 0) < events:
            if runner.is_interrupted.is_set():
                break
            time.sleep(_POLL)
        return time.perf_counter() - began
