"""Compressed files: written beside their place, put there whole, read in pieces.

Rule 1: a file is Zstandard (RFC 8878), one frame, and takes its name only when it is durable.
Rule 2: a draft is locked by who writes it (flock(2)): one that is not is a dead writer's.
Rule 3: reading expands a bounded piece at a time; a frame that wants more memory than ours ever
do is refused.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, Final

from adapters.durable import sync_directory

DRAFT: Final = ".draft-"
_PIECE: Final = 256 * 1024
# The window of what we write is 2 MiB (level 3); 8 MiB is what RFC 8878 asks readers to support.
_WINDOW_LOG: Final = 23
_DRAFT_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class DraftFile:
    """A file under *directory* that nothing names yet; *directory* is made if it is not there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._compressor: Any = _zstd().ZstdCompressor()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path, self._file = _begin(directory)

    def write(self, data: bytes) -> None:
        """Append *data*, compressed."""
        self._file.write(self._compressor.compress(data))

    def publish(self, name: Path) -> None:
        """Make the file durable and put it at *name*, relative to the directory."""
        self._file.write(self._compressor.flush())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        target = self._directory / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A file of that name says the same, or is damaged: either way this one may replace it.
        os.rename(self._path, target)
        # Another process may have made a directory on the way and not have synced it yet.
        for directory in (target.parent, *target.parent.parents):
            sync_directory(directory)
            if directory == self._directory.parent:
                break

    def remove(self) -> None:
        """Close and remove the file, if it was not published."""
        # What was buffered may find no room on the disk; it is not wanted any more.
        with contextlib.suppress(OSError):
            self._file.close()
        self._path.unlink(missing_ok=True)


def _begin(directory: Path) -> tuple[Path, BinaryIO]:
    while True:
        path = directory / f"{DRAFT}{os.urandom(16).hex()}"
        file = os.fdopen(os.open(path, _DRAFT_FLAGS, 0o600), "wb")
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        # Before it was locked it could be taken for a dead writer's.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(path), os.fstat(file.fileno())):
                return path, file
        file.close()


def read_file(path: Path) -> Iterator[bytes]:
    """
    Yield the expanded bytes of the file at *path* in pieces.

    Raises `ValueError` for a file that is cut off or not of our form, `OSError`.
    """
    zstd = _zstd()
    options = {zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}
    decompressor = zstd.ZstdDecompressor(options=options)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        try:
            while not decompressor.eof:
                data = file.read(_PIECE) if decompressor.needs_input else b""
                if not data and decompressor.needs_input:
                    raise ValueError("cannot expand a file: it is cut off")
                if piece := decompressor.decompress(data, max_length=_PIECE):
                    yield piece
        except zstd.ZstdError as error:
            raise ValueError(f"cannot expand a file: {error}") from error
        if decompressor.unused_data or file.read(1):
            raise ValueError("cannot expand a file: something follows its end")


def _zstd() -> ModuleType:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    module: ModuleType = zstd
    return module
