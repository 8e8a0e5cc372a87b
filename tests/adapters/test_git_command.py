"""Git runs hardened: of the caller's and the repository's configuration only what is harmless."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from adapters.git.command import (
    Git,
    find_git,
    read_settings,
    require_git,
    split_paths,
    workspace_environment,
)
from ledger.errors import WorkspaceError
from ledger.outcomes import Unavailable
from tests.adapters.checkouts import git, make_repository


@pytest.fixture
def program() -> str:
    return require_git("test git")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repo")


def test_the_callers_git_variables_do_not_reach_git(
    program: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither another repository nor configuration, tracing or an index gets in."""
    other = make_repository(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.bare")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "true")
    answer = Git(program, repository).run("test", "rev-parse", "--show-toplevel")
    assert f"{repository}\n".encode() == answer
    assert not (tmp_path / "trace").exists()


def test_a_git_that_fails_says_why_in_one_line(program: str, repository: Path) -> None:
    """The message names what could not be done and git's own reason."""
    with pytest.raises(WorkspaceError) as raised:
        Git(program, repository).run("read the page", "cat-file", "-p", "nowhere")
    assert "cannot read the page: Not a valid object name nowhere" == str(raised.value)


def test_a_git_that_takes_too_long_is_ended(program: str, repository: Path) -> None:
    """Nobody waits for ever, and no status is made up."""
    git(repository, "config", "alias.wait", "!sleep 60")
    finished = Git(program, repository).ask("wait", seconds=0.2)
    assert finished.status is None
    assert "git was stopped at its time limit" == finished.reason


def test_without_git_there_is_an_outcome_and_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To look for git is no exception, to need it is one of ours."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (
        Unavailable(reason="git_missing", message="cannot find git on PATH; install git")
        == find_git()
    )
    with pytest.raises(WorkspaceError, match="cannot capture it: git is not installed"):
        require_git("capture it")


def test_settings_keep_harmless_values_and_name_every_filter(
    program: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's own configuration counts; what could start something is only named."""
    (tmp_path / ".gitconfig").write_text(
        '[core]\n\tautocrlf = input\n\tpager = evil\n[filter "a.b c"]\n\tclean = evil\n'
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    git(repository, "config", "filter.local.process", "evil")
    settings = read_settings(program, repository)
    assert "input" == settings.harmless["core.autocrlf"]
    assert "core.pager" not in settings.harmless
    assert {"a.b c", "local"} == set(settings.filters)
    assert "" == settings.switches()["filter.local.process"]
    assert "false" == settings.switches()["filter.a.b c.required"]


def test_a_filter_that_cannot_be_switched_off_is_an_error(program: str, repository: Path) -> None:
    """A name with an equals sign cannot be given to git safely."""
    with (repository / ".git/config").open("a") as config:
        config.write('[filter "a=b"]\n\tclean = evil\n')
    with pytest.raises(WorkspaceError, match="cannot switch off the git filter 'a=b'"):
        read_settings(program, repository)


def test_commands_in_a_workspace_cannot_walk_up_to_a_checkout(repository: Path) -> None:
    """Git finds no repository above a workspace that has lost its own."""
    workspace = repository / "runs/w"
    (workspace / "deep").mkdir(parents=True)
    for directory in (workspace, workspace / "deep"):
        done = subprocess.run(
            ["git", "rev-parse", "--show-toplevel"],
            cwd=directory,
            env={"PATH": "/usr/bin:/bin:/usr/local/bin", **workspace_environment(workspace)},
            capture_output=True,
            check=False,
        )
        assert 128 == done.returncode
        assert b"" == done.stdout


def test_paths_are_bytes_between_nuls() -> None:
    """What is not UTF-8 comes through."""
    assert ["a\nb", "caf\udce9"] == split_paths(b"a\nb\0caf\xe9\0")
