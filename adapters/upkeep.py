"""What keeps a ledger over the years: backed up, restored into another home, migrated.

Rule: none of it makes a ledger where there is none, but for `restore_backup`, which makes a whole
one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.wiring import blobs_of, key_file, open_journal
from ledger.errors import StoreUnavailable
from ledger.events import LedgerRestored

if TYPE_CHECKING:
    from adapters.backup.archive import Manifest
    from adapters.backup.restoring import Restored
    from adapters.backup.writing import BackedUp
    from adapters.home import Home
    from adapters.sqlite.migration import Migrated
    from ledger.verdict import Report


def migrate_store(environment: Mapping[str, str]) -> Migrated:
    """
    Bring the store of the home to today's version, and see to it that its log is signed.

    Raises `HomeRefused`, `StoreError`.
    """
    from adapters.sqlite.migration import migrate_database

    home = _existing_home(environment, "migrate its store")
    migrated = migrate_database(home.database)
    _begin_signing(home, environment)
    return migrated


def _begin_signing(home: Home, environment: Mapping[str, str]) -> None:
    """Give a key to a log that never had one, as the first version's had not."""
    from adapters.provenance import provenance
    from adapters.world import SystemClock, SystemRandomness

    randomness = SystemRandomness()
    journal = open_journal(home, SystemClock(), randomness)
    try:
        said = journal.history(journal.store.ledger_id)
        if not any(getattr(record.event, "key", None) for record in said):
            key = key_file(home, journal.store.origin).make()
            journal.change_key(key, None, provenance(None, environment, randomness))
    finally:
        journal.close()


def write_backup(file: Path, environment: Mapping[str, str], *, with_keys: bool) -> BackedUp:
    """Write a backup of the home to *file*; raises `HomeRefused`, `StoreError`, `BackupFailed`."""
    from adapters.backup import writing
    from adapters.home import home_id
    from adapters.world import SystemClock

    home = _existing_home(environment, "back it up")
    return writing.write_backup(
        home,
        blobs_of(home),
        file,
        taken=SystemClock().now(),
        home_id=home_id(home),
        with_keys=with_keys,
    )


def restore_backup(file: Path, home: Path | None, environment: Mapping[str, str]) -> Restored:
    """
    Put a backup into a new home, by default the one that *environment* names.

    Raises `HomeRefused`, `BackupRefused`, `BackupFailed`.
    """
    from adapters.backup import restoring
    from adapters.home import locate_home

    place = locate_home(environment) if home is None else home.absolute()
    return restoring.restore_backup(
        file, place, blobs_of, _verify, lambda new, manifest: _go_on(new, manifest, environment)
    )


def _verify(home: Home) -> Report:
    """Verify the whole log in *home* against itself and the keys that it names."""
    from adapters.ed25519_signer import check_ed25519
    from adapters.world import SystemClock, SystemRandomness
    from ledger.verify import Verifier, Wanted

    journal = open_journal(home, SystemClock(), SystemRandomness())
    try:
        store, wanted = journal.store, Wanted(all_signatures=True)
        with store.snapshot() as snapshot:
            return (
                Verifier(
                    snapshot,
                    wanted,
                    ledger=store.ledger_id,
                    origin=store.origin,
                    check=check_ed25519,
                )
                .verify()
                .report
            )
    finally:
        journal.close()


def _go_on(home: Home, manifest: Manifest, environment: Mapping[str, str]) -> str:
    """Record in a restored *home* where it comes from; return the new home's id."""
    from adapters.home import home_id
    from adapters.provenance import provenance
    from adapters.sqlite.copying import name_log
    from adapters.world import SystemClock, SystemRandomness

    clock, randomness, identity = SystemClock(), SystemRandomness(), home_id(home)
    # Two histories under one name would contradict one another, each with a good signature.
    origin = f"gesta/{manifest.ledger}/{identity}"
    name_log(home.database, origin)
    restored = LedgerRestored(
        home=identity,
        key=key_file(home, origin).make(),
        from_home=manifest.home,
        size=manifest.size,
        root=manifest.root,
        note=manifest.note,
        taken=manifest.taken,
    )
    journal = open_journal(home, clock, randomness)
    try:
        journal.restore_ledger(restored, provenance(None, environment, randomness))
    finally:
        journal.close()
    return identity


def _existing_home(environment: Mapping[str, str], doing: str) -> Home:
    from adapters.home import Home, locate_home, open_home

    home = Home(locate_home(environment))
    if not home.database.exists():
        raise StoreUnavailable(f"cannot {doing}: there is no ledger in {home.path}")
    return open_home(environment)
