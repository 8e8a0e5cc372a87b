"""Whatever a command left in its workspace, capturing and removing run none of it.

Every trick here would write a canary file if this machine ran it.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.git_worktree import GitWorkspace
from ledger.errors import WorkspaceError
from ledger.outcomes import RemovalFailed, Removed, WorktreeMade
from ledger.ports import WorktreeIntent
from ledger.rules import Kind
from tests.adapters.checkouts import git, intent_for, made_by, make_repository

Trick = Callable[[Path, Path, Path], None]


def _configure(config: Path, program: Path) -> None:
    with config.open("a") as file:
        file.write(
            f"""
[core]
\tfsmonitor = {program}
\thooksPath = {program.parent}
\tpager = {program}
\teditor = {program}
\tsshCommand = {program}
\talternateRefsCommand = {program}
[diff]
\texternal = {program}
[diff "evil"]
\tcommand = {program}
\ttextconv = {program}
[filter "evil"]
\tclean = {program}
\tsmudge = {program}
\tprocess = {program}
\trequired = true
[credential]
\thelper = {program}
[gpg]
\tprogram = {program}
[uploadpack]
\tpackObjectsHook = {program}
"""
        )


def _attribute(workspace: Path) -> None:
    (workspace / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")


def _own_git_dir(workspace: Path, git_dir: Path, program: Path) -> None:
    """`.git` points to a git directory of the command's own."""
    _attribute(workspace)
    evil = workspace / "evil.git"
    git(workspace, "init", "--quiet", "--bare", str(evil))
    _configure(evil / "config", program)
    if (workspace / ".git").is_dir():
        shutil.rmtree(workspace / ".git")
    (workspace / ".git").unlink(missing_ok=True)
    (workspace / ".git").write_text(f"gitdir: {evil}\n")


def _registration(workspace: Path, git_dir: Path, program: Path) -> None:
    """The worktree's own git directory has another configuration, and other hooks."""
    _attribute(workspace)
    _configure(git_dir / "config", program)
    _configure(git_dir / "config.worktree", program)
    (git_dir / "hooks").mkdir(exist_ok=True)
    shutil.copy(program, git_dir / "hooks/reference-transaction")


def _common_dir_elsewhere(workspace: Path, git_dir: Path, program: Path) -> None:
    """`commondir` leads to a configuration of the command's own."""
    evil = workspace / "evil.git"
    git(workspace, "init", "--quiet", "--bare", str(evil))
    _configure(evil / "config", program)
    _attribute(workspace)
    (git_dir / "commondir").write_text(f"{evil}\n")


def _head_is_garbage(workspace: Path, git_dir: Path, program: Path) -> None:
    """`HEAD` names an option, a link and nothing at all."""
    _attribute(workspace)
    (git_dir / "HEAD").write_text("ref: refs/heads/--upload-pack=" + str(program) + "\n")


def _embedded_repository(workspace: Path, git_dir: Path, program: Path) -> None:
    """An embedded repository, with a commit, that git would look into with its configuration."""
    inner = workspace / "inner"
    git(workspace, "init", "--quiet", str(inner))
    (inner / "file.txt").write_text("x\n")
    git(inner, "add", "file.txt")
    git(inner, "commit", "--quiet", "--message=inner")
    _attribute(inner)
    _configure(inner / ".git/config", program)
    (workspace / ".gitmodules").write_text(
        '[submodule "inner"]\n\tpath = inner\n\turl = ext::x\n\tignore = none\n'
        f"\tupdate = !{program}\n"
    )


def _user_configuration(workspace: Path, git_dir: Path, program: Path) -> None:
    """The repository's own configuration, which a linked worktree can write."""
    _attribute(workspace)
    common = git_dir.parent.parent if git_dir.parent.name == "worktrees" else git_dir
    _configure(common / "config", program)
    hooks = common / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-checkout", "reference-transaction", "post-index-change"):
        shutil.copy(program, hooks / name)


TRICKS: list[Trick] = [
    _own_git_dir,
    _registration,
    _common_dir_elsewhere,
    _head_is_garbage,
    _embedded_repository,
    _user_configuration,
]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "evil/payload"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\ntouch "{tmp_path}/canary"\ncat\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def workspace() -> GitWorkspace:
    return GitWorkspace()


def _begin(
    workspace: GitWorkspace, root: Path, kind: Kind = "linked"
) -> tuple[WorktreeIntent, WorktreeMade]:
    intent = intent_for(root, make_repository(root / "repo"), kind=kind)
    return intent, made_by(workspace, intent)


@pytest.mark.parametrize("kind", ["linked", "clone"])
@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: trick.__name__.strip("_"))
def test_nothing_that_the_command_left_is_run(
    workspace: GitWorkspace, program: Path, tmp_path: Path, trick: Trick, kind: Kind
) -> None:
    """The patch holds the run's file, the worktree goes, and no canary was written."""
    intent, made = _begin(workspace, tmp_path, kind)
    (intent.path / "readme.txt").write_text("changed\n")
    (intent.path / "result.txt").write_text("x\n")
    trick(intent.path, Path(made.git_dir or ""), program)
    (tmp_path / "canary").unlink(missing_ok=True)
    first = workspace.capture(intent, made)
    second = workspace.capture(intent, made)
    removed = workspace.remove(intent, made)
    assert not (tmp_path / "canary").exists()
    assert first.files >= 2
    assert first == second
    assert Removed() == removed
    assert not intent.path.exists()


@pytest.mark.parametrize("trick", [_own_git_dir, _user_configuration])
def test_an_ordinary_git_falls_for_these_tricks(
    workspace: GitWorkspace, program: Path, tmp_path: Path, trick: Trick
) -> None:
    """The canary does sing: git as a user would call it runs what the command left."""
    intent, made = _begin(workspace, tmp_path)
    trick(intent.path, Path(made.git_dir or ""), program)
    (tmp_path / "canary").unlink(missing_ok=True)
    command = ["git", f"--work-tree={intent.path}", "add", "--all"]
    subprocess.run(command, cwd=intent.path, capture_output=True, check=False, timeout=20)
    assert (tmp_path / "canary").exists()


def test_hostile_configuration_of_the_checkout_runs_nothing_at_creation(
    workspace: GitWorkspace, program: Path, tmp_path: Path
) -> None:
    """Hooks, filters and monitors of a repository stay off from the first step."""
    repository = make_repository(tmp_path / "repo")
    _attribute(repository)
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message=attributes")
    (repository / "readme.txt").write_text("changed\n")
    _user_configuration(repository, repository / ".git", program)
    kinds: tuple[Kind, ...] = ("linked", "clone")
    for kind in kinds:
        intent = intent_for(tmp_path, repository, name=kind, kind=kind)
        made = made_by(workspace, intent)
        workspace.capture(intent, made)
        assert Removed() == workspace.remove(intent, made)
    assert not (tmp_path / "canary").exists()


def test_a_worktree_without_its_git_file_is_captured_and_removed(
    workspace: GitWorkspace, tmp_path: Path
) -> None:
    """Deleting `.git` hides nothing and leaves no registration behind."""
    intent, made = _begin(workspace, tmp_path)
    (intent.path / ".git").unlink()
    (intent.path / "result.txt").write_text("x\n")
    assert 1 == workspace.capture(intent, made).files
    assert Removed() == workspace.remove(intent, made)
    assert 1 == len(git(intent.source, "worktree", "list").splitlines())


def test_a_worktree_whose_registration_was_deleted_is_captured_and_removed(
    workspace: GitWorkspace, tmp_path: Path
) -> None:
    """The directory is known to be ours without git's entry."""
    intent, made = _begin(workspace, tmp_path)
    shutil.rmtree(made.git_dir or "")
    (intent.path / "result.txt").write_text("x\n")
    assert 1 == workspace.capture(intent, made).files
    assert Removed() == workspace.remove(intent, made)
    assert not intent.path.exists()


def test_links_out_of_the_workspace_are_not_followed(
    workspace: GitWorkspace, tmp_path: Path
) -> None:
    """A directory replaced by a link out is recorded as a link; what it leads to is untouched."""
    intent, made = _begin(workspace, tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "main.py").write_text("precious\n")
    shutil.rmtree(intent.path / "src")
    (intent.path / "src").symlink_to(outside)
    captured = workspace.capture(intent, made)
    patch = captured.patch
    assert b"precious" not in patch
    assert b"new file mode 120000" in patch
    assert Removed() == workspace.remove(intent, made)
    assert "precious\n" == (outside / "main.py").read_text()


def test_sockets_and_fifos_are_no_part_of_a_patch(
    workspace: GitWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are left out, and nothing waits at them."""
    intent, made = _begin(workspace, tmp_path)
    os.mkfifo(intent.path / "pipe")
    monkeypatch.chdir(intent.path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        (intent.path / "readme.txt").unlink()
        os.mkfifo(intent.path / "readme.txt")
        captured = workspace.capture(intent, made)
    assert (1, 0, 3) == (captured.files, captured.insertions, captured.deletions)
    monkeypatch.chdir(tmp_path)
    assert Removed() == workspace.remove(intent, made)


@pytest.mark.parametrize("name", [".gitignore", "src/.gitattributes"])
def test_a_fifo_where_git_looks_for_rules_is_named_and_not_waited_at(
    workspace: GitWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The capture fails and says at which file."""
    monkeypatch.setattr("adapters.git.private_dir._PATIENCE_S", 0.3)
    intent, made = _begin(workspace, tmp_path)
    (intent.path / name).unlink(missing_ok=True)
    (intent.path / "src/main.py").write_text("changed\n")
    os.mkfifo(intent.path / name)
    with pytest.raises(WorkspaceError, match=name.rpartition("/")[2]):
        workspace.capture(intent, made)
    assert (intent.path / "src/main.py").exists()
    assert Removed() == workspace.remove(intent, made)


def test_embedded_repositories_are_taken_as_plain_files(
    workspace: GitWorkspace, tmp_path: Path
) -> None:
    """With or without a commit their files are in the patch; ignored ones and `.git` are not."""
    intent, made = _begin(workspace, tmp_path)
    for name in ("empty", ":(odd) name", "full"):
        inner = intent.path / name
        git(intent.path, "init", "--quiet", "--", str(inner))
        (inner / "deep").mkdir()
        (inner / "deep/file.txt").write_text("x\n")
        (inner / "noise.log").write_text("ignored\n")
    git(intent.path / "full", "add", "--all")
    git(intent.path / "full", "commit", "--quiet", "--message=x")
    captured = workspace.capture(intent, made)
    assert (3, 3) == (captured.files, captured.untracked)
    assert b"noise" not in captured.patch
    assert captured == workspace.capture(intent, made)


def test_what_may_not_be_read_is_named_and_not_left_out(tmp_path: Path) -> None:
    """A file or directory without permission to read fails the capture."""
    script = """
import sys
from pathlib import Path
from adapters.git_worktree import GitWorkspace
from ledger.errors import WorkspaceError
from tests.adapters.checkouts import *
root = Path(sys.argv[1])
workspace = GitWorkspace()
intent = intent_for(root, make_repository(root / "repo"))
made = made_by(workspace, intent)
for name, mode in (("closed.txt", 0), ("src", 0), ("src", 0o400), ("src/main.py", 0)):
    path = intent.path / name
    if not path.exists():
        path.write_text("new")
    before = path.stat().st_mode
    if path.is_file():
        path.write_text("changed")
    path.chmod(mode)
    try:
        workspace.capture(intent, made)
    except WorkspaceError as error:
        print(name in str(error))
    path.chmod(before)
    if name == "closed.txt":
        path.unlink()
(intent.path / "src").chmod(0)
print(workspace.remove(intent, made))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        preexec_fn=_give_up_reading_everything,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "True\nTrue\nTrue\nTrue\nRemoved()\n" == done.stdout, done.stderr


def _give_up_reading_everything() -> None:
    # prctl(2), capabilities(7): without these two, root is held to permission bits as others are.
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None)
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            libc.prctl(24, capability, 0, 0, 0)


def test_a_clone_with_redirected_objects_keeps_no_commits(
    workspace: GitWorkspace, tmp_path: Path
) -> None:
    """Objects of some other repository are not taken for the run's."""
    intent, made = _begin(workspace, tmp_path, "clone")
    other = make_repository(tmp_path / "other")
    git(intent.path, "commit", "--quiet", "--allow-empty", "--message=x")
    alternates = intent.path / ".git/objects/info/alternates"
    alternates.write_text(alternates.read_text() + f"{other}/.git/objects\n")
    with pytest.raises(WorkspaceError, match="redirected"):
        workspace.capture(intent, made)
    assert "" == git(intent.source, "for-each-ref", "refs/gesta")


def test_a_registration_replaced_by_a_link_is_not_removed(
    workspace: GitWorkspace, tmp_path: Path
) -> None:
    """Where a git directory has become a link, nothing is deleted behind it."""
    intent, made = _begin(workspace, tmp_path)
    git_dir = Path(made.git_dir or "")
    git_dir.rename(tmp_path / "aside")
    git_dir.symlink_to(tmp_path / "aside")
    removed = workspace.remove(intent, made)
    assert isinstance(removed, RemovalFailed)
    assert "not_ours" == removed.reason
    assert (tmp_path / "aside/HEAD").exists()
