"""`apply_patch` puts a captured patch on a checkout, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.git.patch_apply import Applied, apply_patch
from adapters.git_worktree import GitWorkspace
from ledger.errors import WorkspaceError
from tests.adapters.checkouts import git, intent_for, made_by, make_repository


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


@pytest.fixture
def patch(repository: Path, tmp_path: Path) -> bytes:
    workspace = GitWorkspace()
    intent = intent_for(tmp_path, repository)
    made = made_by(workspace, intent)
    (intent.path / "readme.txt").write_text("one\ntwo\n3\n")
    (intent.path / "bin.dat").write_bytes(bytes(range(256)))
    (intent.path / "old.txt").unlink()
    return workspace.capture(intent, made).patch


def test_a_patch_is_applied_to_files_and_to_nothing_else(repository: Path, patch: bytes) -> None:
    """Files change, binary ones too; the index does not."""
    index = (repository / ".git/index").read_bytes()
    assert Applied(3) == apply_patch(repository, patch)
    assert bytes(range(256)) == (repository / "bin.dat").read_bytes()
    assert not (repository / "old.txt").exists()
    assert index == (repository / ".git/index").read_bytes()


def test_checking_changes_nothing(repository: Path, patch: bytes) -> None:
    """`check` says the same and leaves every file as it was."""
    assert Applied(3) == apply_patch(repository, patch, check=True)
    assert "" == git(repository, "status", "--short")


def test_a_patch_that_does_not_fit_is_refused_whole(repository: Path, patch: bytes) -> None:
    """One file in the way, and none is changed; git's reason is in the one line."""
    (repository / "readme.txt").write_text("something else\n")
    before = git(repository, "status", "--short")
    with pytest.raises(WorkspaceError, match=r"cannot apply the patch .*readme\.txt") as raised:
        apply_patch(repository, patch)
    assert "\n" not in str(raised.value)
    assert before == git(repository, "status", "--short")


def test_a_patch_applies_outside_a_repository_too(patch: bytes, tmp_path: Path) -> None:
    """A plain directory with the same files will do."""
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "readme.txt").write_text("one\ntwo\nthree\n")
    (plain / "old.txt").write_text("to be deleted\n")
    assert Applied(3) == apply_patch(plain, patch)
    assert "one\ntwo\n3\n" == (plain / "readme.txt").read_text()


def test_an_empty_patch_is_applied_by_doing_nothing(repository: Path) -> None:
    """A run that changed nothing can be applied."""
    assert Applied(0) == apply_patch(repository, b"")


def test_no_patch_reaches_out_of_the_directory(repository: Path, tmp_path: Path) -> None:
    """Paths above, paths through links and `.git` are refused."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (repository / "way").symlink_to(outside)
    for name in ("../outside/x", "way/x", ".git/hooks/x"):
        patch = (
            f"diff --git a/{name} b/{name}\nnew file mode 100755\n"
            f"--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+x\n"
        )
        with pytest.raises(WorkspaceError):
            apply_patch(repository, patch.encode())
    assert [] == list(outside.iterdir())
    assert not (repository / ".git/hooks/x").exists()


def test_filters_of_the_checkout_do_not_run(repository: Path, patch: bytes, tmp_path: Path) -> None:
    """Applying converts content, but starts nothing for it."""
    git(repository, "config", "filter.evil.clean", f"touch {tmp_path}/canary; cat")
    git(repository, "config", "filter.evil.smudge", f"touch {tmp_path}/canary; cat")
    (repository / ".gitattributes").write_text("* filter=evil\n")
    apply_patch(repository, patch)
    assert not (tmp_path / "canary").exists()
