"""Puts what changed in a tree into an archive: a tar file, gzip-compressed.

Its first member, `deleted`, holds the paths that are gone, each ended by NUL. The others are
directories, regular files and symbolic links, named `tree/PATH`, parents first. Times are whole
nanoseconds, in the extended header (pax(1)).
"""

from __future__ import annotations

import io
import os
import tarfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import IO

    from adapters.e2b.guest.listing import Listing

DELETED = "deleted"
TREE = "tree/"
_LEVEL = 1


def pack(
    root: str, listing: Listing, changed: Iterable[str], deleted: Iterable[str], to: IO[bytes]
) -> None:
    """Write the archive of the paths *changed* (as *listing* has them) and *deleted* to *to*."""
    with tarfile.open(
        fileobj=to,
        mode="w:gz",
        compresslevel=_LEVEL,
        format=tarfile.PAX_FORMAT,
        encoding="utf-8",
        errors="surrogateescape",
    ) as archive:
        gone = b"".join(os.fsencode(path) + b"\0" for path in deleted)
        member = tarfile.TarInfo(DELETED)
        member.size = len(gone)
        archive.addfile(member, io.BytesIO(gone))
        for path in changed:
            _add(archive, root, path, listing)


def _add(archive: tarfile.TarFile, root: str, path: str, listing: Listing) -> None:
    kind, mode, detail, *_ = listing[path]
    member = tarfile.TarInfo(TREE + path)
    member.mode = mode
    if kind == "d":
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
    elif kind == "l":
        member.type = tarfile.SYMTYPE
        member.linkname = str(detail)
        archive.addfile(member)
    else:
        _add_file(archive, os.path.join(root, path), member)


def _add_file(archive: tarfile.TarFile, whole: str, member: tarfile.TarInfo) -> None:
    # Non-blocking, not following: it may be something else by now.
    descriptor = os.open(whole, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        state = os.fstat(descriptor)
        member.size = state.st_size
        member.pax_headers = {"mtime": _seconds(state.st_mtime_ns)}
        archive.addfile(member, _Steady(file, state.st_size))


class _Steady(io.RawIOBase):
    """Exactly *size* bytes of a file, whatever it does meanwhile."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; a file that shrank goes on with zeros."""
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._file.read(wanted).ljust(wanted, b"\0")
        self._left -= wanted
        return data


def _seconds(nanoseconds: int) -> str:
    whole, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{whole}.{rest:09}"
