"""Worktrees and clones: what comes along, what stays untouched, what is removed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from adapters.git_worktree import GitWorkspace
from ledger.outcomes import RemovalFailed, Removed, Unavailable, WorktreeMade
from ledger.rules import Kind
from tests.adapters.checkouts import (
    git,
    intent_for,
    made_by,
    make_repository,
    make_uncommitted,
    state_of,
)

KINDS: tuple[Kind, ...] = ("linked", "clone")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


@pytest.fixture
def workspace() -> GitWorkspace:
    return GitWorkspace()


def test_a_survey_names_the_checkout_the_prefix_and_the_commit(
    workspace: GitWorkspace, repository: Path
) -> None:
    """From a subdirectory the top, the shared git directory and the commit are found."""
    found = workspace.survey(repository / "src")
    assert not isinstance(found, Unavailable)
    assert (str(repository), str(repository / ".git"), "src") == (
        found.root,
        found.common_dir,
        found.prefix,
    )
    assert git(repository, "rev-parse", "HEAD").strip() == found.head


def test_a_survey_of_a_path_with_a_line_feed_is_right(
    workspace: GitWorkspace, tmp_path: Path
) -> None:
    """A line feed in a path is a part of the path."""
    repository = make_repository(tmp_path / "a\nb")
    found = workspace.survey(repository)
    assert not isinstance(found, Unavailable)
    assert str(repository) == found.root
    assert isinstance(workspace.create(intent_for(tmp_path, repository)), WorktreeMade)


def test_what_is_not_a_repository_and_what_has_no_commit_are_told_apart(
    workspace: GitWorkspace, tmp_path: Path
) -> None:
    """Each has a reason of its own."""
    plain, empty = tmp_path / "plain", tmp_path / "empty"
    plain.mkdir()
    empty.mkdir()
    git(empty, "init", "--quiet")
    reasons = [
        found.reason
        for found in map(workspace.survey, (plain, empty))
        if isinstance(found, Unavailable)
    ]
    assert ["not_a_repository", "no_commit"] == reasons


def test_without_git_a_survey_says_that_git_is_missing(
    workspace: GitWorkspace, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without git is an outcome, not an exception."""
    monkeypatch.setenv("PATH", str(repository))
    found = workspace.survey(repository)
    assert isinstance(found, Unavailable)
    assert "git_missing" == found.reason


@pytest.mark.parametrize("kind", KINDS)
def test_git_status_shows_what_it_showed_in_the_checkout(
    workspace: GitWorkspace, repository: Path, tmp_path: Path, kind: Kind
) -> None:
    """Modified, new and deleted files look uncommitted in the worktree, too."""
    make_uncommitted(repository)
    intent = intent_for(tmp_path, repository, kind=kind)
    made = made_by(workspace, intent)
    expected = [" D old.txt", " M readme.txt", '?? "new file.txt"', "?? staged.txt"]
    assert expected == sorted(git(intent.path, "status", "--short").splitlines())
    assert (3, 1, 1) == (made.synced, made.skipped, made.deleted)


def test_tracked_work_only_comes_along_where_the_policy_says_so(
    workspace: GitWorkspace, repository: Path, tmp_path: Path
) -> None:
    """`tracked` brings modifications, staged files and deletions, and no untracked file."""
    make_uncommitted(repository)
    intent = intent_for(tmp_path, repository, sync="tracked")
    made_by(workspace, intent)
    expected = [" D old.txt", " M readme.txt", "?? staged.txt"]
    assert expected == sorted(git(intent.path, "status", "--short").splitlines())


def test_the_manifest_lists_everything_with_reasons(
    workspace: GitWorkspace, repository: Path, tmp_path: Path
) -> None:
    """Size, digest and mode of what came; reasons for what did not; bytes that are not UTF-8."""
    (repository / "big.bin").write_bytes(b"\0" * (10 * 1024 * 1024 + 1))
    (repository / "server.KEY").write_text("secret")
    (repository / "readme.txt").chmod(0o755)
    os.mkfifo(repository / "pipe")
    odd = os.fsencode(repository) + b"/caf\xe9"
    Path(os.fsdecode(odd)).write_text("x")
    (repository / "dangling").symlink_to("/nowhere/at all")
    git(repository, "init", "--quiet", "inner")
    (repository / "inner/file").write_text("x")
    made = made_by(workspace, intent_for(tmp_path, repository))
    manifest = msgspec.json.decode(made.manifest)
    synced = {str(entry["path"]): entry["mode"] for entry in manifest["synced"]}
    assert {"readme.txt": "100755", "{'b64': 'Y2Fm6Q=='}": "100644", "dangling": "120000"} == synced
    assert {
        "big.bin": "too_large",
        "server.KEY": "secret_name",
        "inner": "nested_repository",
    } == {entry["path"]: entry["reason"] for entry in manifest["skipped"]}


def test_a_modified_tracked_file_with_a_secret_name_stays_behind(
    workspace: GitWorkspace, repository: Path, tmp_path: Path
) -> None:
    """The committed version is what the worktree has."""
    (repository / "token.pem").write_text("public\n")
    git(repository, "add", "token.pem")
    git(repository, "commit", "--quiet", "--message=second")
    (repository / "token.pem").write_text("private\n")
    intent = intent_for(tmp_path, repository)
    assert 1 == made_by(workspace, intent).skipped
    assert "public\n" == (intent.path / "token.pem").read_text()


def test_what_the_users_own_ignore_file_names_stays_behind(
    workspace: GitWorkspace,
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`core.excludesFile` of the user's configuration counts as it does for the user."""
    (tmp_path / "ignore").write_text("*.private\n")
    (tmp_path / ".gitconfig").write_text("[core]\n\texcludesFile = ~/ignore\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    (repository / "mine.private").write_text("x")
    intent = intent_for(tmp_path, repository)
    assert 0 == made_by(workspace, intent).synced
    assert not (intent.path / "mine.private").exists()


def test_types_may_change_between_file_directory_and_link(
    workspace: GitWorkspace, repository: Path, tmp_path: Path
) -> None:
    """A directory in a file's place, a file in a directory's and a link come along."""
    (repository / "old.txt").unlink()
    (repository / "old.txt").mkdir()
    (repository / "old.txt/inside").write_text("x")
    shutil.rmtree(repository / "src")
    (repository / "src").symlink_to("old.txt")
    (repository / "link").unlink()
    (repository / "link").write_text("no link")
    intent = intent_for(tmp_path, repository)
    made = made_by(workspace, intent)
    assert "x" == (intent.path / "src/inside").read_text()
    assert "no link" == (intent.path / "link").read_text()
    assert b"" == workspace.capture(intent, made).patch


def test_from_another_base_nothing_uncommitted_comes_along_and_all_is_named(
    workspace: GitWorkspace, repository: Path, tmp_path: Path
) -> None:
    """Work on top of one commit is not put on top of another."""
    first = git(repository, "rev-parse", "HEAD").strip()
    (repository / "readme.txt").write_text("second\n")
    git(repository, "commit", "--quiet", "--all", "--message=second")
    (repository / "readme.txt").write_text("third\n")
    intent = intent_for(tmp_path, repository, base="HEAD~1")
    made = made_by(workspace, intent)
    assert (first, 0, 1) == (made.base_commit, made.synced, made.skipped)
    assert "one\ntwo\nthree\n" == (intent.path / "readme.txt").read_text()


@pytest.mark.parametrize("base", ["nowhere", "--all", "HEAD..HEAD", "^HEAD"])
def test_a_base_that_is_no_commit_is_refused(
    workspace: GitWorkspace, repository: Path, tmp_path: Path, base: str
) -> None:
    """Options and ranges are no commits either."""
    intent = intent_for(tmp_path, repository, base=base)
    made = workspace.create(intent)
    assert isinstance(made, Unavailable)
    assert "no_commit" == made.reason
    assert not intent.path.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_leaves_the_main_checkout_as_it_was(
    workspace: GitWorkspace, repository: Path, tmp_path: Path, kind: Kind
) -> None:
    """Status, index, configuration, branches, HEAD and worktrees are byte for byte the same."""
    make_uncommitted(repository)
    before = state_of(repository)
    intent = intent_for(tmp_path, repository, kind=kind)
    made = made_by(workspace, intent)
    (intent.path / "result.txt").write_text("x\n")
    (intent.path / "readme.txt").write_text("x\n")
    workspace.capture(intent, made)
    assert Removed() == workspace.remove(intent, made)
    assert before == state_of(repository)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("branch", [None, "task-1-run-1"])
def test_commits_of_the_run_are_kept_under_its_own_ref(
    workspace: GitWorkspace, repository: Path, tmp_path: Path, kind: Kind, branch: str | None
) -> None:
    """What was committed survives the worktree, and no branch of the user's moves."""
    head = git(repository, "rev-parse", "main")
    intent = intent_for(tmp_path, repository, kind=kind, branch=branch)
    made = made_by(workspace, intent)
    (intent.path / "result.txt").write_text("x\n")
    for message in ("one", "two"):
        git(intent.path, "add", "--all")
        git(intent.path, "commit", "--quiet", "--allow-empty", f"--message={message}")
    captured = workspace.capture(intent, made)
    assert Removed() == workspace.remove(intent, made)
    assert ("refs/gesta/w", 2, 1) == (captured.kept_ref, len(captured.commits), captured.files)
    assert "two\none\nfirst\n" == git(repository, "log", "--format=%s", "refs/gesta/w")
    assert "x\n" == git(repository, "show", f"{captured.commits[1]}:result.txt")
    assert head == git(repository, "rev-parse", "main")
    git(repository, "fsck", "--strict")


def test_a_branch_without_commits_goes_with_its_worktree_and_one_with_commits_stays(
    workspace: GitWorkspace, repository: Path, tmp_path: Path
) -> None:
    """A branch is deleted only where it was made."""
    for name, commits in (("empty", False), ("used", True)):
        intent = intent_for(tmp_path, repository, name=name, branch=f"run-{name}")
        made = made_by(workspace, intent)
        if commits:
            git(intent.path, "commit", "--quiet", "--allow-empty", "--message=one")
        assert Removed() == workspace.remove(intent, made)
    branches = git(repository, "for-each-ref", "--format=%(refname:short)", "refs/heads")
    assert ["main", "run-used"] == branches.split()


def test_removing_again_does_not_touch_a_branch_made_since(
    workspace: GitWorkspace, repository: Path, tmp_path: Path
) -> None:
    """A branch of the same name is somebody else's by then."""
    intent = intent_for(tmp_path, repository, branch="run-1")
    made = made_by(workspace, intent)
    assert Removed() == workspace.remove(intent, made)
    git(repository, "branch", "run-1")
    assert Removed() == workspace.remove(intent, made)
    assert "run-1\n" == git(repository, "branch", "--list", "--format=%(refname:short)", "run-1")


def test_a_branch_that_exists_is_refused_and_kept(
    workspace: GitWorkspace, repository: Path, tmp_path: Path
) -> None:
    """Nothing is left of a worktree that could not be made, and nothing of the user's goes."""
    git(repository, "branch", "taken")
    before = state_of(repository)
    intent = intent_for(tmp_path, repository, branch="taken")
    made = workspace.create(intent)
    assert isinstance(made, Unavailable)
    assert not made.unknown_effect
    assert before == state_of(repository)
    assert not intent.path.exists()
    assert not intent.scratch.exists()


def test_the_main_checkout_cannot_be_removed(
    workspace: GitWorkspace, repository: Path, tmp_path: Path
) -> None:
    """Whatever is claimed of it, it is refused and every file is still there."""
    intent = intent_for(tmp_path, repository)
    made = made_by(workspace, intent)
    before = sorted(str(path) for path in repository.rglob("*"))
    lie = msgspec.structs.replace(intent, path=repository)
    for git_dir in (str(repository / ".git"), made.git_dir):
        for kind in KINDS:
            claimed = msgspec.structs.replace(
                made, path=str(repository), git_dir=git_dir, kind=kind
            )
            for scratch in (intent.scratch, tmp_path / "none"):
                told = msgspec.structs.replace(lie, scratch=scratch)
                removed = workspace.remove(told, claimed)
                assert isinstance(removed, RemovalFailed)
                assert "not_ours" == removed.reason
    assert before == sorted(str(path) for path in repository.rglob("*"))


def test_a_worktree_whose_registration_points_elsewhere_is_not_removed(
    workspace: GitWorkspace, repository: Path, tmp_path: Path
) -> None:
    """Git reuses names: the recorded git directory must still be this worktree's."""
    intent = intent_for(tmp_path, repository)
    made = made_by(workspace, intent)
    (Path(made.git_dir or "") / "gitdir").write_text(f"{tmp_path}/other/.git\n")
    removed = workspace.remove(intent, made)
    assert isinstance(removed, RemovalFailed)
    assert "not_ours" == removed.reason
    assert (intent.path / "readme.txt").exists()


def test_a_name_that_git_has_given_to_another_worktree_is_left_alone(
    workspace: GitWorkspace, repository: Path, tmp_path: Path
) -> None:
    """Removing ours, which is gone, does not remove the one that has its name now."""
    intent = intent_for(tmp_path, repository)
    made = made_by(workspace, intent)
    shutil.rmtree(intent.path)
    git(repository, "worktree", "prune")
    git(repository, "worktree", "add", "--quiet", "--detach", str(tmp_path / "mine/w"))
    assert Removed() == workspace.remove(intent, made)
    assert (tmp_path / "mine/w/readme.txt").exists()
    assert "mine/w" in git(repository, "worktree", "list")


def test_a_locked_worktree_is_removed_and_anothers_stale_entry_stays(
    workspace: GitWorkspace, repository: Path, tmp_path: Path
) -> None:
    """Only our own registration is removed."""
    git(repository, "worktree", "add", "--quiet", "--detach", str(tmp_path / "unplugged"))
    shutil.rmtree(tmp_path / "unplugged")
    intent = intent_for(tmp_path, repository)
    made = made_by(workspace, intent)
    git(repository, "worktree", "lock", str(intent.path))
    assert Removed() == workspace.remove(intent, made)
    assert ["unplugged"] == os.listdir(repository / ".git/worktrees")


def test_what_an_unfinished_create_left_can_be_cleared(
    workspace: GitWorkspace, repository: Path, tmp_path: Path
) -> None:
    """A process that died right after git had made the worktree leaves nothing for ever."""
    before = state_of(repository)
    intent = intent_for(tmp_path, repository, branch="run-1")
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "import adapters.git_worktree as g\n"
        "from tests.adapters.checkouts import intent_for\n"
        "intent = intent_for(Path(sys.argv[1]), Path(sys.argv[2]), branch='run-1')\n"
        "real, seen = g.write_marker, []\n"
        # First the intent, then the branch; the third comes after git has made the worktree.
        "def write(scratch, marker):\n"
        "    seen.append(marker)\n"
        "    os._exit(9) if len(seen) == 3 else real(scratch, marker)\n"
        "g.write_marker = write\n"
        "g.GitWorkspace().create(intent)\n"
    )
    died = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(repository)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )
    assert 9 == died.returncode
    assert intent.path.is_dir()
    assert Removed() == workspace.clear(intent)
    assert before == state_of(repository)
    assert not intent.path.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_sha256_repositories_work(workspace: GitWorkspace, tmp_path: Path, kind: Kind) -> None:
    """Object names may be longer."""
    repository = make_repository(tmp_path / "repo", "--object-format=sha256")
    make_uncommitted(repository)
    intent = intent_for(tmp_path, repository, kind=kind)
    made = made_by(workspace, intent)
    (intent.path / "result.txt").write_text("x\n")
    captured = workspace.capture(intent, made)
    assert (64, 1) == (len(captured.tree), captured.files)
    assert Removed() == workspace.remove(intent, made)


def test_the_source_may_be_a_linked_worktree(
    workspace: GitWorkspace, repository: Path, tmp_path: Path
) -> None:
    """Uncommitted work of a linked worktree comes along as that of a main checkout does."""
    git(repository, "worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
    (tmp_path / "linked/fresh.txt").write_text("x")
    intent = intent_for(tmp_path, tmp_path / "linked")
    made = made_by(workspace, intent)
    assert "?? fresh.txt\n" == git(intent.path, "status", "--short")
    assert Removed() == workspace.remove(intent, made)


def test_a_run_directory_inside_the_checkout_does_not_come_along(
    workspace: GitWorkspace, repository: Path
) -> None:
    """Our own files are nobody's uncommitted work."""
    made = made_by(workspace, intent_for(repository, repository))
    assert (0, 0) == (made.synced, made.skipped)


def test_twenty_threads_make_and_remove_worktrees_without_error(
    repository: Path, tmp_path: Path
) -> None:
    """Adding and removing are done one at a time, whoever asks."""

    def cycle(number: int) -> object:
        workspace = GitWorkspace()
        intent = intent_for(tmp_path, repository, name=f"w{number}")
        return workspace.remove(intent, made_by(workspace, intent))

    before = state_of(repository)
    with ThreadPoolExecutor(20) as pool:
        assert [Removed()] * 20 == list(pool.map(cycle, range(20)))
    assert before == state_of(repository)


def test_processes_make_and_remove_worktrees_without_error(
    repository: Path, tmp_path: Path
) -> None:
    """The lock holds between processes, too."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from adapters.git_worktree import GitWorkspace\n"
        "from tests.adapters.checkouts import intent_for, made_by\n"
        "workspace = GitWorkspace()\n"
        "for number in range(5):\n"
        "    name = sys.argv[3] + str(number)\n"
        "    intent = intent_for(Path(sys.argv[1]), Path(sys.argv[2]), name=name)\n"
        "    print(workspace.remove(intent, made_by(workspace, intent)))\n"
    )
    before = state_of(repository)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), str(repository), name],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "abcd"
    ]
    outputs = [process.communicate()[0] for process in processes]
    assert ["Removed()\n" * 5] * 4 == outputs
    assert before == state_of(repository)


def test_a_run_takes_few_git_processes(
    workspace: GitWorkspace,
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A clean checkout and a run that changes nothing: six; each side's changes cost three."""
    log = tmp_path / "log"
    real = shutil.which("git")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").write_text(f'#!/bin/sh\necho x >> "{log}"\nexec "{real}" "$@"\n')
    (tmp_path / "bin/git").chmod(0o755)
    intent = intent_for(tmp_path, repository)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")

    def count() -> int:
        lines = log.read_text().count("x") if log.exists() else 0
        log.write_text("")
        return lines

    workspace.survey(repository)
    count()  # once a process, GitPython asks git for its version
    made = made_by(workspace, intent)
    assert 4 == count()
    workspace.capture(intent, made)
    assert 1 == count()
    (intent.path / "result.txt").write_text("x")
    workspace.capture(intent, made)
    assert 4 == count()
    workspace.remove(intent, made)
    assert 1 == count()
    make_uncommitted(repository)
    count()
    made_by(workspace, intent)
    assert 7 == count()
