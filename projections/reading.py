"""What a reader may ask of the ledger: the runs, and the audit trail.

Rule 1: every answer is folded from the store at the moment it is asked for.
Rule 2: nothing here changes anything, and nothing here fails because a private part is missing.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ledger import events as e
from ledger.events import OsText
from ledger.journal import Journal
from ledger.recorded import Recorded
from projections.audit_trail import AuditRow, fold_audit_trail
from projections.run_status import RunStatus, fold_run_status

_OPENED = ("run.opened.1",)


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """
    Which runs are wanted; what is `None` or `False` says nothing.

    *since* is in microseconds, UTC. *repository* is a shared git directory, *directory* the one
    that a run without a repository was opened in.
    """

    task: str | None = None
    status: str | None = None
    since: int | None = None
    repository: OsText | None = None
    directory: OsText | None = None
    fell_back: bool = False
    leaked: bool = False


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are wanted: by class name, by time in microseconds, by words in the row."""

    events: frozenset[str] = frozenset()
    since: int | None = None
    until: int | None = None
    search: str | None = None


def runs(journal: Journal, wanted: RunFilter, *, limit: int | None = None) -> Iterator[RunStatus]:
    """Yield at most *limit* runs that are *wanted*, newest first; only they are folded whole."""
    found = 0
    for opened in reversed(list(journal.read(topics=_OPENED))):
        if limit is not None and found >= limit:
            return
        if not _may_be_wanted(opened, wanted):
            continue
        row = fold_run_status(journal.history(opened.stream))
        if row is not None and _is_wanted(row, wanted):
            found += 1
            yield row


def audit(
    journal: Journal, wanted: AuditFilter, *, stream: str | None = None
) -> Iterator[AuditRow]:
    """Yield the audit trail of one *stream*, or of the whole ledger, as far as it is *wanted*."""
    records = journal.read() if stream is None else journal.history(stream)
    return (row for row in fold_audit_trail(records) if _is_row_wanted(row, wanted))


def _may_be_wanted(record: Recorded, wanted: RunFilter) -> bool:
    task = record.event.task if isinstance(record.event, e.RunOpened) else None
    in_time = wanted.since is None or record.occurred >= wanted.since
    return in_time and wanted.task in (None, task)


def _is_wanted(row: RunStatus, wanted: RunFilter) -> bool:
    return (
        wanted.status in (None, row.status)
        and (wanted.repository is None or wanted.repository == row.repository)
        and (wanted.directory is None or wanted.directory == row.directory)
        and not (wanted.fell_back and not row.fallbacks)
        and not (wanted.leaked and row.cleanliness != "leaked")
    )


def _is_row_wanted(row: AuditRow, wanted: AuditFilter) -> bool:
    if wanted.events and row.event not in wanted.events:
        return False
    if wanted.since is not None and row.occurred_at < wanted.since:
        return False
    if wanted.until is not None and row.occurred_at > wanted.until:
        return False
    if wanted.search is None:
        return True
    words = (row.what, row.actor, row.task, row.run, row.event, row.where, row.host)
    return wanted.search.casefold() in "\0".join(word or "" for word in words).casefold()
