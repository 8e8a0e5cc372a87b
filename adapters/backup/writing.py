"""Writes a backup while the ledger is in use.

Rule 1: the file appears whole and durable under its name, or not at all.
Rule 2: the database is copied first, as of one moment, then every blob that an event in this copy
names: a blob is durable before its event is, and is not removed while an event names it, so that
none of them is missing unless it was before.
Rule 3: nothing waits: writers and readers go on.
Rule 4: every blob is read and held against its name; a missing or damaged one is reported.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sqlite3
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Final

import msgspec

from adapters.backup.archive import (
    DATABASE,
    FORMAT,
    MANIFEST,
    Listed,
    Manifest,
    add_bytes,
    add_member,
)
from adapters.backup.named_blobs import MakeBlobs, blob_rows, is_whole, named_blobs
from adapters.durable import sync_directory
from adapters.sqlite.append import read_head
from adapters.sqlite.copying import copy_database
from adapters.sqlite.schema import STORE_VERSION, check_schema, connect
from ledger.errors import BackupFailed
from ledger.merkle import root

if TYPE_CHECKING:
    from adapters.home import Home

_PROFILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\.yaml")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_LARGEST_SMALL_FILE: Final = 1024 * 1024


class BackedUp(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds; *events* is the size of the tree, *root* its root in hexadecimal."""

    file: str
    events: int
    root: str
    blobs: int
    profiles: int
    keys: int
    missing: tuple[str, ...]


def write_backup(
    home: Home, blobs: MakeBlobs, file: Path, *, taken: int, home_id: str, with_keys: bool
) -> BackedUp:
    """
    Write everything of the ledger in *home* to *file*, which must not exist.

    *blobs* makes the blob store of the home, over the rows that it is given; *taken* is the time
    now (µs, UTC). Raises `BackupFailed`, `StoreError`.
    """
    if os.path.lexists(file):
        raise BackupFailed(f"cannot write backup {file}: it exists; give another name")
    small = _small_files(home.profiles, _PROFILE)
    small |= _small_files(home.keys, _KEY) if with_keys else {}
    try:
        with TemporaryDirectory(prefix=".gesta-backup-", dir=file.parent) as directory:
            database, draft = Path(directory, DATABASE), Path(directory, "draft")
            with contextlib.closing(connect(home.database)) as source:
                check_schema(source, home.database)
                copy_database(source, database)
            manifest, names = _manifest(database, blobs, small, taken=taken, home_id=home_id)
            with open(draft, "xb", opener=_private) as out:
                _write(out, manifest, database, small, home, names)
                out.flush()
                os.fsync(out.fileno())
            os.rename(draft, file)
            sync_directory(file.parent)
    except (OSError, sqlite3.Error, tarfile.TarError) as error:
        raise BackupFailed(f"cannot write backup {file}: {error}") from error
    return BackedUp(
        file=str(file),
        events=manifest.size,
        root=manifest.root,
        blobs=manifest.blobs,
        profiles=sum(name.startswith("profiles/") for name in small),
        keys=sum(name.startswith("keys/") for name in small),
        missing=tuple(name.sha256 for name in manifest.missing),
    )


def _write(
    out: IO[bytes],
    manifest: Manifest,
    database: Path,
    small: dict[str, bytes],
    home: Home,
    names: Iterable[str],
) -> None:
    taken = manifest.taken
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        add_bytes(archive, MANIFEST, msgspec.json.encode(manifest), taken=taken)
        with open(database, "rb") as file:
            add_member(archive, DATABASE, file, taken=taken)
        for name, data in small.items():
            add_bytes(archive, name, data, taken=taken)
        for digest in names:
            place = Path("sha256", digest[:2], digest[2:])
            # One that is a row of the database has no file.
            with contextlib.suppress(FileNotFoundError), open(home.blobs / place, "rb") as file:
                add_member(archive, f"blobs/{place}", file, taken=taken)


def _manifest(
    database: Path, blobs: MakeBlobs, small: dict[str, bytes], *, taken: int, home_id: str
) -> tuple[Manifest, tuple[str, ...]]:
    """Return what the archive is to say of itself, and the digests of the blobs that it holds."""
    with contextlib.closing(connect(database)) as copy:
        ledger, _ = check_schema(copy, database)
        size, edge, note = copy.execute("SELECT size, edge, note FROM tree").fetchone()
        head = read_head(size, edge)
        there = blobs(blob_rows(copy))
        named = dict.fromkeys(named_blobs(copy))
        whole = {name.sha256 for name in named if is_whole(there, name)}
    manifest = Manifest(
        format=FORMAT,
        ledger=ledger,
        home=home_id,
        store=STORE_VERSION,
        taken=taken,
        size=head.size,
        root=root(head).hex(),
        note=bytes(note).decode() if note else None,
        files=(_listed_database(database), *_listed(small)),
        blobs=len(whole),
        missing=tuple(name for name in named if name.sha256 not in whole),
    )
    return manifest, tuple(sorted(whole))


def _small_files(directory: Path, form: re.Pattern[str]) -> dict[str, bytes]:
    """Return the regular files in *directory* whose names have this *form*, by member name."""
    found: dict[str, bytes] = {}
    if not directory.is_dir():
        return found
    for path in sorted(directory.iterdir()):
        if form.fullmatch(path.name) and path.is_file():
            with open(path, "rb") as file:
                data = file.read(_LARGEST_SMALL_FILE + 1)
            if len(data) > _LARGEST_SMALL_FILE:
                raise BackupFailed(f"cannot back up {path}: it is too large for what it should be")
            found[f"{directory.name}/{path.name}"] = data
    return found


def _listed(small: dict[str, bytes]) -> Iterator[Listed]:
    for name, data in small.items():
        yield Listed(name, len(data), hashlib.sha256(data).hexdigest())


def _listed_database(database: Path) -> Listed:
    with open(database, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Listed(DATABASE, database.stat().st_size, digest)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
