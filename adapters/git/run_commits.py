"""Keeps the commits that a run made in its workspace, in the repository that it came from.

Rule 1: they are kept under `refs/gesta/…`; no branch or tag of the user's is moved.
Rule 2: where the workspace stands is read as text and believed only if it names a commit; a clone's
objects are read with our own git directory, and checked before they enter the repository.
Rule 3: commits in a repository that the command made for itself are not kept; its files are in
the patch all the same.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

from adapters.git.command import Git
from adapters.git.marker import identify
from adapters.git.pointer_files import read_line
from adapters.git.private_dir import alternates
from ledger.errors import WorkspaceError

_OBJECT_NAME = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_BRANCH = re.compile(r"ref: (refs/heads/[^\s~^:?*\[\\]+)")
_MOST_LISTED = 1000


class KeptCommits(msgspec.Struct, frozen=True):
    """The commits, oldest first (of very many the latest), and the ref that keeps them."""

    commits: tuple[str, ...] = ()
    ref: str | None = None


def keep_linked(program: str, git_dir: Path, base: str, ref: str) -> KeptCommits:
    """Keep what a linked worktree's `HEAD` has beyond *base*; raises `WorkspaceError`."""
    common_dir = git_dir.parent.parent
    git = Git(program, common_dir, git_dir=common_dir)
    head = _head(git_dir, git)
    if head is None or head == base:
        return KeptCommits()
    return _keep(git, head, base, ref)


def keep_cloned(program: str, workspace: Path, base: str, ref: str, own: Path) -> KeptCommits:
    """
    Keep what a clone's `HEAD` has beyond *base*; raises `WorkspaceError`.

    *own* is our git directory for it, which borrows the repository's objects.
    """
    git_dir = workspace / ".git"
    borrowed = read_line(own / "objects/info/alternates")
    if borrowed is None or any(identify(git_dir / part) is None for part in ("", "objects")):
        return KeptCommits()
    common_dir = Path(borrowed).parent
    if alternates(common_dir) != os.fsencode(borrowed) + b"\n":
        return KeptCommits()
    head = _cloned_head(git_dir)
    if head is None or head == base:
        return KeptCommits()
    if read_line(git_dir / "objects/info/alternates") != borrowed:
        raise WorkspaceError(f"cannot keep the commits in {workspace}: its objects were redirected")
    git = Git(program, common_dir, git_dir=common_dir)
    _take_objects(Git(program, own, git_dir=own), git, git_dir / "objects", head, base)
    return _keep(git, head, base, ref)


def _keep(git: Git, head: str, base: str, ref: str) -> KeptCommits:
    listed = git.ask("rev-list", "--topo-order", f"--max-count={_MOST_LISTED}", head, f"^{base}")
    commits = tuple(reversed(listed.stdout.decode().split()))
    if listed.status != 0 or not commits:
        return KeptCommits()
    if not ref:
        return KeptCommits(commits)
    if not ref.startswith("refs/gesta/"):
        raise WorkspaceError(f"cannot keep commits as {ref!r}: it is not below refs/gesta/")
    # Nobody else writes it: a lock on it is that of a git that was killed.
    Path(git.directory, f"{ref}.lock").unlink(missing_ok=True)
    git.run(f"keep the commits as {ref}", "update-ref", ref, head)
    return KeptCommits(commits, ref)


def _take_objects(own: Git, git: Git, objects: Path, head: str, base: str) -> None:
    quoted = str(objects).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    doing = f"read the commits in {objects.parent.parent}"
    pack = own.run(
        doing, "pack-objects", "--revs", "--stdout", "-q",
        data=f"{head}\n^{base}\n".encode(),
        variables={"GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{quoted}"'},
    )  # fmt: skip
    git.run(doing, "unpack-objects", "-q", "--strict", data=pack)


def _head(git_dir: Path, git: Git) -> str | None:
    line = read_line(git_dir / "HEAD") or ""
    if _OBJECT_NAME.fullmatch(line):
        return line
    branch = _BRANCH.fullmatch(line)
    if branch is None:
        return None
    answer = git.ask("rev-parse", "--verify", "--quiet", f"{branch[1]}^{{commit}}")
    return answer.stdout.decode().strip() or None


def _cloned_head(git_dir: Path) -> str | None:
    line = read_line(git_dir / "HEAD") or ""
    branch = _BRANCH.fullmatch(line)
    if branch is not None and ".." not in branch[1]:
        line = read_line(git_dir / branch[1]) or _packed(git_dir, branch[1]) or ""
    return line if _OBJECT_NAME.fullmatch(line) else None


def _packed(git_dir: Path, ref: str) -> str | None:
    for line in (read_line(git_dir / "packed-refs") or "").splitlines():
        name, _, named = line.partition(" ")
        if named == ref:
            return name
    return None
