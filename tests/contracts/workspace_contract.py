"""The contract of the port `Workspace`: one suite, run over every adapter.

A test module subclasses `WorkspaceContract` and gives it `bench`: a workspace, an intent that can
be created, and a way to make another adapter of the same kind, as another process would.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from ledger.errors import WorkspaceError
from ledger.outcomes import PatchMade, RemovalFailed, Removed, Unavailable, WorktreeMade
from ledger.ports import Workspace, WorktreeIntent


@dataclass
class Bench:
    """What one test works on."""

    workspace: Workspace
    intent: WorktreeIntent
    another: Callable[[], Workspace]

    def make(self) -> WorktreeMade:
        """Create the workspace; it must succeed."""
        made = self.workspace.create(self.intent)
        assert not isinstance(made, Unavailable), made
        return made

    def patch(self, made: WorktreeMade) -> tuple[PatchMade, bytes]:
        """Capture, and return the patch's bytes beside what is said of it."""
        captured = self.workspace.capture(self.intent, made)
        return captured, captured.patch


class WorkspaceContract:
    """What every workspace does."""

    def test_what_is_made_stands_at_the_intents_path(self, bench: Bench) -> None:
        """The workspace is a directory at the path asked for, with the source's content."""
        made = bench.make()
        assert str(bench.intent.path) == made.path
        assert (bench.intent.path / "src/main.py").read_text() == "print('main')\n"

    def test_uncommitted_work_comes_along_but_no_secret_and_nothing_special(
        self, bench: Bench
    ) -> None:
        """Modified and new files are brought, `.env` stays behind, and the manifest says so."""
        source = bench.intent.source
        (source / "readme.txt").write_text("changed\n")
        (source / "fresh.txt").write_text("fresh\n")
        (source / ".env").write_text("TOKEN=1\n")
        made = bench.make()
        manifest = msgspec.json.decode(made.manifest)
        assert "changed\n" == (bench.intent.path / "readme.txt").read_text()
        assert "fresh\n" == (bench.intent.path / "fresh.txt").read_text()
        assert not (bench.intent.path / ".env").exists()
        assert {"path": ".env", "reason": "secret_name"} in manifest["skipped"]
        assert made.synced == len(manifest["synced"])

    def test_with_sync_off_no_uncommitted_work_comes_along(self, bench: Bench) -> None:
        """`off` brings nothing that is not committed."""
        (bench.intent.source / "fresh.txt").write_text("fresh\n")
        bench.intent = msgspec.structs.replace(bench.intent, sync="off")
        made = bench.make()
        assert 0 == made.synced
        assert not (bench.intent.path / "fresh.txt").exists()

    def test_a_path_that_is_taken_is_refused_and_left_alone(self, bench: Bench) -> None:
        """Where something is already, nothing is made and nothing is removed."""
        bench.intent.path.mkdir(parents=True)
        (bench.intent.path / "mine").write_text("mine")
        made = bench.workspace.create(bench.intent)
        assert isinstance(made, Unavailable)
        assert "mine" == (bench.intent.path / "mine").read_text()

    def test_an_unchanged_workspace_gives_an_empty_patch(self, bench: Bench) -> None:
        """Nothing done is nothing captured, and the tree is the synced one."""
        (bench.intent.source / "fresh.txt").write_text("fresh\n")
        made = bench.make()
        captured, patch = bench.patch(made)
        assert b"" == patch
        assert made.tree == captured.tree
        assert (0, 0, 0, 0) == (
            captured.files,
            captured.insertions,
            captured.deletions,
            captured.untracked,
        )

    def test_the_patch_holds_new_changed_and_deleted_files(self, bench: Bench) -> None:
        """Every kind of change is in the patch, and capturing twice gives the same."""
        made = bench.make()
        (bench.intent.path / "result.txt").write_text("a\nb\n")
        (bench.intent.path / "readme.txt").write_text("one\ntwo\n3\n")
        (bench.intent.path / "old.txt").unlink()
        captured, patch = bench.patch(made)
        assert (3, 3, 2, 1) == (
            captured.files,
            captured.insertions,
            captured.deletions,
            captured.untracked,
        )
        assert b"new file mode 100644" in patch
        assert b"deleted file mode 100644" in patch
        assert (captured, patch) == bench.patch(made)

    def test_capturing_changes_nothing_in_the_workspace(self, bench: Bench) -> None:
        """Files, their modes and their times are after a capture what they were before."""
        made = bench.make()
        (bench.intent.path / "result.txt").write_text("a\n")
        before = _look(bench.intent.path)
        bench.patch(made)
        assert before == _look(bench.intent.path)

    def test_a_workspace_that_is_gone_cannot_be_captured(self, bench: Bench) -> None:
        """A removed workspace is an error, not an empty patch."""
        made = bench.make()
        shutil.rmtree(bench.intent.path)
        with pytest.raises(WorkspaceError, match="cannot capture"):
            bench.workspace.capture(bench.intent, made)

    def test_a_workspace_replaced_by_a_link_is_neither_captured_nor_removed(
        self, bench: Bench, tmp_path: Path
    ) -> None:
        """What a symbolic link leads to is not the workspace."""
        made = bench.make()
        precious = tmp_path / "precious"
        precious.mkdir()
        (precious / "file").write_text("keep")
        bench.intent.path.rename(tmp_path / "aside")
        bench.intent.path.symlink_to(precious)
        with pytest.raises(WorkspaceError):
            bench.workspace.capture(bench.intent, made)
        removed = bench.workspace.remove(bench.intent, made)
        assert isinstance(removed, RemovalFailed)
        assert "not_ours" == removed.reason
        assert "keep" == (precious / "file").read_text()

    def test_removing_removes_workspace_and_scratch_and_twice_is_once(self, bench: Bench) -> None:
        """After removal nothing is left, also of directories that deny writing."""
        made = bench.make()
        locked = bench.intent.path / "locked/inner"
        locked.mkdir(parents=True)
        (locked / "file").write_text("x")
        locked.chmod(0o500)
        locked.parent.chmod(0o500)
        assert Removed() == bench.workspace.remove(bench.intent, made)
        assert not os.path.lexists(bench.intent.path)
        assert not os.path.lexists(bench.intent.scratch)
        assert Removed() == bench.workspace.remove(bench.intent, made)

    def test_another_process_can_capture_and_remove(self, bench: Bench) -> None:
        """Nothing that is needed later is kept in memory."""
        made = bench.make()
        (bench.intent.path / "result.txt").write_text("a\n")
        another = bench.another()
        assert 1 == another.capture(bench.intent, made).files
        assert Removed() == another.remove(bench.intent, made)

    def test_a_directory_that_was_not_made_is_not_removed(
        self, bench: Bench, tmp_path: Path
    ) -> None:
        """Whoever claims another directory to be the workspace is refused."""
        made = bench.make()
        precious = tmp_path / "precious"
        precious.mkdir()
        (precious / "file").write_text("keep")
        claimed = msgspec.structs.replace(made, path=str(precious))
        elsewhere = msgspec.structs.replace(bench.intent, path=precious)
        for intent in (bench.intent, elsewhere):
            removed = bench.workspace.remove(intent, claimed)
            assert isinstance(removed, RemovalFailed)
            assert "not_ours" == removed.reason
        assert "keep" == (precious / "file").read_text()
        assert bench.intent.path.is_dir()

    def test_another_directory_at_the_same_path_is_not_removed(
        self, bench: Bench, tmp_path: Path
    ) -> None:
        """The same path is not the same directory."""
        made = bench.make()
        bench.intent.path.rename(tmp_path / "aside")
        bench.intent.path.mkdir()
        (bench.intent.path / "file").write_text("keep")
        removed = bench.workspace.remove(bench.intent, made)
        assert isinstance(removed, RemovalFailed)
        assert "not_ours" == removed.reason
        assert "keep" == (bench.intent.path / "file").read_text()


def _look(directory: Path) -> dict[str, tuple[int, int, int]]:
    return {
        str(path.relative_to(directory)): (
            path.lstat().st_mode,
            path.lstat().st_size,
            path.lstat().st_mtime_ns,
        )
        for path in directory.rglob("*")
        if ".git" not in path.parts
    }
