"""What a home and the repositories of its runs hold, for `ledger.reconcile` to judge.

Rule: names decide nothing here; a directory that is called like a run's is only reported.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from adapters.blob_files import DRAFT
from adapters.git.command import Git, find_git
from adapters.git.pointer_files import read_line
from adapters.home import Home
from adapters.shared_lock import alone
from adapters.spool import SpoolFiles
from ledger.errors import StoreUnavailable
from ledger.inventory import DirectoryFound
from ledger.outcomes import Unavailable

_STREAM = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SCRATCH = ".scratch"
# What `Files.write` leaves of a run's journal when it is killed.
_JOURNALS = "*/runs/*/journal/.events.jsonl.*"
_PATIENCE_S = 5.0


class HomeInventory:
    """
    The inventory of *home*; it satisfies `ledger.inventory.Inventory`.

    *kinds* names the kinds of sandbox that may outlive us.
    """

    def __init__(self, home: Home, spool: SpoolFiles, kinds: Callable[[], Iterable[str]]) -> None:
        self._home = home
        self._spool = spool
        self._kinds = kinds

    def directories(self) -> Iterator[DirectoryFound]:
        """Return the worktrees and scratch directories in the home, by the names they have."""
        for run_path in self._home.workspaces.glob("*/runs/*"):
            with contextlib.suppress(OSError):
                names = {name.removesuffix(_SCRATCH) for name in os.listdir(run_path)}
                for stream in sorted(filter(_STREAM.fullmatch, names)):
                    scratch = run_path / f"{stream}{_SCRATCH}"
                    yield DirectoryFound(stream, run_path / stream, scratch)

    def registered(self, common_dir: Path) -> list[str]:
        """Return the names of the worktrees that the repository with this git directory knows."""
        pointers = (read_line(one / "gitdir") for one in (common_dir / "worktrees").glob("*"))
        return [Path(pointer).parent.name for pointer in pointers if pointer]

    def refs(self, common_dir: Path) -> list[str]:
        """Return the names below `refs/gesta/` of the repository with this git directory."""
        program = find_git()
        if isinstance(program, Unavailable) or not common_dir.is_dir():
            return []
        git = Git(program, common_dir, git_dir=common_dir)
        listed = git.ask("for-each-ref", "--format=%(refname)", "refs/gesta/")
        names = listed.stdout.decode(errors="replace").split() if listed.status == 0 else []
        return [name.removeprefix("refs/gesta/") for name in names]

    def marking_kinds(self) -> tuple[str, ...]:
        """Return the kinds of sandbox that can outlive us and be found by their marks."""
        return tuple(self._kinds())

    def blob_files(self) -> dict[str, int]:
        """Return digest and size on disk of each blob that is a file."""
        found = (self._home.blobs / "sha256").glob("??/*")
        return {path.parent.name + path.name: _size(path) for path in found}

    def dead_drafts(self) -> dict[str, int]:
        """Return name in the home and size of each file that a dead writer left unfinished."""
        sizes = {}
        for path in (*self._home.blobs.glob(f"{DRAFT}*"), *self._journal_drafts()):
            with _dead(path) as is_dead:
                if is_dead:
                    sizes[str(path.relative_to(self._home.path))] = _size(path)
        return sizes

    def _journal_drafts(self) -> Iterator[Path]:
        workspaces = self._home.workspaces
        for path in workspaces.glob(_JOURNALS):
            # Who writes a journal follows no link below the workspaces; what lies behind one is
            # somebody else's.
            below = path.parent.relative_to(workspaces)
            if path.parent.resolve() == workspaces.resolve() / below:
                yield path

    def collecting(self) -> AbstractContextManager[bool]:
        """Have the blobs alone within the block; `False` if somebody writes all the time."""
        blobs = self._home.blobs
        return alone(blobs.with_name(f"{blobs.name}.lock"), _PATIENCE_S)

    def remove_blob(self, digest: str) -> None:
        """Remove a blob's file, within `collecting`; raises `StoreUnavailable`."""
        _remove(self._home.blobs / "sha256" / digest[:2] / digest[2:])

    def remove_draft(self, name: str) -> None:
        """Remove a draft that is still a dead writer's; raises `StoreUnavailable`."""
        path = self._home.path / name
        with _dead(path) as is_dead:
            if is_dead:
                _remove(path)

    def rooms(self) -> list[str]:
        """Return the streams that room is set aside for in the spool."""
        return self._spool.reserved()

    def damaged(self) -> list[tuple[str, str]]:
        """Return stream and file of each outcome in the spool that cannot be read."""
        return self._spool.damaged()


@contextlib.contextmanager
def _dead(draft: Path) -> Iterator[bool]:
    """Say whether nobody writes *draft*, and let nobody begin within the block."""
    try:
        descriptor = os.open(draft, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreUnavailable(f"cannot remove {path}: {error.strerror}") from error


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
