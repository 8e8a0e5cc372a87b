"""The file that a backup is: a tar archive (POSIX ustar) of plain files with known names.

    gesta-backup.json          what it holds; always first
    ledger.db                  the event store, a single SQLite database
    blobs/sha256/ab/cdef…      large blobs, as they lie in the home
    profiles/NAME.yaml         the user's own policy profiles
    keys/…                     signing keys, if they were asked for

Rule 1: what is read is whoever's: a header that is anything but a regular file of one of these
names, once, whose bytes lie inside the archive, is refused before a byte of it is written
anywhere. Links, devices, sparse files and extended headers do not come so far as to be interpreted.
Rule 2: memory is bounded: a member is read in pieces, the first one is limited.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Iterator
from typing import IO, Final

import msgspec

from ledger.errors import BackupRefused
from ledger.events import BlobName

FORMAT: Final = 1
MANIFEST: Final = "gesta-backup.json"
DATABASE: Final = "ledger.db"

_NAME = re.compile(
    r"gesta-backup\.json|ledger\.db|blobs/sha256/[0-9a-f]{2}/[0-9a-f]{62}"
    r"|profiles/[A-Za-z0-9][A-Za-z0-9_-]{0,63}\.yaml|keys/[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
)
_PIECE: Final = 1024 * 1024
_LARGEST_MANIFEST: Final = 16 * 1024 * 1024


class Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member whose name does not say what its bytes are."""

    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    What the archive holds. *taken* is a time (µs, UTC); *size* and *root* are those of the tree.

    *files* are all members but this one and the blobs, *missing* the blobs that events name and
    the home did not have whole.
    """

    format: int
    ledger: str
    home: str
    store: int
    taken: int
    size: int
    root: str
    note: str | None
    files: tuple[Listed, ...]
    blobs: int
    missing: tuple[BlobName, ...]


class Member(msgspec.Struct, frozen=True):
    """A regular file in the archive; its bytes must be read before the next member is asked for."""

    name: str
    size: int
    chunks: Iterator[bytes]


def add_member(archive: tarfile.TarFile, name: str, file: IO[bytes], *, taken: int) -> None:
    """Append the whole of the open *file* under *name*."""
    info = tarfile.TarInfo(name)
    info.size = os.fstat(file.fileno()).st_size
    info.mode, info.mtime = 0o600, taken // 1_000_000
    archive.addfile(info, file)


def add_bytes(archive: tarfile.TarFile, name: str, data: bytes, *, taken: int) -> None:
    """Append *data* under *name*."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(data), 0o600, taken // 1_000_000
    archive.addfile(info, io.BytesIO(data))


def read_manifest(members: Iterator[Member]) -> Manifest:
    """Return what the first of *members* says the archive holds; raises `BackupRefused`."""
    first = next(members, None)
    if first is None or first.name != MANIFEST:
        raise BackupRefused("cannot restore: it does not begin as a backup of gesta's does")
    if first.size > _LARGEST_MANIFEST:
        raise BackupRefused(f"cannot restore: its {MANIFEST} is too large")
    data = b"".join(first.chunks)
    try:
        found = msgspec.json.decode(data, type=_Versioned)
        if found.format > FORMAT:
            raise BackupRefused(
                f"cannot restore: it was written by a newer version (backup {found.format}, this "
                f"is {FORMAT})"
            )
        return msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BackupRefused(f"cannot restore: its {MANIFEST} is not one ({error})") from error


class _Versioned(msgspec.Struct, frozen=True):
    format: int


def read_members(file: IO[bytes]) -> Iterator[Member]:
    """Yield the members of the archive that *file*, seekable, holds; raises `BackupRefused`."""
    end = os.fstat(file.fileno()).st_size
    seen: set[str] = set()
    at = 0
    while header := _read_header(file, at):
        _check_header(header, seen, room=end - at - tarfile.BLOCKSIZE)
        seen.add(header.name)
        at += tarfile.BLOCKSIZE
        yield Member(header.name, header.size, _pieces(file, at, header.size))
        at += -(-header.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _read_header(file: IO[bytes], at: int) -> tarfile.TarInfo | None:
    file.seek(at)
    block = file.read(tarfile.BLOCKSIZE)
    if block == bytes(tarfile.BLOCKSIZE):
        return None
    try:
        return tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError) as error:
        raise BackupRefused(
            f"cannot restore: it is not a whole tar archive ({error} at byte {at})"
        ) from error


def _check_header(header: tarfile.TarInfo, seen: set[str], *, room: int) -> None:
    name = header.name
    if header.type != tarfile.REGTYPE or not _NAME.fullmatch(name):
        raise BackupRefused(f"cannot restore: its member {name!r} has no place in a backup")
    if name in seen:
        raise BackupRefused(f"cannot restore: its member {name!r} is there twice")
    if not 0 <= header.size <= room:
        raise BackupRefused(f"cannot restore: it is cut off in its member {name!r}")


def _pieces(file: IO[bytes], at: int, size: int) -> Iterator[bytes]:
    file.seek(at)
    while size:
        piece = file.read(min(size, _PIECE))
        if not piece:
            raise BackupRefused("cannot restore: it became shorter while it was read")
        size -= len(piece)
        yield piece
