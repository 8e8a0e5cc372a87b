"""Takes what a run did to its workspace as a patch, running nothing that it left there.

Rule 1: only our own git directory is used; the workspace's `.git`, whatever it has become, is
neither read nor followed.
Rule 2: what git ignores stays out. The rules are the workspace's `.gitignore` files as they are
now (they are data, and a change of them is in the patch), and the repository's and the user's own
as they were when the workspace was made.
Rule 3: a repository embedded in the workspace is taken as plain files, without its `.git`. What
cannot be taken is an error that names it, never left out: unreadable files and directories,
names that git refuses. Directories called `.git`, FIFOs, sockets and devices are no part of a
patch. Of submodules the commit is recorded, not the files.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from adapters.git.command import join_paths, split_paths
from adapters.git.file_copy import kind_of, open_directory
from adapters.git.private_dir import SYNCED, Numbers, PrivateGitDir
from ledger.errors import WorkspaceError

_CAPTURE = "capture.index"


class CapturedPatch(msgspec.Struct, frozen=True, kw_only=True):
    """A patch against the synced tree, the tree that it gives, and how many files are new."""

    patch: bytes
    tree: str
    numbers: Numbers
    untracked: int


class _Differences(msgspec.Struct, frozen=True):
    changed: frozenset[str]
    untracked: frozenset[str]


def capture_patch(private: PrivateGitDir, workspace: Path, synced_tree: str) -> CapturedPatch:
    """
    Return what has changed in *workspace* since *private* recorded *synced_tree*.

    Changes nothing there. Raises `WorkspaceError`.
    """
    try:
        return _capture(private, workspace, synced_tree)
    except OSError as error:
        raise WorkspaceError(f"cannot capture {workspace}: {error}") from error


def _capture(private: PrivateGitDir, workspace: Path, synced_tree: str) -> CapturedPatch:
    doing = f"capture {workspace}"
    # We have it alone: a lock in it is that of a git that was killed.
    (private.path / f"{_CAPTURE}.lock").unlink(missing_ok=True)
    private.take_index(private.path / SYNCED, _CAPTURE)
    differences = _find_differences(private, workspace, doing)
    paths = sorted(differences.changed | differences.untracked)
    if not paths:
        return CapturedPatch(patch=b"", tree=synced_tree, numbers=Numbers(), untracked=0)
    _refuse_unreadable(workspace, paths, doing)
    private.stage(_CAPTURE, doing, paths)
    tree = private.write_tree(_CAPTURE, doing)
    patch, numbers = private.difference(synced_tree, tree, doing)
    return CapturedPatch(
        patch=patch, tree=tree, numbers=numbers, untracked=len(differences.untracked)
    )


def _find_differences(private: PrivateGitDir, workspace: Path, doing: str) -> _Differences:
    listed = private.run(
        _CAPTURE, doing, "ls-files", "-z", "-t", "--modified", "--deleted", "--others",
        "--exclude-standard",
    )  # fmt: skip
    changed: set[str] = set()
    untracked: set[str] = set()
    embedded: list[str] = []
    for entry in split_paths(listed):
        tag, path = entry[0], entry[2:]
        if tag != "?":
            changed.add(path)
        elif path.endswith("/"):
            embedded.append(path.rstrip("/"))
        elif not _is_git_directory(path):
            untracked.add(path)
    if embedded:
        untracked |= _not_ignored(private, _files_below(workspace, embedded), doing)
    with open_directory(workspace) as root:
        untracked = {path for path in untracked if _is_content(kind_of(root, path))}
    return _Differences(frozenset(changed), frozenset(untracked - changed))


def _not_ignored(private: PrivateGitDir, paths: Iterable[str], doing: str) -> set[str]:
    candidates = set(paths)
    if not candidates:
        return candidates
    # It takes patterns: a name may begin with the colon that makes one of it.
    asked = join_paths([f"./{path}" for path in sorted(candidates)])
    finished = private.ask(_CAPTURE, "check-ignore", "-z", "--stdin", "--no-index", data=asked)
    # git-check-ignore(1): 0 some are ignored, 1 none is.
    if finished.status not in (0, 1):
        raise WorkspaceError(f"cannot {doing}: {finished.reason}")
    return candidates - {path.removeprefix("./") for path in split_paths(finished.stdout)}


def _files_below(workspace: Path, directories: Iterable[str]) -> Iterator[str]:
    with open_directory(workspace) as root:
        for top in directories:
            for directory, below, names, descriptor in os.fwalk(top, dir_fd=root, onerror=_raise):
                links = [name for name in below if _is_link(name, descriptor)]
                below[:] = [name for name in below if not _is_git_directory(name)]
                for name in (*names, *links):
                    if not _is_git_directory(name):
                        yield f"{directory}/{name}"


def _refuse_unreadable(workspace: Path, paths: Iterable[str], doing: str) -> None:
    for path in paths:
        whole = workspace / path
        mode = whole.lstat().st_mode if os.path.lexists(whole) else 0
        if stat.S_ISREG(mode) and not os.access(whole, os.R_OK):
            raise WorkspaceError(f"cannot {doing}: {path!r} is not readable; chmod u+r it")


def _raise(error: OSError) -> None:
    raise WorkspaceError(f"cannot capture {error.filename!r}: {error.strerror}") from error


def _is_git_directory(path: str) -> bool:
    # git takes no path with such a part, in whatever case (it could not be applied either).
    return any(part.lower() == ".git" for part in path.split("/"))


def _is_link(name: str, descriptor: int) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode)


def _is_content(mode: int | None) -> bool:
    return mode is not None and (stat.S_ISREG(mode) or stat.S_ISLNK(mode))
