"""The allowlist judges the file that would run, and then every argument."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.allowlist import Denial, check_argv, check_command, check_pattern, permits
from ledger.errors import InputInvalid
from ledger.rules import AllowedCommand

NOT_LISTED = Denial("exec.allowlist", "not_listed")
FILES = {
    "git": "/usr/bin/git",
    "/usr/bin/git": "/usr/bin/git",
    "./git": "/checkout/git",
    "/tmp/x/git.sh": "/tmp/x/git.sh",
    "/tmp/x/git": "/tmp/x/evil",
    "../git": "/git",
    "python": "/usr/bin/python3.11",
    "python3": "/usr/bin/python3.11",
    "/venv/bin/python": "/usr/bin/python3.11",
    "ls": "/bin/busybox",
    "vi": "/bin/busybox",
    "busybox": "/bin/busybox",
    "/bin/ls": "/bin/busybox",
    "base32": "/bin/coreutils",
    "base64": "/bin/coreutils",
}


def judged(argv: list[str], *allowed: str | AllowedCommand) -> Denial | None:
    entries = [AllowedCommand(command=a) if isinstance(a, str) else a for a in allowed]
    return permits(entries, argv, FILES.get(argv[0], argv[0]), FILES.get)


def test_an_empty_allowlist_lets_anything_run() -> None:
    """Without entries there is no restriction."""
    assert judged(["/tmp/x/git.sh"]) is None


@pytest.mark.parametrize("typed", ["git", "/usr/bin/git"])
def test_a_command_runs_by_name_and_by_the_path_that_the_name_means(typed: str) -> None:
    """The real file counts, whichever way it was typed."""
    assert judged([typed, "status"], "git") is None
    assert judged([typed, "status"], "/usr/bin/git") is None


@pytest.mark.parametrize("typed", ["./git", "/tmp/x/git.sh", "/tmp/x/git", "../git", "sh"])
def test_another_file_called_git_does_not_pass_for_git(typed: str) -> None:
    """A name, a stem or a symbolic link that leads elsewhere is not the command."""
    assert judged([typed, "status"], "git") == NOT_LISTED


def test_an_entry_that_is_nowhere_on_the_path_lets_nothing_run() -> None:
    """What cannot be resolved is equal to nothing."""
    assert judged(["git"], "absent") == NOT_LISTED


@pytest.mark.parametrize("typed", ["python", "python3", "/venv/bin/python"])
@pytest.mark.parametrize("allowed", ["python", "python3"])
def test_names_of_one_interpreter_pass_for_each_other(typed: str, allowed: str) -> None:
    """python and python3 are the same where both are the file python3.11."""
    assert judged([typed, "x.py"], allowed) is None


@pytest.mark.parametrize("typed", ["vi", "busybox"])
def test_a_file_of_many_programs_is_only_the_one_that_is_allowed(typed: str) -> None:
    """vi is not ls because both are busybox, nor is busybox itself."""
    assert judged([typed], "ls") == NOT_LISTED
    assert judged([typed], "/bin/ls") == NOT_LISTED


def test_a_file_of_many_programs_runs_by_the_allowed_name() -> None:
    """ls runs, by name and by path; with busybox itself allowed all of it does."""
    assert judged(["ls"], "ls") is None
    assert judged(["/bin/ls"], "ls") is None
    assert judged(["vi"], "busybox") is None


def test_a_number_in_a_name_is_no_version_of_another_file() -> None:
    """base32 does not pass for base64 where both are one file of many programs."""
    assert judged(["base32"], "base64") == NOT_LISTED


def test_every_argument_must_match_in_full() -> None:
    """A pattern that matches a part of an argument does not let it pass."""
    git = AllowedCommand(command="git", arguments=("status", "--[a-z]+"))
    assert judged(["git", "status", "--short"], git) is None
    assert Denial("exec.allowlist: git: arguments", "argument") == judged(
        ["git", "status", "--short=1"], git
    )


def test_a_denied_argument_is_denied_even_with_a_line_break_in_it() -> None:
    """`.` matches a line break, so that none carries an argument past its rule."""
    git = AllowedCommand(command="git", denied=("-c.*",))
    denial = Denial("exec.allowlist: git: denied '-c.*'", "argument")
    assert denial == judged(["git", "-c", "alias.x=!sh", "x"], git)
    assert denial == judged(["git", "-calias.x=\n!sh", "x"], git)
    assert judged(["git", "log"], git) is None


def test_denied_arguments_win_over_permitted_ones() -> None:
    """An argument that both rules match is denied."""
    python = AllowedCommand(command="python", arguments=(".*",), denied=("-c",))
    assert judged(["python", "-c"], python) == Denial(
        "exec.allowlist: python: denied '-c'", "argument"
    )


def test_one_entry_of_several_is_enough() -> None:
    """Two entries of one command are alternatives."""
    entries = [AllowedCommand(command="git", arguments=(word,)) for word in ("status", "log")]
    assert judged(["git", "log"], *entries) is None
    assert judged(["git", "push"], *entries) == Denial("exec.allowlist: git: arguments", "argument")


@pytest.mark.parametrize("argv", [[], [""], "git tag x", b"git", ["git", 1], ["git", "a\0b"], None])
def test_what_is_no_list_of_words_is_refused(argv: object) -> None:
    """An empty command, a string for a list and a NUL are errors, whatever is allowed."""
    with pytest.raises(InputInvalid, match=r"^cannot run "):
        check_argv(argv)  # type: ignore[arg-type]
    with pytest.raises(InputInvalid):
        permits([], argv, "/x", FILES.get)  # type: ignore[arg-type]


@given(st.lists(st.text(st.characters(exclude_characters="\0")), max_size=5))
def test_without_rules_for_arguments_any_argument_passes(arguments: list[str]) -> None:
    """An entry that is only a command says nothing about arguments."""
    assert judged(["git", *arguments], "git") is None


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_file_that_no_entry_leads_to_never_runs(typed: str, file: str) -> None:
    """Whatever was typed, another real file is not listed."""
    if "\0" not in typed:
        entry = AllowedCommand(command=typed)
        assert permits([entry], [typed], file, lambda _: f"{file}x") == NOT_LISTED


@pytest.mark.parametrize("command", ["git", "a b", "c++", "/usr/bin/git", "[", "x.y"])
def test_an_entry_names_a_command_or_an_absolute_path(command: str) -> None:
    """Both forms are accepted as they are."""
    assert command == check_command(command)


@pytest.mark.parametrize(
    "command",
    ["", ".", "..", "./git", "a/b", "/", "//bin/x", "/a/../b", "/a/", "-x", "a\0", "/a\n"],
)
def test_an_entry_that_is_neither_is_refused(command: str) -> None:
    """A relative path would mean another file in every directory."""
    with pytest.raises(ValueError, match=r"^must be"):
        check_command(command)


@pytest.mark.parametrize("pattern", ["(", "*", "[[a]", "a{2}{3}", "(?P<x>"])
def test_a_pattern_that_python_cannot_read_or_doubts_is_refused(pattern: str) -> None:
    """Also one whose meaning a later version of Python changes."""
    with pytest.raises(ValueError, match=r"^must be a regular expression: "):
        check_pattern(pattern)
