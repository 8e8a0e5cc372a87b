"""What we remember about a workspace in its scratch directory, to prove later that it is ours.

Rule 1: the marker is written before the workspace exists and again when it does; after a crash
between the two it still says what was about to be made.
Rule 2: a directory is known by device and inode, not by its path: another one at the same path is
not ours.
Rule 3: deleting never follows a symbolic link and never leaves the directory given.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path
from typing import Literal

import msgspec

_NAME = "workspace.json"


class Identity(msgspec.Struct, frozen=True):
    """Which directory it is, whatever its path."""

    device: int
    inode: int


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """
    What was made, or was about to be.

    *git_dir* is the worktree's own git directory, known with its *registration* when it exists;
    *workspace* is `None` until the workspace does.
    """

    kind: Literal["linked", "clone", "directory"]
    path: str
    common_dir: str | None = None
    git_dir: str | None = None
    branch: str | None = None
    base: str | None = None
    workspace: Identity | None = None
    registration: Identity | None = None


def identify(path: Path) -> Identity | None:
    """Return which directory *path* is, or `None` if it is no directory itself."""
    try:
        status = path.lstat()
    except OSError:
        return None
    if not stat.S_ISDIR(status.st_mode):
        return None
    return Identity(status.st_dev, status.st_ino)


def write_marker(scratch: Path, marker: Marker) -> None:
    """Write *marker* in *scratch*, whole or not at all."""
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = scratch / f"{_NAME}.new"
    fresh.write_bytes(msgspec.json.encode(_as_text(marker)))
    fresh.replace(scratch / _NAME)


def read_marker(scratch: Path) -> Marker | None:
    """Return the marker in *scratch*, or `None` if there is none that can be read."""
    try:
        content = msgspec.json.decode((scratch / _NAME).read_bytes(), type=dict[str, object])
        return msgspec.convert(_from_text(content), Marker)
    except (OSError, msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def delete_scratch(scratch: Path) -> None:
    """Delete *scratch* if it is one of ours, or was about to become one."""
    if read_marker(scratch) is not None:
        for path in scratch.iterdir():
            if path.name == _NAME:
                continue
            if path.is_dir() and not path.is_symlink():
                delete_tree(path)
            else:
                path.unlink()
        # Last, so that whoever is killed on the way leaves it to be found as ours.
        (scratch / _NAME).unlink()
    # Without one nothing else is in it: its maker was killed before, or its remover after.
    with contextlib.suppress(OSError):
        (scratch / f"{_NAME}.new").unlink(missing_ok=True)
        scratch.rmdir()


def delete_tree(path: Path) -> None:
    """
    Delete the directory *path* and all that is in it, directories that deny writing too.

    Raises `OSError` if something stays.
    """
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except PermissionError:
        _allow_writing(path)
        shutil.rmtree(path)


def _allow_writing(path: Path) -> None:
    os.chmod(path, 0o700)
    for _, directories, _, descriptor in os.fwalk(path):
        for name in directories:
            mode = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
            # os.fwalk opens it after this.
            if stat.S_ISDIR(mode):
                os.chmod(name, 0o700, dir_fd=descriptor)


# JSON is UTF-8; a path need not be. Latin-1 keeps every byte and its order.
def _as_text(marker: Marker) -> dict[str, object]:
    fields = msgspec.structs.asdict(marker)
    return {
        name: os.fsencode(value).decode("latin-1") if isinstance(value, str) else value
        for name, value in fields.items()
    }


def _from_text(fields: dict[str, object]) -> dict[str, object]:
    return {
        name: os.fsdecode(value.encode("latin-1")) if isinstance(value, str) else value
        for name, value in fields.items()
    }
