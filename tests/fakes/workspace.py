"""A workspace that asserts the contract of its port, and that every intent is on record first."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ledger import events as e
from ledger.errors import WorkspaceError
from ledger.outcomes import PatchMade, RemovalFailed, Removed, Unavailable, WorktreeMade
from ledger.ports import Repository, WorktreeIntent
from tests.fakes.machine import Machine, Witness


class FakeWorkspace:
    """
    A `Workspace` on *machine*: `git` makes linked worktrees, `plain` directories.

    *unavailable* and *capture_fails* are what a test makes it answer; *removal* what removing
    came to.
    """

    def __init__(self, maker: Literal["git", "plain"], machine: Machine, witness: Witness) -> None:
        self._maker = maker
        self._machine = machine
        self._witness = witness
        self.unavailable: Unavailable | None = None
        self.capture_fails: str | None = None
        self.removal: RemovalFailed | None = None
        self.intents: list[WorktreeIntent] = []

    def survey(self, directory: Path, base: str | None = None) -> Repository | Unavailable:
        """Say what is there; only the one for git is ever asked."""
        assert self._maker == "git"
        assert directory.is_absolute()
        return self._machine.survey

    def create(self, intent: WorktreeIntent) -> WorktreeMade | Unavailable:
        """Make an empty tree at a path that derives from the stream that is on record."""
        self._machine.fuse.pass_by("workspace.create")
        history = self._witness(intent.path.name)
        assert isinstance(history[0], e.RunOpened), "made without an intent on record"
        assert intent.path not in self._machine.trees, "made where something is"
        if self.unavailable is not None:
            return self.unavailable
        self.intents.append(intent)
        self._machine.trees[intent.path] = {}
        self._machine.makers[intent.path] = self._maker
        self._machine.fuse.pass_by("workspace.created")
        git = self._maker == "git"
        return WorktreeMade(
            kind="linked" if git else "directory",
            path=str(intent.path),
            git_dir=f"{intent.path}.git" if git else None,
            branch=intent.branch,
            base_commit="c0" * 20 if git else None,
            tree="d0" * 20,
            synced=1,
            skipped=0,
            deleted=0,
            patch=b"synced work",
            manifest=f"manifest of {intent.path.name}".encode(),
        )

    def clear(self, intent: WorktreeIntent) -> Removed | RemovalFailed:
        """Remove what this maker made there without saying so."""
        self._machine.fuse.pass_by("workspace.clear")
        assert "WorktreeCreated" not in [
            type(event).__name__ for event in self._witness(intent.path.name)
        ], "cleared though it is on record"
        if self._machine.makers.get(intent.path) == self._maker:
            self._machine.trees.pop(intent.path, None)
        return Removed()

    def capture(self, intent: WorktreeIntent, made: WorktreeMade) -> PatchMade:
        """Take every file of the tree as new."""
        self._machine.fuse.pass_by("workspace.capture")
        self._check_same(intent, made)
        if self.capture_fails is not None:
            raise WorkspaceError(self.capture_fails)
        files = self._machine.trees[intent.path]
        text = b"".join(f"+{name}\n".encode() + data for name, data in sorted(files.items()))
        self._machine.fuse.pass_by("workspace.captured")
        return PatchMade(
            patch=text,
            tree="d1" * 20,
            files=len(files),
            insertions=len(files),
            deletions=0,
            untracked=len(files),
            commits=("c1" * 20,),
            kept_ref=intent.keep_ref,
        )

    def remove(self, intent: WorktreeIntent, made: WorktreeMade) -> Removed | RemovalFailed:
        """Remove the tree; removing twice is removing once."""
        self._machine.fuse.pass_by("workspace.remove")
        self._check_same(intent, made)
        if self.removal is not None:
            return self.removal
        self._machine.trees.pop(intent.path, None)
        self._machine.fuse.pass_by("workspace.removed")
        return Removed()

    def _check_same(self, intent: WorktreeIntent, made: WorktreeMade) -> None:
        assert str(intent.path) == made.path
        assert made.kind == ("linked" if self._maker == "git" else "directory")


__all__ = ["FakeWorkspace"]
