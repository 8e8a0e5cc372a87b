"""A digest of a file, or of a directory with all that is below it.

Rule: names, kinds, modes and contents count, in one order; no symbolic link is followed, by
directory descriptors all the way.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

_PIECE = 1 << 20


def fingerprint(root: Path, path: str) -> str | None:
    """Return the digest of *path* below *root*, `None` if nothing is there."""
    top = root / path
    digest = hashlib.sha256()
    found = False
    for name, entry in _entries(top):
        found = True
        for part in (os.fsencode(name), entry):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest() if found else None


def _entries(top: Path) -> Iterator[tuple[str, bytes]]:
    directory = os.open(top.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield from _entry(directory, top.name, ".")
    except FileNotFoundError:
        return
    finally:
        os.close(directory)


def _entry(directory: int, name: str, shown: str) -> Iterator[tuple[str, bytes]]:
    found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    mode = str(found.st_mode).encode()
    if stat.S_ISDIR(found.st_mode):
        yield shown, mode
        inner = os.open(
            name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory
        )
        try:
            for below in sorted(os.listdir(inner)):
                yield from _entry(inner, below, f"{shown}/{below}")
        finally:
            os.close(inner)
    elif stat.S_ISLNK(found.st_mode):
        yield shown, mode + b" " + os.fsencode(os.readlink(name, dir_fd=directory))
    elif stat.S_ISREG(found.st_mode):
        yield shown, mode + b" " + _content(directory, name)
    else:
        yield shown, mode


def _content(directory: int, name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    with open(descriptor, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
