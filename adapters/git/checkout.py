"""Finds the checkout that a directory lies in, and its commits; changes nothing.

Rule 1: one git process says everything, but for paths with a line feed in them.
Rule 2: add, remove and prune of one repository's worktrees happen one at a time on this machine,
under a lock on its git directory that the operating system lets go when we and the git that we
started have ended. No file is made.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from adapters.git.command import Finished, Git
from adapters.git.kept_locks import keeping_lock
from adapters.git.pointer_files import read_line
from ledger.outcomes import Unavailable

_PLACES = ("--show-toplevel", "--git-common-dir", "--git-dir", "--show-prefix")
_OBJECT_NAME = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class Checkout(msgspec.Struct, frozen=True, kw_only=True):
    """
    A checkout, and the commit *base* that work is to start from.

    *git_dir* is this checkout's own, *common_dir* the one that all worktrees share; *head* is the
    commit checked out, *tree* the tree of *base*.
    """

    root: Path
    common_dir: Path
    git_dir: Path
    prefix: str
    head: str
    base: str
    tree: str


def locate(program: str, directory: Path, base: str | None = None) -> Checkout | Unavailable:
    """Return the checkout around *directory*; *base* is a commit-ish, `None` for `HEAD`."""
    wanted = "HEAD" if base is None else base
    if wanted.startswith(("-", "^")) or ".." in wanted or "\n" in wanted:
        return _no_commit(wanted, directory)
    git = Git(program, directory)
    commits = ("HEAD^{commit}", f"{wanted}^{{commit}}", f"{wanted}^{{tree}}")
    finished = git.ask("rev-parse", *_PLACES, *commits)
    lines = finished.stdout.split(b"\n")[:-1]
    if finished.status != 0:
        if len(lines) < len(_PLACES):
            return _no_repository(directory, finished)
        return _no_commit(wanted, directory)
    names = [line.decode() for line in lines[-3:] if _OBJECT_NAME.fullmatch(line)]
    if len(names) != len(commits):
        return _no_commit(wanted, directory)
    places = lines[:-3]
    if len(places) != len(_PLACES):
        places = [git.ask("rev-parse", place).stdout[:-1] for place in _PLACES]
    root, common_dir, git_dir, prefix = map(os.fsdecode, places)
    if not _is_of(Path(root), _absolute(directory, git_dir)):
        # `core.worktree` can name any directory: its files are not this repository's to take along.
        return Unavailable(
            reason="not_a_repository",
            message=f"cannot use the checkout {root}: it is not where {git_dir} is; unset its "
            "core.worktree",
        )
    return Checkout(
        root=Path(root),
        common_dir=_absolute(directory, common_dir),
        git_dir=_absolute(directory, git_dir),
        prefix=prefix.rstrip("/"),
        head=names[0],
        base=names[1],
        tree=names[2],
    )


@contextmanager
def repository_lock(common_dir: Path) -> Iterator[None]:
    """Hold the lock of the repository whose git directory is *common_dir*; waits for it."""
    descriptor = os.open(common_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with keeping_lock(descriptor):
            yield
    finally:
        os.close(descriptor)


def _is_of(root: Path, git_dir: Path) -> bool:
    """Say whether the `.git` of the checkout *root* is, or leads to, *git_dir*."""
    place = root / ".git"
    if not place.is_file():
        return _absolute(root, ".git") == git_dir
    pointer = read_line(place) or ""
    return _absolute(root, pointer.removeprefix("gitdir: ")) == git_dir


def _absolute(directory: Path, path: str) -> Path:
    return Path(os.path.realpath(directory / path))


def _no_repository(directory: Path, finished: Finished) -> Unavailable:
    return Unavailable(
        reason="not_a_repository",
        message=f"cannot find a git checkout at {directory}: {finished.reason}",
    )


def _no_commit(wanted: str, directory: Path) -> Unavailable:
    return Unavailable(
        reason="no_commit",
        message=f"cannot find the commit {wanted!r} in the repository at {directory}",
    )
