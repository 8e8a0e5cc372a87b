"""`PlainDirectory` keeps the contract of `Workspace`, outside a repository and inside one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from adapters.plain_directory import PlainDirectory
from tests.adapters.checkouts import intent_for, make_repository
from tests.contracts.workspace_contract import Bench, WorkspaceContract


class TestPlainDirectory(WorkspaceContract):
    """A copy of a directory that git does not know is a `Workspace`."""

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Bench:
        source = make_repository(tmp_path / "repo")
        shutil.rmtree(source / ".git")
        intent = intent_for(tmp_path, source)
        plain = PlainDirectory(tmp_path / "home")
        return Bench(plain, intent, lambda: PlainDirectory(tmp_path / "home"))


class TestCopyOfACheckout(WorkspaceContract):
    """A copy of a checkout's files is a `Workspace`."""

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Bench:
        intent = intent_for(tmp_path, make_repository(tmp_path / "repo"))
        plain = PlainDirectory(tmp_path / "home")
        return Bench(plain, intent, lambda: PlainDirectory(tmp_path / "home"))
