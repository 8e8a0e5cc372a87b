"""`GitWorkspace` keeps the contract of `Workspace`, as a linked worktree and as a clone."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.git_worktree import GitWorkspace
from tests.adapters.checkouts import intent_for, make_repository
from tests.contracts.workspace_contract import Bench, WorkspaceContract


class TestLinkedWorktree(WorkspaceContract):
    """A linked worktree is a `Workspace`."""

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Bench:
        intent = intent_for(tmp_path, make_repository(tmp_path / "repo"))
        return Bench(GitWorkspace(), intent, GitWorkspace)


class TestClone(WorkspaceContract):
    """A clone is a `Workspace`."""

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Bench:
        intent = intent_for(tmp_path, make_repository(tmp_path / "repo"), kind="clone")
        return Bench(GitWorkspace(), intent, GitWorkspace)
