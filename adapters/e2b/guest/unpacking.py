"""Applies an archive of changes to a tree, trusting nothing in it.

Rule 1: the whole archive is read and judged before anything is changed; one bad member refuses
it: an absolute path, `..`, a way through a link, a hard link, a device, more than the limits.
Rule 2: every step is taken relative to a directory's descriptor and follows no symbolic link
(openat(2), O_NOFOLLOW): what is written lands below the root or nowhere.
Rule 3: links are made as they are and never followed, like those that a command on this machine
could leave. Modes lose their set-user-id, set-group-id and sticky bits.
"""

from __future__ import annotations

import os
import tarfile

from adapters.e2b.guest.listing import LEFT_OUT
from adapters.e2b.guest.packing import DELETED, TREE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

MOST_FILES = 50_000
MOST_BYTES = 2 << 30
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 1 << 20
_LONGEST_LINK = 4096
_LONGEST_DELETED = 16 << 20


class ArchiveRefused(Exception):
    """The archive is none, or holds what must not be unpacked."""


def unpack(
    archive: IO[bytes], root: str, *, files: int = MOST_FILES, size: int = MOST_BYTES
) -> list[str]:
    """
    Apply *archive*, which can be read twice, to the tree at *root*; return the paths it names.

    Raises `ArchiveRefused`, and then nothing was changed but by an archive that does not fit the
    tree; `OSError`.
    """
    try:
        _judge(archive, files, size)
        return _apply(archive, root)
    except (tarfile.TarError, EOFError, ValueError, UnicodeError) as error:
        raise ArchiveRefused(f"it is no archive of ours: {error}") from error


def _members(archive: IO[bytes]) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    archive.seek(0)
    with tarfile.open(
        fileobj=archive, mode="r|gz", encoding="utf-8", errors="surrogateescape"
    ) as opened:
        for member in opened:
            yield opened, member


def _judge(archive: IO[bytes], files: int, size: int) -> None:
    count = total = 0
    closed: set[str] = set()
    for opened, member in _members(archive):
        count += 1
        total += member.size
        # More than files: deleting costs, too.
        if count > files + 1:
            raise ArchiveRefused(f"it has more than {files} files")
        if total > size:
            raise ArchiveRefused(f"it has more than {size >> 20} MiB")
        if count == 1:
            for path in _deleted(opened, member):
                _check_path(path)
            continue
        path = _path_of(member)
        if any(parent in closed for parent in _parents(path)):
            raise ArchiveRefused(f"the way to {path!r} leads through what is no directory")
        if not member.isdir():
            closed.add(path)
    if count == 0:
        raise ArchiveRefused("it is empty")


def _deleted(opened: tarfile.TarFile, member: tarfile.TarInfo) -> list[str]:
    file = opened.extractfile(member) if member.isreg() else None
    if file is None or member.name != DELETED or member.size > _LONGEST_DELETED:
        raise ArchiveRefused("it does not begin with what was deleted")
    return [os.fsdecode(path) for path in file.read().split(b"\0") if path]


def _path_of(member: tarfile.TarInfo) -> str:
    if not member.name.startswith(TREE):
        raise ArchiveRefused(f"{member.name!r} is not in the tree")
    path = member.name[len(TREE) :]
    _check_path(path)
    if member.issym():
        if not 0 < len(member.linkname) < _LONGEST_LINK or "\0" in member.linkname:
            raise ArchiveRefused(f"{path!r} is no link that can be made")
    elif not (member.isdir() or member.isreg()):
        raise ArchiveRefused(f"{path!r} is neither a file, a directory nor a symbolic link")
    return path


def _check_path(path: str) -> None:
    parts = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in parts) or parts[0] == LEFT_OUT:
        raise ArchiveRefused(f"{path!r} is no path below the root")


def _parents(path: str) -> Iterator[str]:
    at = path.rfind("/")
    while at > 0:
        yield path[:at]
        at = path.rfind("/", 0, at)


def _apply(archive: IO[bytes], root: str) -> list[str]:
    top = os.open(root, _DIRECTORY)
    named: list[str] = []
    modes: list[tuple[str, int]] = []
    try:
        for index, (opened, member) in enumerate(_members(archive)):
            if index == 0:
                named += sorted(_deleted(opened, member), reverse=True)
                for path in named:
                    _delete(top, path)
                continue
            path = _path_of(member)
            named.append(path)
            with _Parent(top, path) as (directory, name):
                if member.isdir():
                    _make_directory(directory, name)
                    modes.append((path, member.mode & 0o777))
                elif member.issym():
                    _clear(directory, name)
                    os.symlink(member.linkname, name, dir_fd=directory)
                else:
                    _write_file(opened, member, directory, name)
        # Last, and from the leaves: a directory that may not be written had to be filled first.
        for path, mode in reversed(modes):
            with _Parent(top, path) as (directory, name):
                _set_mode(directory, name, mode)
    finally:
        os.close(top)
    return named


class _Parent:
    """The directory of a path, opened step by step from *top*, and the path's last name."""

    def __init__(self, top: int, path: str) -> None:
        *self._steps, self._name = path.split("/")
        self._directory = os.dup(top)

    def __enter__(self) -> tuple[int, str]:
        try:
            for step in self._steps:
                inner = os.open(step, _DIRECTORY, dir_fd=self._directory)
                os.close(self._directory)
                self._directory = inner
        except OSError as error:
            os.close(self._directory)
            raise ArchiveRefused(f"{step!r} is no directory on the way: {error}") from error
        return self._directory, self._name

    def __exit__(self, *_error: object) -> None:
        os.close(self._directory)


def _delete(top: int, path: str) -> None:
    try:
        with _Parent(top, path) as (directory, name):
            _clear(directory, name)
    except ArchiveRefused:
        # A directory on the way is gone already, or never was here.
        return


def _clear(directory: int, name: str) -> None:
    """Remove a file, a link or an empty directory, if it is there."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        os.rmdir(name, dir_fd=directory)


def _make_directory(directory: int, name: str) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=directory)
    except FileExistsError:
        try:
            os.close(os.open(name, _DIRECTORY, dir_fd=directory))
        except OSError:
            _clear(directory, name)
            os.mkdir(name, 0o700, dir_fd=directory)


def _set_mode(directory: int, name: str, mode: int) -> None:
    descriptor = os.open(name, _DIRECTORY, dir_fd=directory)
    try:
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _write_file(
    opened: tarfile.TarFile, member: tarfile.TarInfo, directory: int, name: str
) -> None:
    beside = f".gesta-{os.urandom(8).hex()}"
    content = opened.extractfile(member)
    assert content is not None
    descriptor = os.open(beside, _NEW, 0o600, dir_fd=directory)
    try:
        with open(descriptor, "wb") as file:
            while piece := content.read(_PIECE):
                file.write(piece)
            file.flush()
            os.fchmod(descriptor, member.mode & 0o777)
            time = _nanoseconds(member)
            os.utime(descriptor, ns=(time, time))
        try:
            os.rename(beside, name, src_dir_fd=directory, dst_dir_fd=directory)
        except IsADirectoryError:
            os.rmdir(name, dir_fd=directory)
            os.rename(beside, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        _clear(directory, beside)
        raise


def _nanoseconds(member: tarfile.TarInfo) -> int:
    whole, _, rest = member.pax_headers.get("mtime", str(member.mtime)).partition(".")
    return int(whole) * 1_000_000_000 + int(rest.ljust(9, "0")[:9] or 0)
