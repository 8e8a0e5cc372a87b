"""Puts a backup into a new home, where the ledger goes on under new names.

Rule 1: the home appears whole, checked and durable, or not at all: everything is made in a
directory beside it, which is renamed at the very end.
Rule 2: nothing is written into a home that holds anything.
Rule 3: the home's id is new: whatever the original made and still uses is another home's here,
and is left alone. The first event after those of the backup says where they come from.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from adapters.backup.archive import (
    DATABASE,
    Listed,
    Manifest,
    Member,
    read_manifest,
    read_members,
)
from adapters.backup.checking import check_restored
from adapters.backup.named_blobs import MakeBlobs
from adapters.durable import sync_directory
from adapters.home import Home, check_new_home
from ledger.errors import BackupFailed, BackupRefused
from ledger.verdict import Report

# Of what the manifest lists, the database alone may be large.
_LARGEST_SMALL_FILE: Final = 1024 * 1024


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """
    What was put into the new home.

    *events* is the size of the tree in the backup and *root* its root, *home_id* the new one,
    *from_home* that of the home that the backup is of.
    """

    home: str
    ledger: str
    home_id: str
    from_home: str
    events: int
    root: str
    missing: tuple[str, ...]


def restore_backup(
    file: Path,
    place: Path,
    blobs: Callable[[Home], MakeBlobs],
    verify: Callable[[Home], Report],
    begin: Callable[[Home, Manifest], str],
) -> Restored:
    """
    Put the backup *file* into a new home at *place*, which must not exist, or be empty.

    *blobs* makes the blob store of a home, *verify* verifies its log; *begin* records in the new
    home that it was restored, and returns its id. Raises `BackupRefused` for an archive that is
    not a whole backup, `BackupFailed`, `HomeRefused`.
    """
    draft = Home(place.with_name(f".{place.name}.restoring-{os.urandom(8).hex()}"))
    try:
        check_new_home(place)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.path.mkdir(mode=0o700)
        try:
            manifest = _unpack(file, draft.path)
            missing = check_restored(draft.database, blobs(draft), lambda: verify(draft), manifest)
            home_id = begin(draft, manifest)
            _sync_tree(draft.path)
            # The last line at which nothing has happened yet.
            os.rename(draft.path, place)
            sync_directory(place.parent)
        except BaseException:
            shutil.rmtree(draft.path, ignore_errors=True)
            raise
    except OSError as error:
        raise BackupFailed(f"cannot restore {file} into {place}: {error}") from error
    return Restored(
        home=str(place),
        ledger=manifest.ledger,
        home_id=home_id,
        from_home=manifest.home,
        events=manifest.size,
        root=manifest.root,
        missing=missing,
    )


def _unpack(file: Path, directory: Path) -> Manifest:
    with open(file, "rb") as archive:
        members = read_members(archive)
        manifest = read_manifest(members)
        listed = {one.name: one for one in manifest.files}
        unread = {DATABASE, *listed}
        for member in members:
            digest = _write_member(member, directory)
            if not member.name.startswith("blobs/"):
                _check_listed(member, digest, listed)
            unread.discard(member.name)
    if unread:
        raise BackupRefused(f"cannot restore: its member {min(unread)!r} is missing")
    return manifest


def _write_member(member: Member, directory: Path) -> str:
    path, digest = directory / member.name, hashlib.sha256()
    # Names are those of a backup and of no other form: none leads out of the directory.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        for piece in member.chunks:
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _check_listed(member: Member, digest: str, listed: dict[str, Listed]) -> None:
    if Listed(member.name, member.size, digest) != listed.get(member.name):
        raise BackupRefused(f"cannot restore: its member {member.name!r} is not the one it lists")
    if member.name != DATABASE and member.size > _LARGEST_SMALL_FILE:
        raise BackupRefused(f"cannot restore: its member {member.name!r} is too large")


def _sync_tree(directory: Path) -> None:
    for path in _directories(directory):
        sync_directory(path)


def _directories(directory: Path) -> Iterator[Path]:
    for path, _, _ in os.walk(directory):
        yield Path(path)
