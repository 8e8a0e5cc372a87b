"""Keeps the workspace here and the one in an E2B sandbox the same, before and after each command.

Rule 1: before a command this side counts, after it the other; only what differs is sent.
Rule 2: what comes back is an archive from a machine that we do not trust: see
`adapters.e2b.guest.unpacking`.
Rule 3: `.git` at the top stays here: inside the sandbox there is no repository.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import IO

from adapters.e2b.account import patiently
from adapters.e2b.errors import E2BError, Trouble
from adapters.e2b.guest.listing import Listing, alike, changes, list_tree, note
from adapters.e2b.guest.packing import pack
from adapters.e2b.guest.unpacking import MOST_BYTES, MOST_FILES, ArchiveRefused, unpack
from adapters.e2b.machine import E2BMachine

_IN_MEMORY = 8 << 20


class Transfer:
    """
    The workspace at *root*; *files* and *size* (in bytes) limit what may go either way.

    *known* is what both sides have, by the look of this side.
    """

    def __init__(self, root: Path, *, files: int = MOST_FILES, size: int = MOST_BYTES) -> None:
        self._root = os.fspath(root)
        self._files = files
        self._size = size
        self._known: Listing = {}
        self._count = 0

    def send(self, machine: E2BMachine) -> str | None:
        """
        Upload what changed here since both sides were the same, and return the archive's name.

        `None` if nothing did. Raises `E2BError`.
        """
        now = self._list()
        changed, deleted = changes(self._known, now)
        if not changed and not deleted:
            return None
        self._count += 1
        name = f"in-{self._count}.tar.gz"
        with self._temporary() as archive:
            self._pack(now, changed, deleted, archive)
            machine.upload(name, archive)
        self._known = now
        return name

    def fetch(self, machine: E2BMachine, name: str) -> None:
        """Download an archive of changes and apply it here; raises `E2BError`."""
        with self._temporary() as archive:
            patiently(lambda: self._download(machine, name, archive))
            try:
                named = unpack(archive, self._root, files=self._files, size=self._size)
            except ArchiveRefused as error:
                raise _failed(f"the changes are refused: {error}") from error
            except OSError as error:
                raise _failed(f"the changes cannot be applied: {error}") from error
        note(self._known, self._root, named)

    def _download(self, machine: E2BMachine, name: str, archive: IO[bytes]) -> None:
        archive.seek(0)
        archive.truncate()
        for piece in machine.download(name):
            if archive.tell() + len(piece) > self._size:
                raise _failed(f"the changes are more than {self._size >> 20} MiB")
            archive.write(piece)

    def compare(self, other: Listing) -> None:
        """Take *other*, the sandbox's own list, for what it has; `send` brings the rest."""
        now = self._list()
        self._known = {
            path: now[path] if path in now and alike(entry, now[path]) else entry
            for path, entry in other.items()
        }

    def _list(self) -> Listing:
        try:
            listing = list_tree(self._root)
        except OSError as error:
            raise _failed(f"the workspace cannot be read: {error}") from error
        total = sum(int(entry[2]) for entry in listing.values() if entry[0] == "f")
        if len(listing) > self._files:
            raise _failed(f"the workspace has more than {self._files} files")
        if total > self._size:
            raise _failed(f"the workspace has more than {self._size >> 20} MiB")
        return listing

    def _pack(
        self, now: Listing, changed: list[str], deleted: list[str], archive: IO[bytes]
    ) -> None:
        try:
            pack(self._root, now, changed, deleted, archive)
        except OSError as error:
            raise _failed(f"the workspace cannot be packed: {error}") from error

    def _temporary(self) -> IO[bytes]:
        return tempfile.SpooledTemporaryFile(_IN_MEMORY)


def _failed(message: str) -> E2BError:
    return E2BError(Trouble(reason="failed", message=message))
