"""Removes a run's worktree, and nothing else.

Rule 1: a linked worktree is ours if git's registration of it (the git directory that was recorded,
and the path which that points back to) and, where it is still known, the directory's identity
agree. Otherwise nothing is deleted.
Rule 2: a main checkout is registered nowhere, so it can never be removed.
Rule 3: what counts is that directory and registration are gone afterwards, not what git says.
Rule 4: of other worktrees' registrations none is pruned; a branch is deleted only if it still
stands where it was made and is checked out nowhere.
"""

from __future__ import annotations

import errno
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

from adapters.git.checkout import repository_lock
from adapters.git.command import Git, find_git
from adapters.git.marker import Marker, delete_scratch, delete_tree, identify, read_marker
from adapters.git.occupation import occupied
from adapters.git.pointer_files import read_line
from ledger.errors import WorkspaceError
from ledger.outcomes import RemovalFailed, Removed, Unavailable

_Standing = Literal["ours", "other", "gone"]


def remove_workspace(claimed: Marker, scratch: Path) -> Removed | RemovalFailed:
    """
    Remove what *claimed* says was made, if *scratch* and git bear it out; needs no git to do so.

    With it go its registration, its scratch directory and a branch that nothing was committed on.
    """
    try:
        with occupied(scratch):
            return _remove(claimed, scratch)
    except OSError as error:
        reason: Literal["in_use", "failed"] = "in_use" if error.errno == errno.EBUSY else "failed"
        return RemovalFailed(reason=reason, message=f"cannot remove {claimed.path}: {error}")
    except WorkspaceError as error:
        return RemovalFailed(reason="in_use", message=str(error))


def _remove(claimed: Marker, scratch: Path) -> Removed | RemovalFailed:
    proof = read_marker(scratch)
    if proof is not None and proof.path != claimed.path:
        return _not_ours(claimed, "its scratch directory belongs to another workspace")
    remove = _remove_linked if claimed.kind == "linked" else _remove_directory
    refusal = remove(claimed, proof)
    if refusal is not None:
        return refusal
    delete_scratch(scratch)
    return Removed()


def find_registration(common_dir: Path, path: Path) -> Path | None:
    """
    Return the git directory under *common_dir* whose worktree is *path*.

    Or the one that git, killed, had only begun: it bears the name of *path*, which no other has,
    and says of none that it is its worktree.
    """
    for git_dir in (common_dir / "worktrees").glob("*"):
        if _points_back(git_dir, path):
            return git_dir
    begun = common_dir / "worktrees" / path.name
    return begun if begun.is_dir() and not os.path.lexists(begun / "gitdir") else None


def _remove_directory(claimed: Marker, proof: Marker | None) -> RemovalFailed | None:
    path = Path(claimed.path)
    if not os.path.lexists(path) or _remove_begun(path, proof):
        return None
    if proof is None or proof.workspace is None or identify(path) != proof.workspace:
        return _not_ours(claimed, "it is not the directory that was made")
    delete_tree(path)
    return None


def _remove_linked(claimed: Marker, proof: Marker | None) -> RemovalFailed | None:
    path, git_dir = Path(claimed.path), Path(claimed.git_dir or "/")
    common_dir = git_dir.parent.parent
    if git_dir.parent.name != "worktrees":
        return _not_ours(claimed, f"{git_dir} is not a worktree's git directory")
    with repository_lock(common_dir) if common_dir.is_dir() else nullcontext():
        standing = _standing(git_dir, path, proof)
        if os.path.lexists(path) and not _remove_begun(path, proof):
            why = _doubt(claimed, proof, standing)
            if why is not None:
                return _not_ours(claimed, why)
        _delete_worktree(path, git_dir, standing)
        # Once the scratch is gone, a branch of that name is somebody else's.
        if proof is not None and claimed.branch and claimed.base:
            _delete_branch(common_dir, claimed.branch, claimed.base)
        left = os.path.lexists(path) or _standing(git_dir, path, proof) == "ours"
    if left:
        return RemovalFailed(reason="failed", message=f"cannot remove {path}: it is still there")
    return None


def _remove_begun(path: Path, proof: Marker | None) -> bool:
    """Remove the empty directory of a workspace in the making, and say if it was one."""
    if proof is None or proof.workspace is not None:
        return False
    try:
        path.rmdir()
    except OSError:
        return False
    return True


def _doubt(claimed: Marker, proof: Marker | None, standing: _Standing) -> str | None:
    path = Path(claimed.path)
    identity = identify(path)
    if identity is None:
        return "it is not a directory any more"
    if proof is not None and proof.workspace is not None and identity != proof.workspace:
        return "it is not the directory that was made"
    if standing == "other":
        return f"git's registration {claimed.git_dir} is of another directory"
    known = proof is not None and proof.workspace is not None
    if not known and (standing == "gone" or not _points_to(path, Path(claimed.git_dir or "/"))):
        return "git does not list it as this run's worktree"
    return None


def _delete_worktree(path: Path, git_dir: Path, standing: _Standing) -> None:
    common_dir = git_dir.parent.parent
    if standing == "ours" and _points_to(path, git_dir):
        program = find_git()
        if not isinstance(program, Unavailable):
            git = Git(program, common_dir, git_dir=common_dir)
            # Twice: it may be locked, too. What git leaves is deleted below.
            git.ask("worktree", "remove", "--force", "--force", "--", str(path))
    if os.path.lexists(path):
        delete_tree(path)
    if standing == "ours" and os.path.lexists(git_dir):
        delete_tree(git_dir)
        if not any(git_dir.parent.iterdir()):
            git_dir.parent.rmdir()


def _delete_branch(common_dir: Path, branch: str, base: str) -> None:
    used = f"ref: refs/heads/{branch}"
    heads = [common_dir / "HEAD", *(common_dir / "worktrees").glob("*/HEAD")]
    program = find_git()
    if isinstance(program, Unavailable) or any(read_line(head) == used for head in heads):
        return
    # git refuses if the branch has moved: then commits are on it, and it stays.
    git = Git(program, common_dir, git_dir=common_dir)
    git.ask("update-ref", "-d", f"refs/heads/{branch}", base)


def _standing(git_dir: Path, path: Path, proof: Marker | None) -> _Standing:
    if not os.path.lexists(git_dir):
        return "gone"
    identity = identify(git_dir)
    if identity is None:
        return "other"
    if _points_back(git_dir, path):
        return "ours"
    destroyed = not os.path.lexists(git_dir / "gitdir")
    known = proof is not None and proof.registration == identity
    begun = proof is not None and proof.registration is None and git_dir.name == path.name
    return "ours" if destroyed and (known or begun) else "other"


def _points_back(git_dir: Path, path: Path) -> bool:
    pointer = read_line(git_dir / "gitdir")
    if pointer is None:
        return False
    named = Path(os.path.normpath(git_dir / pointer))
    return named.name == ".git" and _same_place(named.parent, path)


def _points_to(path: Path, git_dir: Path) -> bool:
    pointer = read_line(path / ".git")
    if pointer is None or not pointer.startswith("gitdir: "):
        return False
    return _same_place(path / pointer.removeprefix("gitdir: "), git_dir)


def _same_place(one: Path, other: Path) -> bool:
    # The last part is compared as it is: it must not be a link to the place.
    return one.name == other.name and os.path.realpath(one.parent) == os.path.realpath(other.parent)


def _not_ours(claimed: Marker, why: str) -> RemovalFailed:
    return RemovalFailed(
        reason="not_ours", message=f"cannot remove {claimed.path}: {why}; nothing was deleted"
    )
