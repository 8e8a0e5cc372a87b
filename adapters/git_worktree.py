"""Makes, reads and removes a run's workspace in a git repository: a linked worktree or a clone.

Rule 1: of the user's repository only what a worktree needs is written: its registration, the
branch if the policy wants one, and `refs/gesta/…` for commits that the run made. The main checkout,
its index and its configuration are never written to.
Rule 2: once a command has run in it, the workspace is only data: git reads it with a git directory
of our own, which lies in the intent's scratch directory.
Rule 3: nothing is remembered in memory: another process can capture and remove what a dead one
made.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from adapters.git.checkout import Checkout, locate, repository_lock
from adapters.git.command import Git, Settings, find_git, read_settings, require_git
from adapters.git.marker import Marker, delete_scratch, identify, read_marker, write_marker
from adapters.git.occupation import occupied
from adapters.git.patch_capture import capture_patch
from adapters.git.pointer_files import read_line
from adapters.git.private_dir import SYNCED, PrivateGitDir
from adapters.git.recorded_work import bring_recorded_work
from adapters.git.removal import find_registration, remove_workspace
from adapters.git.run_commits import KeptCommits, keep_cloned, keep_linked
from adapters.git.shared_clone import make_shared_clone
from adapters.git.uncommitted_work import Synced, bring_uncommitted_work
from ledger.errors import WorkspaceError
from ledger.outcomes import PatchMade, RemovalFailed, Removed, Unavailable, WorktreeMade
from ledger.ports import Repository, WorktreeIntent

__all__ = ["GitWorkspace", "cleanup_git_worktree", "init_git_worktree"]


class GitWorkspace:
    """The `Workspace` of a directory in a git repository."""

    def survey(self, directory: Path, base: str | None = None) -> Repository | Unavailable:
        """Say which checkout *directory* lies in; one git process."""
        program = find_git()
        if isinstance(program, Unavailable):
            return program
        found = locate(program, directory, base)
        if isinstance(found, Unavailable):
            return found
        return Repository(
            root=str(found.root),
            common_dir=str(found.common_dir),
            prefix=found.prefix,
            head=found.head,
        )

    def create(self, intent: WorktreeIntent) -> WorktreeMade | Unavailable:
        """Make the worktree or clone, with the uncommitted work that `intent.sync` lets along."""
        program = find_git()
        if isinstance(program, Unavailable):
            return program
        checkout = locate(program, intent.source, intent.base)
        if isinstance(checkout, Unavailable):
            return checkout
        if os.path.lexists(intent.path):
            message = f"cannot make a worktree at {intent.path}: something is there"
            return Unavailable(reason="failed", message=message)
        try:
            with occupied(intent.scratch, make=True):
                return self._make(program, checkout, intent)
        except (WorkspaceError, OSError) as error:
            left = self.clear(intent)
            return Unavailable(
                reason="failed", message=str(error), unknown_effect=not isinstance(left, Removed)
            )
        except BaseException:
            self.clear(intent)
            raise

    def capture(self, intent: WorktreeIntent, made: WorktreeMade) -> PatchMade:
        """Take the patch against the synced tree, and keep the commits that were made."""
        with occupied(intent.scratch):
            return self._capture(intent, made)

    def _capture(self, intent: WorktreeIntent, made: WorktreeMade) -> PatchMade:
        program = require_git(f"capture {made.path}")
        marker = read_marker(intent.scratch)
        workspace = Path(made.path)
        if marker is None or marker.workspace is None or marker.workspace != identify(workspace):
            raise WorkspaceError(f"cannot capture {workspace}: it is not there as it was made")
        private = PrivateGitDir(program, intent.scratch / "git", workspace)
        captured = capture_patch(private, workspace, made.tree)
        kept = self._keep_commits(program, intent, made, private)
        return PatchMade(
            patch=captured.patch,
            tree=captured.tree,
            files=captured.numbers.files,
            insertions=captured.numbers.insertions,
            deletions=captured.numbers.deletions,
            untracked=captured.untracked,
            commits=kept.commits,
            kept_ref=kept.ref,
        )

    def remove(self, intent: WorktreeIntent, made: WorktreeMade) -> Removed | RemovalFailed:
        """Remove the worktree or clone if it is provably this run's, with what belongs to it."""
        claimed = Marker(
            kind=made.kind,
            path=made.path,
            git_dir=made.git_dir,
            branch=made.branch,
            base=made.base_commit,
        )
        if made.path != str(intent.path) or made.kind == "directory":
            message = f"cannot remove {made.path}: it is not this run's worktree"
            return RemovalFailed(reason="not_ours", message=message)
        return remove_workspace(claimed, intent.scratch)

    def clear(self, intent: WorktreeIntent) -> Removed | RemovalFailed:
        """Remove what a `create` that did not come to its end may have left."""
        begun = read_marker(intent.scratch)
        if begun is None:
            delete_scratch(intent.scratch)
            return Removed()
        if begun.kind == "linked" and begun.git_dir is None:
            common_dir = Path(begun.common_dir or "/")
            git_dir = find_registration(common_dir, Path(begun.path))
            # Unregistered, there can be no worktree; the name stands for none.
            claimed = msgspec.structs.replace(
                begun, git_dir=str(git_dir or common_dir / "worktrees" / "none at all")
            )
            return remove_workspace(claimed, intent.scratch)
        return remove_workspace(begun, intent.scratch)

    def _make(self, program: str, checkout: Checkout, intent: WorktreeIntent) -> WorktreeMade:
        settings = read_settings(program, intent.source)
        begun = Marker(
            kind=intent.kind,
            path=str(intent.path),
            common_dir=str(checkout.common_dir),
            base=checkout.base,
        )
        write_marker(intent.scratch, begun)
        intent.path.parent.mkdir(parents=True, exist_ok=True)
        if intent.kind == "linked":
            git_dir = _add_worktree(program, checkout, intent, settings, begun)
        else:
            intent.path.mkdir()
            git_dir = intent.path / ".git"
            write_marker(
                intent.scratch, msgspec.structs.replace(begun, workspace=identify(intent.path))
            )
            make_shared_clone(program, checkout, intent.path, intent.branch, settings)
        done = msgspec.structs.replace(
            begun,
            branch=intent.branch,
            git_dir=str(git_dir),
            workspace=identify(intent.path),
            registration=identify(git_dir),
        )
        write_marker(intent.scratch, done)
        private = PrivateGitDir(program, intent.scratch / "git", intent.path)
        private.make(settings, head=checkout.base, common_dir=checkout.common_dir)
        private.take_index(git_dir / "index", SYNCED)
        if intent.work is not None:
            synced = bring_recorded_work(intent.work, intent.path, private)
        else:
            synced = bring_uncommitted_work(intent.sync, checkout, intent.path, private)
        return _report(done, synced)

    def _keep_commits(
        self, program: str, intent: WorktreeIntent, made: WorktreeMade, private: PrivateGitDir
    ) -> KeptCommits:
        if made.git_dir is None or made.base_commit is None:
            return KeptCommits()
        if made.kind == "clone":
            workspace = Path(made.path)
            return keep_cloned(program, workspace, made.base_commit, intent.keep_ref, private.path)
        return keep_linked(program, Path(made.git_dir), made.base_commit, intent.keep_ref)


def _add_worktree(
    program: str, checkout: Checkout, intent: WorktreeIntent, settings: Settings, begun: Marker
) -> Path:
    git = Git(
        program,
        checkout.root,
        git_dir=checkout.common_dir,
        configuration=settings.switches(),
    )
    doing = f"make a worktree at {intent.path}"
    with repository_lock(checkout.common_dir):
        if intent.branch is not None:
            # Only a branch that did not exist is ours to delete: the marker says so from here on.
            _make_branch(git, intent.branch, checkout.base)
            write_marker(intent.scratch, msgspec.structs.replace(begun, branch=intent.branch))
        where = ("--detach",) if intent.branch is None else ()
        git.run(
            doing, "worktree", "add", "--quiet", *where, "--", str(intent.path),
            intent.branch or checkout.base,
        )  # fmt: skip
    pointer = read_line(intent.path / ".git") or ""
    return intent.path / pointer.removeprefix("gitdir: ")


def _make_branch(git: Git, branch: str, base: str) -> None:
    if branch.startswith("-"):
        raise WorkspaceError(f"cannot make the branch {branch!r}: git would take it for an option")
    git.run(
        f"make the branch {branch}", "update-ref", f"refs/heads/{branch}", base, "0" * len(base)
    )


def _report(done: Marker, synced: Synced) -> WorktreeMade:
    assert done.kind != "directory"
    return WorktreeMade(
        kind=done.kind,
        path=done.path,
        git_dir=done.git_dir,
        branch=done.branch,
        base_commit=done.base,
        tree=synced.tree,
        synced=len(synced.manifest.synced),
        skipped=len(synced.manifest.skipped),
        deleted=len(synced.manifest.deleted),
        patch=synced.patch,
        manifest=synced.encoded,
    )


def init_git_worktree(
    task_id: str, run_id: str, run_path: Path, trace_id: str | None = None
) -> Path:
    """Return the worktree of a run, as the replaced system did: see `adapters.syscalls`."""
    from adapters import syscalls

    return syscalls.init_git_worktree(task_id, run_id, run_path, trace_id)


def cleanup_git_worktree(worktree_path: Path, trace_id: str | None = None) -> None:
    """Close the run of a worktree, as the replaced system did: see `adapters.syscalls`."""
    from adapters import syscalls

    syscalls.cleanup_git_worktree(worktree_path, trace_id)
