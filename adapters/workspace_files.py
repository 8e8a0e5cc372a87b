"""Files below a workspace's root, reached by directory descriptors and never by a path again.

Rule 1: each step of a path is opened relative to the one before, without following a symbolic
link, so that nobody who swaps a directory meanwhile leads us out (openat(2), O_NOFOLLOW).
Rule 2: a write makes a new file beside and renames it: whole or not at all. Who writes it keeps it
locked (flock(2)): one that is not is a dead writer's.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import fnmatch
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from ledger.errors import WorkspaceError
from ledger.files import FileDenial

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 1 << 20


class WorkspaceFiles:
    """The `Files` port on this machine's file system."""

    def write(self, root: Path, path: str, data: bytes) -> FileDenial | None:
        """Write the file whole or not at all, making its directories."""
        try:
            with _parent(root, path, make=True) as (directory, name):
                return _replace(directory, name, data)
        except OSError as error:
            return _denial(error)

    def read(self, root: Path, path: str) -> bytes | FileDenial:
        """Return the file's content."""
        try:
            with _opened(root, path) as descriptor, open(descriptor, "rb", closefd=False) as file:
                return file.read()
        except OSError as error:
            return _denial(error)

    def chunks(self, root: Path, path: str) -> Iterator[bytes]:
        """Yield a file's content in pieces."""
        try:
            with _opened(root, path) as descriptor:
                while piece := os.read(descriptor, _PIECE):
                    yield piece
        except OSError as error:
            raise WorkspaceError(f"cannot read {path!r}: {error.strerror}") from error

    def find(self, root: Path, patterns: Sequence[str]) -> Iterator[str]:
        """Yield the regular files that match a glob, in order, each once."""
        if not patterns:
            return
        for path in _files(root):
            if any(_matches(path, pattern) for pattern in patterns):
                yield path

    def fingerprint(self, root: Path, path: str) -> str | None:
        """Return a digest of what is at *path* and below it, `None` of nothing."""
        from adapters.fingerprint import fingerprint

        try:
            return fingerprint(root, path)
        except OSError as error:
            return f"unreadable: {error.strerror}"

    def stands(self, path: Path) -> bool:
        """Say whether anything is at *path*, whatever it is."""
        return os.path.lexists(path)

    def make_directory(self, root: Path, path: str) -> None:
        """Make a directory below *root* if it is not there."""
        if not path:
            return
        try:
            with _parent(root, f"{path}/x", make=True):
                pass
        except OSError as error:
            raise WorkspaceError(f"cannot make directory {path!r}: {error.strerror}") from error

    def remove_empty(self, directory: Path, *, below: Path) -> None:
        """Remove *directory* and its parents up to *below*, as long as they are empty."""
        while below in directory.parents:
            try:
                directory.rmdir()
            except OSError:
                return
            directory = directory.parent


@contextlib.contextmanager
def _parent(root: Path, path: str, *, make: bool) -> Iterator[tuple[int, str]]:
    *steps, name = PurePosixPath(path).parts
    directory = os.open(root, _DIRECTORY)
    try:
        for step in steps:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(step, dir_fd=directory)
            inner = os.open(step, _DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = inner
        yield directory, name
    finally:
        os.close(directory)


@contextlib.contextmanager
def _opened(root: Path, path: str) -> Iterator[int]:
    with _parent(root, path, make=False) as (directory, name):
        # Non-blocking: a FIFO that a command left must not hold us up.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=directory)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        yield descriptor
    finally:
        os.close(descriptor)


def _replace(directory: int, name: str, data: bytes) -> FileDenial | None:
    mode = 0o666
    with contextlib.suppress(FileNotFoundError):
        there = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISREG(there.st_mode):
            return _denial(OSError(errno.EINVAL, "it is not a regular file"))
        mode = stat.S_IMODE(there.st_mode)
    beside, descriptor = _begin(directory, name, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            # Nobody takes it for a dead writer's before it has its name.
            os.replace(beside, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside, dir_fd=directory)
        raise
    return None


def _begin(directory: int, name: str, mode: int) -> tuple[str, int]:
    """Make a file beside *name* and lock it; return its name and descriptor."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    while True:
        beside = f".{name[:100]}.{secrets.token_hex(8)}"
        descriptor = os.open(beside, flags, mode, dir_fd=directory)
        # A file system without locks is none that a home is on; drafts are looked for in homes.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Before it was locked it could be taken for a dead writer's.
        if os.fstat(descriptor).st_nlink:
            return beside, descriptor
        os.close(descriptor)


def _denial(error: OSError) -> FileDenial:
    message = error.strerror or str(error)
    match error.errno:
        case errno.ENOENT:
            return FileDenial("missing", "it is not there")
        case errno.ELOOP:
            return FileDenial("symlink", "it is a symbolic link")
        case errno.ENOTDIR:
            return FileDenial("symlink", "a directory on the way is not one, or a symbolic link")
        case errno.EISDIR | errno.EINVAL | errno.ENXIO:
            return FileDenial("not_a_file", "it is not a regular file")
        case _:
            return FileDenial("failed", message)


def _files(root: Path) -> Iterator[str]:
    for top, directories, names in os.walk(root):
        directories[:] = sorted(name for name in directories if name != ".git")
        for name in sorted(names):
            path = Path(top, name)
            if not path.is_symlink() and path.is_file():
                yield str(path.relative_to(root))


def _matches(path: str, pattern: str) -> bool:
    """Match as a glob does: `*` stays in one directory, `**` crosses them."""
    return _match_parts(PurePosixPath(path).parts, PurePosixPath(pattern).parts)


def _match_parts(path: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(_match_parts(path[skip:], pattern[1:]) for skip in range(len(path) + 1))
    return (
        bool(path)
        and fnmatch.fnmatchcase(path[0], pattern[0])
        and _match_parts(path[1:], pattern[1:])
    )
