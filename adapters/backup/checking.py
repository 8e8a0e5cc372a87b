"""A database out of an archive, held against itself before anything believes it.

Rule 1: it is whoever's: what SQLite, the schema, the tree, the commitments, the signed heads and
the blobs say must agree. Who made it, only somebody who knows the key from elsewhere can say.
Rule 2: nothing is asked of the archive that the database itself can say; the manifest must only
not contradict it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec

from adapters.backup.archive import Manifest
from adapters.backup.named_blobs import MakeBlobs, blob_rows, is_whole, named_blobs
from adapters.sqlite.migration import migrate_database
from adapters.sqlite.schema import check_schema, connect
from ledger.errors import BackupRefused, ProofInvalid, StoreError
from ledger.verdict import Report

# Verifies the log that was unpacked, blobs aside; raises `StoreError`.
VerifyLog = Callable[[], Report]


def check_restored(
    database: Path, blobs: MakeBlobs, verify: VerifyLog, manifest: Manifest
) -> tuple[str, ...]:
    """
    Return the digests of the blobs that are missing, which the *manifest* has to say as well.

    A store of an older version is brought to today's first. Raises `BackupRefused` if rows, tree,
    commitments, signatures, blobs or manifest do not agree.
    """
    try:
        _check_pages(database)
        if (kept := migrate_database(database).kept) is not None:
            # The backup is the copy.
            kept.unlink()
        _check_log(database, verify(), manifest)
        lost = _lost_blobs(database, blobs)
    except (StoreError, ProofInvalid) as error:
        raise BackupRefused(f"cannot restore: {error}") from error
    except (sqlite3.Error, msgspec.DecodeError, TypeError, ValueError, RecursionError) as error:
        raise BackupRefused(f"cannot restore: its database is damaged ({error})") from error
    unexpected = set(lost) - {name.sha256 for name in manifest.missing}
    if unexpected:
        raise BackupRefused(f"cannot restore: its blob {min(unexpected)} is missing or damaged")
    return lost


def _check_pages(database: Path) -> None:
    with contextlib.closing(connect(database)) as connection:
        problem = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if problem != "ok":
        raise BackupRefused(f"cannot restore: its database is damaged ({problem})")


def _check_log(database: Path, report: Report, manifest: Manifest) -> None:
    for finding in report.findings:
        # What is missing was erased, or was missing before: that is not the backup's doing.
        if finding.kind != "missing":
            at = "" if finding.position is None else f" (event {finding.position})"
            raise BackupRefused(f"cannot restore: {finding.what}{at}")
    with contextlib.closing(connect(database)) as connection:
        ledger, _ = check_schema(connection, database)
        note = bytes(connection.execute("SELECT note FROM tree").fetchone()[0])
    found = (ledger, report.size, report.root, note.decode() or None)
    if found != (manifest.ledger, manifest.size, manifest.root, manifest.note):
        raise BackupRefused("cannot restore: its events are not those that it says it has")


def _lost_blobs(database: Path, blobs: MakeBlobs) -> tuple[str, ...]:
    with contextlib.closing(connect(database)) as connection:
        there = blobs(blob_rows(connection))
        names = set(named_blobs(connection))
        return tuple(sorted(name.sha256 for name in names if not is_whole(there, name)))
