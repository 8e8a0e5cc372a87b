"""`gesta run` as a process: its exit codes, what it prints where, and what it puts on record."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from adapters import open_ledger
from ledger import events as e
from tests.cli.gesta import LOCAL, gesta, on_terminal, profile, start


def recorded(home: Path) -> list[object]:
    """Return the events of the newest run."""
    with open_ledger(home) as ledger:
        return [record.event for record in ledger.events()]


def git(repository: Path, *arguments: str) -> str:
    """Return what git says."""
    done = subprocess.run(
        ["git", "-C", str(repository), *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout


def test_a_command_s_code_and_both_its_streams_are_on_record(home: Path, repository: Path):
    """The exit code is the command's own, and the stored bytes are those that it printed."""
    script = "echo out; echo err >&2; exit 3"
    ended = gesta("run", "--task", "T-1", "--", "sh", "-c", script, cwd=repository)
    assert (3, b"out\n") == (ended.code, ended.out)
    warning, printed = ended.err.splitlines()
    assert "err" == printed
    assert warning.startswith("gesta: e2b is not available (E2B_API_KEY is not set); running in ")
    command = gesta("show", "--json", cwd=repository).json["commands"][0]
    assert 3 == command["exit_code"]
    for name, data in (("stdout", b"out\n"), ("stderr", b"err\n")):
        assert {
            "total": 4,
            "stored": 4,
            "truncated": False,
            "redactions": {},
            "sha256": hashlib.sha256(data).hexdigest(),
        } == command[name]
    assert b"err\n" == gesta("output", "--stderr", cwd=repository).out
    assert 1 == len(git(repository, "worktree", "list").splitlines())
    assert "" == git(repository, "status", "--short")


@pytest.mark.parametrize("task", ["../../x", "", "-x", "a\tb"])
def test_a_refused_id_leaves_nothing_behind(home: Path, repository: Path, task: str):
    """An id that may not become a path is wrong usage, in one line, before a home is made."""
    ended = gesta("run", f"--task={task}", "--", "true", cwd=repository)
    assert (2, b"") == (ended.code, ended.out)
    assert 1 == len(ended.err.splitlines())
    assert not home.exists()


def test_a_job_with_a_nul_character_leaves_nothing_behind(
    home: Path, repository: Path, tmp_path: Path
):
    """A job is checked whole before a home is made."""
    job = tmp_path / "job.yaml"
    job.write_text('task: T-1\nsteps:\n  - {name: a, run: ["echo", "a\\0b"]}\n')
    ended = gesta("run", "--file", str(job), cwd=repository)
    assert 2 == ended.code
    assert "steps[0].run[1]" in ended.err
    assert not home.exists()


def test_a_command_without_a_name_leaves_nothing_behind(home: Path, repository: Path):
    """An empty word names no program."""
    ended = gesta("run", "--", "", cwd=repository)
    assert (2, 1) == (ended.code, len(ended.err.splitlines()))
    assert not home.exists()


def test_neither_a_command_nor_a_job_is_wrong_usage(home: Path, repository: Path):
    """What is missing is said in one line."""
    ended = gesta("run", "--task", "T-1", cwd=repository)
    assert 2 == ended.code
    assert ended.err.startswith("gesta: cannot understand the command line: give either")
    assert not home.exists()


def test_a_time_limit_ends_the_whole_tree_with_124(home: Path, repository: Path, tmp_path: Path):
    """Nothing that the command started is left, and the output so far is on record."""
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    reader = os.open(alive, os.O_RDONLY | os.O_NONBLOCK)
    script = f"exec 3>{alive}; echo so far; setsid sleep 300 & sleep 300"
    ended = gesta("run", "--timeout", "1", "--", "sh", "-c", script, cwd=repository)
    assert (124, b"so far\n") == (ended.code, ended.out)
    # The end of the file: every process that held the other end is gone.
    os.set_blocking(reader, True)
    assert b"" == os.read(reader, 1)
    os.close(reader)
    timed_out = next(x for x in recorded(home) if isinstance(x, e.CommandTimedOut))
    assert e.StreamFacts(total=7, stored=7, truncated=False) == timed_out.stdout


def test_a_program_that_is_not_there_is_127(home: Path, repository: Path):
    """The request is on record, and that no process came to be."""
    assert 127 == gesta("run", "--", "no-such-program", cwd=repository).code
    events = recorded(home)
    assert any(isinstance(x, e.CommandNotStarted) and x.reason == "not_found" for x in events)


def test_a_command_that_is_not_allowed_is_126(home: Path, repository: Path, tmp_path: Path):
    """The denial is on record with its rule, and no process was started."""
    profile(home, "narrow", f"{LOCAL}worktree: {{fallback: true}}\nexec: {{allowlist: [git]}}\n")
    canary = tmp_path / "canary"
    ended = gesta("run", "--profile", "narrow", "--", "touch", str(canary), cwd=repository)
    assert 126 == ended.code
    assert ended.err.startswith("gesta: cannot execute touch: ")
    assert not canary.exists()
    assert any(isinstance(x, e.CommandDenied) for x in recorded(home))


def test_what_strict_forbids_is_125_and_starts_nothing(
    home: Path, repository: Path, tmp_path: Path
):
    """Without its sandbox a strict run is refused, on record, and the run has failed."""
    canary = tmp_path / "canary"
    ended = gesta(
        "run", "--json", "--profile", "strict", "--", "touch", str(canary), cwd=repository
    )
    assert 125 == ended.code
    assert not canary.exists()
    answer = ended.json
    assert (125, "failed", 0) == (
        answer["exit_code"],
        answer["run"]["status"],
        answer["run"]["commands"],
    )
    assert f"gesta: {answer['error']}\n" == ended.err
    refused = next(x for x in recorded(home) if isinstance(x, e.FallbackRefused))
    assert "sandbox.fallback" == refused.forbidden_by


def test_a_policy_with_an_unknown_key_is_125_and_names_it(home: Path, repository: Path):
    """File and key are in the one line."""
    profile(home, "odd", "sandbox: {netwrok: true}\n")
    ended = gesta("run", "--profile", "odd", "--", "true", cwd=repository)
    assert (125, 1) == (ended.code, len(ended.err.splitlines()))
    assert str(home / "profiles" / "odd.yaml") in ended.err
    assert "sandbox.netwrok" in ended.err


def test_a_profile_is_a_name_and_never_a_path(home: Path, repository: Path):
    """A profile from elsewhere is refused."""
    ended = gesta("run", "--profile", "../evil", "--", "true", cwd=repository)
    assert 125 == ended.code
    assert "not a path" in ended.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_run_and_cleans_up(home: Path, repository: Path, number: int):
    """The command is ended, the run recorded as cancelled, and the code is 128+n."""
    process = start("run", "--", "sh", "-c", "echo ready; sleep 300", cwd=repository)
    assert process.stdout is not None
    assert b"ready\n" == process.stdout.readline()
    process.send_signal(number)
    process.communicate(timeout=30)
    assert 128 + number == process.returncode
    with open_ledger(home) as ledger:
        state = ledger.state()
    assert ("cancelled", "clean") == (state.status, state.cleanliness)
    assert 1 == len(git(repository, "worktree", "list").splitlines())


def test_a_command_that_a_signal_ends_is_128_and_its_number(home: Path, repository: Path):
    """As a shell has it."""
    assert 137 == gesta("run", "--", "sh", "-c", "kill -9 $$", cwd=repository).code


def test_output_that_nobody_reads_any_more_ends_the_command(home: Path, repository: Path):
    """Like any writer of a pipe; quietly, and on record."""
    process = start("run", "--", "yes", cwd=repository)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(2)
    process.stdout.close()
    errors = process.stderr.read().decode()
    assert 128 + signal.SIGPIPE == process.wait(30)
    process.stderr.close()
    assert process.stdin is not None
    process.stdin.close()
    assert 1 == len(errors.splitlines())
    with open_ledger(home) as ledger:
        assert "cancelled" == ledger.status()


def test_what_a_command_reads_from_a_pipe_is_kept(home: Path, repository: Path):
    """Standard input arrives byte for byte, and its blob is on record."""
    data = b"a\0b\xff\r\n" * 1000
    ended = gesta("run", "--", "cat", cwd=repository, stdin=data)
    assert (0, data) == (ended.code, ended.out)
    executed = next(x for x in recorded(home) if isinstance(x, e.CommandExecuted))
    assert isinstance(executed.private, e.StreamsText)
    assert executed.private.stdin is not None
    assert hashlib.sha256(data).hexdigest() == executed.private.stdin.sha256


def test_arguments_that_are_not_utf_8_arrive_and_are_kept(home: Path, repository: Path):
    """Argument bytes are the command's, whatever they are."""
    word = b"caf\xe9 \x1b[31m"
    ended = gesta("run", "--json", "--", "printf", "%s", word, cwd=repository)
    assert 0 == ended.code
    assert ended.err.endswith(os.fsdecode(word))
    argv = ended.json["commands"][0]["argv"]
    assert ["printf", "%s", {"b64": "Y2Fm6SAbWzMxbQ=="}] == argv


def test_with_json_the_answer_is_all_there_is_on_standard_output(home: Path, repository: Path):
    """The command's own output goes to standard error, and the code is in the answer too."""
    ended = gesta("run", "--json", "--", "sh", "-c", "echo out; exit 4", cwd=repository)
    assert 4 == ended.code == ended.json["exit_code"]
    assert "out" in ended.err.splitlines()


def test_a_job_stops_at_the_first_step_that_may_not_fail(
    home: Path, repository: Path, tmp_path: Path
):
    """A step that may fail does not stop it; the code is that of the step that did."""
    job = tmp_path / "job.yaml"
    job.write_text(
        json.dumps(
            {
                "task": "T-7",
                "labels": {"purpose": "test"},
                "env": {"COLOUR": "blue"},
                "steps": [
                    {"name": "lint", "shell": "echo $COLOUR; exit 4", "on_failure": "continue"},
                    {"name": "test", "run": ["sh", "-c", "exit 5"]},
                    {"name": "never", "run": ["echo", "never"]},
                ],
            }
        )
    )
    ended = gesta("run", "--file", str(job), "--label", "more=1", cwd=repository)
    assert (5, b"blue\n") == (ended.code, ended.out)
    steps = [line for line in ended.err.splitlines() if line.startswith("[")]
    assert ["[1/3] lint", "[2/3] test"] == [line for line in steps if ":" not in line]
    view = gesta("show", "--json", cwd=repository).json
    assert ("T-7", "failed", 2) == tuple(view["run"][k] for k in ("task", "status", "commands"))
    assert {"purpose": "test", "more": "1"} == view["run"]["labels"]
    assert ["shell", "argv"] == [command["form"] for command in view["commands"]]


def test_at_a_terminal_steps_and_the_end_are_shown(home: Path, repository: Path, tmp_path: Path):
    """Whoever watches sees which step is at work, its output, and what became of the run."""
    job = tmp_path / "job.yaml"
    steps = '[{name: "say [it]", shell: "echo said"}, {name: silent, run: ["true"]}]'
    job.write_text(f"task: T-8\nsteps: {steps}\n")
    seen = on_terminal("run", "--file", str(job), cwd=repository).decode()
    lines = [line.rpartition("\x1b[2K")[2] for line in seen.splitlines()]
    assert "said" in lines
    assert "[1/2] say [it]" in lines
    assert any(line.startswith("[2/2] silent: ok after ") for line in lines)
    assert lines[-1].startswith("gesta: T-8/R-")
    assert " succeeded, 2 commands, " in lines[-1]


def test_work_that_stays_behind_is_a_line_of_warning(home: Path, repository: Path):
    """What is named like a secret does not come along, and the run says so."""
    (repository / ".env").write_text("TOKEN=1\n")
    ended = gesta("run", "--", "ls", "-A", cwd=repository / "src")
    assert "gesta: 1 uncommitted file is not in this run" in ended.err.splitlines()
    assert b"program.py\n" == ended.out


def test_variables_are_passed_on_or_set_and_secrets_are_withheld(home: Path, repository: Path):
    """`--env NAME` passes the caller's value on, `NAME=V` sets one, and nothing else arrives."""
    script = 'echo "$ONE $TWO $API_KEY $THREE"'
    flags = ["--env", "ONE", "--env", "TWO=b", "--env", "API_KEY=hidden"]
    ended = gesta("run", *flags, "--", "sh", "-c", script, cwd=repository, ONE="a", THREE="c")
    assert b"a b hidden \n" == ended.out
    requested = next(x for x in recorded(home) if isinstance(x, e.CommandRequested))
    assert isinstance(requested.private, e.CommandText)
    env = requested.private.env
    assert ("a", "b", "[withheld]") == (env["ONE"], env["TWO"], env["API_KEY"])
