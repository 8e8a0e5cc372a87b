"""How `eventsourcing` itself reads the store: its repository, and its notifications.

Rule: a notification's id is the position and one; the library's own ids are not kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from eventsourcing import sqlite
from eventsourcing.persistence import Notification, StoredEvent

from adapters.sqlite.connections import SQLiteConnections


class LibraryReads(sqlite.SQLiteApplicationRecorder):
    """The reading half of the library's recorder, over *connections*."""

    connections: SQLiteConnections

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Return a stream's events as the library has them; its repository reads so."""
        statement = (
            "SELECT originator_id, originator_version, topic, state FROM stored_events"
            " WHERE originator_id = ? AND originator_version > ?"
        )
        parameters: list[Any] = [str(originator_id), -1 if gt is None else gt]
        if lte is not None:
            statement += " AND originator_version <= ?"
            parameters.append(lte)
        statement += f" ORDER BY originator_version {'DESC' if desc else 'ASC'}"
        if limit is not None:
            statement += " LIMIT ?"
            parameters.append(limit)
        return [StoredEvent(*row) for row in self.connections.read(statement, parameters)]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Return events under the library's notification ids: the position and one."""
        statement = (
            "SELECT originator_id, originator_version, topic, state, position + 1"
            " FROM stored_events WHERE position >= ?"
        )
        first = 0 if start is None else start - 1 if inclusive_of_start else start
        parameters: list[Any] = [first]
        if stop is not None:
            statement += " AND position < ?"
            parameters.append(stop)
        if topics:
            statement += f" AND topic IN ({','.join('?' * len(topics))})"
            parameters += topics
        statement += " ORDER BY position LIMIT ?"
        found = self.connections.read(statement, [*parameters, limit])
        return [Notification(*row) for row in found]

    def max_notification_id(self) -> int | None:  # type: ignore[override]  # as its superclass's
        """Return the last event's notification id, or `None` if there is no event."""
        found = self.connections.read("SELECT max(position) + 1 FROM stored_events")[0][0]
        return None if found is None else int(found)
