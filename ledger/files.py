"""The port to the files of a workspace: what the ledger reads and writes there.

Rule: what can be expected to fail is returned as a `FileDenial`, and is on record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol

import msgspec


class FileDenial(msgspec.Struct, frozen=True):
    """Why a path in a workspace cannot be used; nothing was read or written."""

    reason: Literal["outside", "symlink", "not_a_file", "missing", "failed"]
    message: str


class Files(Protocol):
    """
    Reads and writes files below a workspace's root, by paths relative to it.

    No path leads out: neither by `..`, nor by a symbolic link, nor by one put there meanwhile.
    """

    def write(self, root: Path, path: str, data: bytes) -> FileDenial | None:
        """Write the file whole or not at all, making its directories."""

    def read(self, root: Path, path: str) -> bytes | FileDenial:
        """Return the file's content."""

    def find(self, root: Path, patterns: Sequence[str]) -> Iterator[str]:
        """Yield the regular files that match a glob, in order; symbolic links are not followed."""

    def chunks(self, root: Path, path: str) -> Iterator[bytes]:
        """Yield a file's content in pieces; raises `WorkspaceError`."""

    def fingerprint(self, root: Path, path: str) -> str | None:
        """
        Return a digest of a file, or of a directory with all that is below it, `None` of nothing.

        Names, kinds, modes and contents count; symbolic links are not followed.
        """

    def stands(self, path: Path) -> bool:
        """Say whether anything is at *path*, whatever it is."""

    def make_directory(self, root: Path, path: str) -> None:
        """Make a directory below *root* if it is not there."""

    def remove_empty(self, directory: Path, *, below: Path) -> None:
        """Remove *directory* and its parents up to *below*, as long as they are empty."""
