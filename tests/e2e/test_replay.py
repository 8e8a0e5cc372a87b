"""`gesta replay`: runs are folded again, and executed again, with real git and processes."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from adapters import open_ledger
from ledger import events as e
from tests.cli.gesta import LOCAL, gesta, profile


@pytest.fixture
def here(home: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a checkout whose runs are in the local sandbox."""
    profile(home, "here", LOCAL)
    monkeypatch.setenv("GESTA_PROFILE", "here")
    return repository


def replayed(*flags: str, cwd: Path) -> tuple[int, dict[str, Any]]:
    """Execute the newest run again; return the exit code and what was found."""
    done = gesta("replay", "--execute", "--json", *flags, cwd=cwd)
    assert done.out, done.err
    return done.code, done.json


def refused(*words: str, cwd: Path) -> str:
    """Try to execute a run again, which is refused in one line; return that."""
    done = gesta("replay", "--execute", *words, cwd=cwd)
    assert (1, b"") == (done.code, done.out)
    assert 1 == done.err.count("\n")
    return done.err


def test_a_deterministic_run_is_found_identical(here: Path):
    """Uncommitted work, deletions, standard input, variables and a failure come out the same."""
    (here / "src" / "program.py").write_text("import sys; print(sys.stdin.read()[::-1])\n")
    (here / "new file.bin").write_bytes(bytes(range(256)))
    (here / "README.md").unlink()
    first = gesta(
        "run", "--task", "T-1", "--run", "R-1", "--env", "NUMBER=7", "--",
        "sh", "-c", "ls; cat 'new file.bin'; python3 src/program.py; echo $NUMBER >made; exit 3",
        cwd=here, stdin=b"abc\n" * 50_000,
    )  # fmt: skip
    assert 3 == first.code
    # What the checkout holds by now is of no account.
    (here / "src" / "program.py").write_text("raise SystemExit('other')\n")
    (here / "another.txt").touch()
    code, found = replayed("T-1/R-1", cwd=here)
    assert (0, "identical", "same") == (code, found["verdict"], found["changes"])
    (command,) = found["commands"]
    assert ("exit 3", "exit 3", "same", "same") == (
        command["before"],
        command["after"],
        command["stdout"]["likeness"],
        command["stderr"]["likeness"],
    )


def test_the_new_run_names_the_old_one_and_leaves_nothing(here: Path):
    """It is a run of its own: same task, rules and base commit, another id, nothing left over."""
    gesta("run", "--task", "T-1", "--label", "a=b", "--", "true", cwd=here)
    _, found = replayed(cwd=here)
    with open_ledger() as ledger:
        before, after = (ledger.events(str(found[key])) for key in ("stream", "again"))
        old, new = before[0].event, after[0].event
        assert isinstance(old, e.RunOpened)
        assert isinstance(new, e.RunOpened)
        assert (before[0].stream, "T-1", old.asked) == (new.replay_of, new.task, new.asked)
        assert old.run != new.run
        assert isinstance(new.private, e.RunOpenedText)
        assert isinstance(old.private, e.RunOpenedText)
        assert {"a": "b"} == new.private.labels
        assert old.private.rules.digest == new.private.rules.digest
        assert "clean" == ledger.state(str(found["again"])).cleanliness
    worktrees = subprocess.run(
        ["git", "-C", str(here), "worktree", "list"], check=True, capture_output=True, text=True
    )
    assert 1 == len(worktrees.stdout.splitlines())


def test_a_command_that_prints_the_time_is_named_with_what_differs(here: Path):
    """Of two commands one is the same; the other's text is shown as a diff. The code is 1."""
    job = here.parent / "job.yaml"
    job.write_text(
        "task: T-1\nsteps:\n  - {name: one, run: [echo, constant]}\n"
        "  - {name: two, shell: 'echo before; date +%s%N; echo after'}\n"
    )
    assert 0 == gesta("run", "--file", str(job), cwd=here).code
    code, found = replayed(cwd=here)
    assert (1, "different", "same") == (code, found["verdict"], found["changes"])
    one, two = found["commands"]
    assert ("same", "different") == (one["stdout"]["likeness"], two["stdout"]["likeness"])
    assert two["same_ending"]
    lines = two["stdout"]["diff"].splitlines()
    assert [" before", " after"] == [line for line in lines if line[:1] == " " and line != " "]
    assert 1 == sum(line.startswith("-1") for line in lines)
    assert 1 == sum(line.startswith("+1") for line in lines)
    told = gesta("replay", "--execute", "T-1/" + _run_of(str(found["stream"])), cwd=here)
    assert 1 == told.code
    assert "different (1 of 2 commands)" in told.out.decode()


def _run_of(stream: str) -> str:
    with open_ledger() as ledger:
        return ledger.state(stream).run


def test_output_that_names_only_its_own_run_is_the_same_but_for_names(here: Path):
    """The worktree's path, the run's stream and its trace are a run's own."""
    gesta("run", "--", "sh", "-c", "pwd; env | sort", cwd=here)
    code, found = replayed(cwd=here)
    assert (0, "identical") == (code, found["verdict"])
    assert "same_but_for_names" == found["commands"][0]["stdout"]["likeness"]


def test_another_exit_code_and_another_change_are_differences(here: Path, tmp_path: Path):
    """What a command leaves in the worktree counts, and so does how it ends."""
    counter = tmp_path / "counter"
    line = f"echo x >>{counter}; wc -l <{counter} >made; exit $(wc -l <{counter})"
    gesta("run", "--", "sh", "-c", line, cwd=here)
    code, found = replayed(cwd=here)
    assert (1, "different", "different") == (code, found["verdict"], found["changes"])
    command = found["commands"][0]
    assert ("exit 1", "exit 2", False) == (
        command["before"],
        command["after"],
        command["same_ending"],
    )


def test_output_that_was_cut_off_is_not_comparable(here: Path, home: Path):
    """What is not stored whole is not called the same."""
    (home / "profiles" / "here.yaml").write_text(
        LOCAL.replace("type: local", "type: local, limits: {output_mb: 1}")
    )
    gesta("run", "--", "head", "-c", "2000000", "/dev/zero", cwd=here)
    code, found = replayed(cwd=here)
    assert (1, "not_comparable") == (code, found["verdict"])


def test_a_plain_directory_is_replayed_as_long_as_it_is_as_it_was(here: Path, tmp_path: Path):
    """Its content is not stored: a changed one is refused, and nothing is executed in it."""
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "data").write_text("one\n")
    text = LOCAL + "worktree: {fallback: true}\n"
    (tmp_path / "home" / "profiles" / "here.yaml").write_text(text)
    assert 0 == gesta("run", "--", "cat", "data", cwd=plain).code
    code, found = replayed(cwd=plain)
    assert (0, "identical") == (code, found["verdict"])
    (plain / "data").write_text("two\n")
    assert "is not as it was then" in refused(str(found["stream"]), cwd=plain)


def test_a_cell_is_executed_again(here: Path):
    """The source is the stored one."""
    with open_ledger() as ledger, ledger.run(task="T-1", directory=here) as run:
        run.execute_code("print(6 * 7)")
    code, found = replayed(cwd=here)
    assert (0, "identical") == (code, found["verdict"])


def test_a_run_whose_base_commit_is_gone_is_refused(here: Path):
    """The reason names the commit; no run is opened."""
    (here / "x").touch()
    git = ["git", "-C", str(here)]
    subprocess.run([*git, "add", "x"], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    gesta("run", "--", "true", cwd=here)
    subprocess.run([*git, "reset", "-q", "--hard", "HEAD^"], check=True)
    subprocess.run([*git, "reflog", "expire", "--expire=now", "--all"], check=True)
    subprocess.run([*git, "gc", "-q", "--prune=now"], check=True)
    assert "cannot find the commit" in refused(cwd=here)
    assert 1 == len(gesta("runs", "--json", cwd=here).json)


def test_a_run_whose_repository_is_gone_is_refused(here: Path, tmp_path: Path):
    """Nothing else that lies in its place is taken for it."""
    gesta("run", "--", "true", cwd=here)
    shutil.rmtree(here)
    assert "cannot replay run adhoc/R-" in refused(cwd=tmp_path)


@pytest.mark.parametrize("where", ["words", "variable", "input", "work"])
def test_a_run_that_a_secret_was_taken_out_of_is_refused(here: Path, where: str):
    """What was redacted cannot be given to a command again."""
    token = "ghp_" + hashlib.sha256(b"x").hexdigest()[:36]
    arguments, stdin = ["true"], None
    match where:
        case "words":
            arguments = ["echo", token]
        case "variable":
            arguments = ["true"]
        case "input":
            arguments, stdin = ["cat"], token.encode() + b"\n"
        case _:
            (here / "notes").write_text(f"{token}\n")
    flags = ["--env", "API_TOKEN=hunter2hunter2"] if where == "variable" else []
    assert 0 == gesta("run", *flags, "--", *arguments, cwd=here, stdin=stdin).code
    said = refused(cwd=here)
    assert "a secret was taken out" in said or "what it read is not stored whole" in said


def test_a_run_whose_private_part_is_gone_is_refused(here: Path, home: Path):
    """An erased command cannot be executed; the reason says so."""
    gesta("run", "--", "true", cwd=here)
    with closing(sqlite3.connect(home / "ledger.db")) as connection:
        query = "SELECT position FROM stored_events WHERE topic LIKE 'command.requested%'"
        connection.execute(f"DELETE FROM private WHERE position = ({query})")
        connection.commit()
    assert "c1: its command line is gone from the record" in refused(cwd=here)


def test_a_run_with_a_blob_that_is_gone_is_refused(here: Path, home: Path):
    """Without its uncommitted work a run would begin with something else."""
    (here / "new").write_text("x\n")
    gesta("run", "--", "true", cwd=here)
    with closing(sqlite3.connect(home / "ledger.db")) as connection:
        connection.execute("DELETE FROM blobs")
        connection.commit()
    assert "it is not in the store" in refused(cwd=here)


def test_runs_that_ended_otherwise_are_refused(here: Path, home: Path):
    """An open run, one without a command, a denied command and files that were written."""
    gesta("open", cwd=here)
    assert "it has not ended" in refused(cwd=here)
    with open_ledger() as ledger:
        with ledger.run(directory=here):
            pass
        assert "it has no command" in refused(cwd=here)
        with ledger.run(directory=here) as run:
            run.write_file("a", b"a")
            run.execute(["true"])
        assert "their content is not kept" in refused(cwd=here)
    (home / "profiles" / "here.yaml").write_text(
        LOCAL + "exec: {allowlist: ['true'], env: [PATH]}\n"
    )
    gesta("run", "--", "false", cwd=here)
    assert "c1 was denied" in refused(cwd=here)


def test_a_kind_of_sandbox_that_is_not_to_be_had_is_a_refusal(here: Path, home: Path):
    """No other kind stands in, whatever the policy would permit."""
    gesta("run", "--", "true", cwd=here)
    with closing(sqlite3.connect(home / "ledger.db")) as connection:
        # As if it had been recorded on a machine with another sandbox.
        connection.execute(
            'UPDATE stored_events SET state = replace(state, \'"kind":"local"\', \'"kind":"gone"\')'
            " WHERE topic LIKE 'sandbox.created%'"
        )
        connection.execute("UPDATE stored_events SET state = CAST(state AS BLOB)")
        connection.commit()
    assert "no adapter for it is installed" in refused(cwd=here)


def test_without_execute_the_history_is_folded_again(here: Path):
    """Nothing is executed; what views have of the run is what its events amount to."""
    gesta("run", "--task", "T-1", "--run", "R-1", "--", "true", cwd=here)
    done = gesta("replay", "--json", cwd=here)
    assert (0, {True}) == (done.code, {one["agrees"] for one in done.json})
    assert {"run_status", "audit_trail", "commands"} <= {one["table"] for one in done.json}
    assert 1 == len(gesta("runs", "--json", cwd=here).json)
