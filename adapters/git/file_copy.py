"""Copies single files from one directory tree into another, never through a symbolic link.

Rule 1: every step below the two roots is taken with a directory descriptor and `O_NOFOLLOW`, so
that no link, however it got there, leads out of a tree.
Rule 2: what is not copied is named with a reason; nothing is left out in silence.
Rule 3: the source tree is only read.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import msgspec

from ledger.ostext import OsText, from_os

SIZE_LIMIT = 10 * 1024 * 1024

SkipReason = Literal[
    "secret_name",
    "too_large",
    "special_file",
    "nested_repository",
    "unreadable",
    "gone",
    "blocked",
    "other_base",
]

# Compared without regard to case, with the last part of a path.
SECRET_NAMES = (
    ".env*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "*.ppk",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "*credentials*",
    ".netrc",
    "_netrc",
    ".pypirc",
    ".npmrc",
    ".pgpass",
    ".my.cnf",
    ".htpasswd",
    ".dockercfg",
    "kubeconfig",
    "*.ovpn",
    "secrets.json",
    "secrets.toml",
    "secrets.yaml",
    "secrets.yml",
    "service-account*.json",
)
# Compared with every other part of a path: all that lies below is left out.
SECRET_DIRECTORIES = frozenset({".aws", ".gnupg", ".kube", ".ssh"})


class CopiedFile(msgspec.Struct, frozen=True):
    """A file that came along; a link's bytes are its target, *mode* is octal (`100644`)."""

    path: OsText
    size: int
    sha256: str
    mode: str


class SkippedFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file that stayed behind, and why."""

    path: OsText
    reason: SkipReason
    size: int | None = None


def looks_secret(path: str) -> bool:
    """Return whether *path* has a name that secrets are usually kept under."""
    *directories, name = path.lower().split("/")
    return any(part in SECRET_DIRECTORIES for part in directories) or any(
        fnmatch.fnmatchcase(name, pattern) for pattern in SECRET_NAMES
    )


@contextmanager
def open_directory(path: str | os.PathLike[str], dir_fd: int | None = None) -> Iterator[int]:
    """Hold a descriptor of the directory *path*, which must not be a symbolic link."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=dir_fd)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def open_parent(root: int, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """
    Hold a descriptor of the directory that *path* below *root* lies in, and yield the last name.

    With *make*, missing directories are made. Raises `OSError` if one of them is a link or a file.
    """
    *directories, name = path.split("/")
    here = os.dup(root)
    try:
        for directory in directories:
            if make:
                _ensure_directory(directory, here)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            below = os.open(directory, flags, dir_fd=here)
            os.close(here)
            here = below
        yield here, name
    finally:
        os.close(here)


def kind_of(root: int, path: str) -> int | None:
    """
    Return the mode of *path* below *root*, or `None` if nothing is there.

    Where a file or a link is in the place of a directory above it, that is 0. Raises `OSError` if
    it cannot be known.
    """
    try:
        with open_parent(root, path) as (parent, name):
            return os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            return 0
        raise OSError(error.errno, error.strerror, path) from error


def copy_file(
    source: int, target: int, path: str, *, limit: int | None = SIZE_LIMIT
) -> CopiedFile | SkippedFile:
    """
    Copy *path* from below the directory *source* to below *target*, replacing what is there.

    A link is copied as a link, permission bits are kept; *limit* is in bytes, `None` for none.
    """
    named = from_os(path)
    try:
        with open_parent(source, path) as (parent, name):
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                return _copy_link(os.readlink(name, dir_fd=parent), target, path)
            if not stat.S_ISREG(status.st_mode):
                return SkippedFile(named, "special_file")
            if limit is not None and status.st_size > limit:
                return SkippedFile(named, "too_large", status.st_size)
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            opened = os.open(name, flags, dir_fd=parent)
    except PermissionError:
        return SkippedFile(named, "unreadable")
    except OSError:
        return SkippedFile(named, "gone")
    with open(opened, "rb") as content:
        try:
            return _copy_content(content.fileno(), status.st_mode, target, path)
        except (NotADirectoryError, IsADirectoryError, FileExistsError):
            return SkippedFile(named, "blocked")


def delete_file(root: int, path: str) -> None:
    """Delete *path* below *root*, and the directories that are empty without it."""
    try:
        with open_parent(root, path) as (parent, name):
            os.unlink(name, dir_fd=parent)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return
    above = path.rpartition("/")[0]
    while above:
        try:
            with open_parent(root, above) as (parent, name):
                os.rmdir(name, dir_fd=parent)
        except OSError:
            return
        above = above.rpartition("/")[0]


def _copy_link(link: str, target: int, path: str) -> CopiedFile | SkippedFile:
    try:
        with open_parent(target, path, make=True) as (parent, name):
            _make_way(name, parent)
            os.symlink(link, name, dir_fd=parent)
    except (NotADirectoryError, IsADirectoryError, FileExistsError):
        return SkippedFile(from_os(path), "blocked")
    content = os.fsencode(link)
    digest = hashlib.sha256(content).hexdigest()
    return CopiedFile(from_os(path), len(content), digest, "120000")


def _copy_content(opened: int, mode: int, target: int, path: str) -> CopiedFile:
    digest, size = hashlib.sha256(), 0
    with open_parent(target, path, make=True) as (parent, name):
        _make_way(name, parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(name, flags, 0o600, dir_fd=parent), "wb") as copy:
            while piece := os.read(opened, 1 << 20):
                copy.write(piece)
                digest.update(piece)
                size += len(piece)
            os.fchmod(copy.fileno(), mode & 0o777)
    return CopiedFile(from_os(path), size, digest.hexdigest(), f"{mode & ~0o7000:o}")


def _make_way(name: str, parent: int) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        os.rmdir(name, dir_fd=parent)


def _ensure_directory(name: str, parent: int) -> None:
    try:
        os.mkdir(name, dir_fd=parent)
    except FileExistsError:
        return
