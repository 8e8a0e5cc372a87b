"""What a command is given: arguments, directory, environment, input; and what of it is recorded."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable

import msgspec
import pytest

from ledger import events as e
from ledger.commands import Execute
from ledger.errors import InputInvalid
from ledger.events import BlobName
from ledger.ostext import Bytes64
from ledger.outcomes import Executed, Outcome, Usage
from ledger.ports import Command
from tests.fakes.world import World
from tests.ledger.samples import ASKED


def text_of(world: World, stream: str) -> e.CommandText:
    """Return the private part of the only request of a run."""
    text = world.only(stream, e.CommandRequested).private
    assert isinstance(text, e.CommandText)
    return text


def test_the_environment_is_what_the_policy_names_and_what_a_command_is_told(
    world: World,
) -> None:
    """Nothing else of the caller's environment reaches a command."""
    with world.ledger.run() as run:
        run.execute(["echo"], env={"EXTRA": "1"})
        opened = world.records(run.stream)[0]
    assert {
        "PATH": "/usr/bin",
        "HOME": "/home/ann",
        "EXTRA": "1",
        "GESTA_RUN": run.stream,
        "TRACEPARENT": f"00-{opened.trace}-{opened.id[:16]}-01",
        "GIT_CEILING_DIRECTORIES": str(run.workspace.parent),
        "GESTA_HOME": str(world.directory),
    } == world.machine.executed[0].env


def test_a_command_out_of_reach_is_not_told_where_the_ledger_is(world: World) -> None:
    """Where the sandbox keeps the ledger out of reach, its home is not named."""
    world.machine.kinds["e2b"] = ASKED
    with world.ledger.run() as run:
        run.execute(["echo"])
    assert "GESTA_HOME" not in world.machine.executed[0].env
    assert run.stream == world.machine.executed[0].env["GESTA_RUN"]


def test_a_command_cannot_be_given_another_run(world: World) -> None:
    """What the ledger tells a command is told last: no variable of the caller's hides it."""
    with world.ledger.run() as run:
        run.execute(["echo"], env={"GESTA_RUN": "x", "TRACEPARENT": "y"})
    told = world.machine.executed[0].env
    assert run.stream == told["GESTA_RUN"]
    assert "y" != told["TRACEPARENT"]


def test_a_secret_reaches_the_command_and_not_the_record(world_with: Callable[..., World]) -> None:
    """A variable that looks like a secret is withheld from the record, its name is not."""
    world = world_with(env=("PATH", "API_TOKEN"))
    world.environment["API_TOKEN"] = "s3cret"
    with world.ledger.run() as run:
        run.execute(["echo"], env={"DB_PASSWORD": "hunter2"})
    told = world.machine.executed[0].env
    assert ("s3cret", "hunter2") == (told["API_TOKEN"], told["DB_PASSWORD"])
    recorded = text_of(world, run.stream).env
    assert "[withheld]" == recorded["API_TOKEN"] == recorded["DB_PASSWORD"]
    stored = b"".join(
        row.facts + (row.private.body if row.private else b"")
        for row in world.journal.store.page(limit=100)
    )
    assert b"s3cret" not in stored
    assert b"hunter2" not in stored


def test_bytes_that_are_not_utf8_arrive_as_they_were_given(world: World) -> None:
    """An argument of any bytes reaches the program, and comes back from the record."""
    argument = os.fsdecode(b"\xff\xfe")
    with world.ledger.run() as run:
        result = run.execute(["echo", argument])
    assert b"\xff\xfe\n" == result.stdout
    assert ("echo", Bytes64("//4=")) == text_of(world, run.stream).argv


@pytest.mark.parametrize(("length", "is_blob"), [(16 * 1024 - 20, False), (16 * 1024, True)])
def test_a_long_list_of_arguments_is_a_blob(world: World, length: int, is_blob: bool) -> None:
    """Beyond 16 KiB the event keeps the program's name, and the whole is a blob beside it."""
    with world.ledger.run() as run:
        run.execute(["echo", "x" * length])
    assert ["echo", "x" * length] == [*world.machine.executed[0].argv]
    text = text_of(world, run.stream)
    if not is_blob:
        assert (("echo", "x" * length), None) == (text.argv, text.argv_blob)
        return
    assert isinstance(text.argv_blob, BlobName)
    assert ("echo",) == text.argv
    assert ["echo", "x" * length] == msgspec.json.decode(world.blobs.read(text.argv_blob.sha256))


@pytest.mark.parametrize(
    ("asked", "limit"), [(None, 600), (2.5, 2.5), (0, None)], ids=["policy", "own", "none"]
)
def test_a_time_limit_of_its_own_takes_the_place_of_the_policys(
    world: World, asked: float | None, limit: float | None
) -> None:
    """0 is no limit at all; what holds is on record."""
    with world.ledger.run() as run:
        run.execute(["echo"], timeout=asked)
    assert limit == world.machine.executed[0].time_limit_s
    assert limit == world.only(run.stream, e.CommandRequested).time_limit


@pytest.mark.parametrize(
    ("cwd", "place"), [(None, "src"), (".", ""), ("docs/a", "docs/a"), ("/here", None)]
)
def test_a_command_runs_in_the_workspace(world: World, cwd: str | None, place: str | None) -> None:
    """By default in the caller's own subdirectory; a directory is relative to the workspace."""
    with world.ledger.run() as run:
        if place is None:
            with pytest.raises(InputInvalid, match="it is not in the run's workspace"):
                run.execute(["echo"], cwd=cwd)
            return
        run.execute(["echo"], cwd=cwd)
        assert run.workspace / place == world.machine.executed[0].cwd


@pytest.mark.parametrize("cwd", ["..", "a/../..", "/", "/etc", "/workspace/../.."])
def test_no_command_runs_outside_the_workspace(world: World, cwd: str) -> None:
    """A way out is refused before anything is on record or made."""
    with world.ledger.run() as run:
        with pytest.raises(InputInvalid) as caught:
            run.execute(["echo"], cwd=cwd)
        assert f"cannot execute in {cwd!r}: it is not in the run's workspace" == str(caught.value)
        assert "CommandRequested" not in world.kinds(run.stream)


@pytest.mark.parametrize("argv", ["echo hi", b"echo", [], [""], ["a\0b"], ["echo", 7]])
def test_what_is_no_list_of_words_is_no_command(world: World, argv: list[str]) -> None:
    """Nothing is recorded of it, and no sandbox is made for it."""
    with world.ledger.run() as run:
        with pytest.raises(InputInvalid):
            run.execute(argv)
        assert "CommandRequested" not in world.kinds(run.stream)
        assert "sandbox.create" not in world.machine.fuse.passed


def test_a_line_for_the_shell_is_recorded_as_such(world: World) -> None:
    """`sh -c` and the line, with the form that says who split it."""
    world.machine.programs["sh"] = world.machine.programs["echo"]
    with world.ledger.run() as run:
        run.execute_shell("echo hi | tee x")
    assert "shell" == world.only(run.stream, e.CommandRequested).form
    assert ["sh", "-c", "echo hi | tee x"] == [*world.machine.executed[0].argv]


def test_standard_input_is_handed_over_and_kept(world: World) -> None:
    """Data given to a command is a blob of its ending."""

    def cat(command: Command) -> Outcome:
        assert command.stdin is not None
        assert command.stdin.data is not None
        command.stdin.keep(command.stdin.data)
        command.stdout(command.stdin.data)
        return Executed(exit_code=0, usage=Usage(duration_us=1))

    world.machine.programs["cat"] = cat
    with world.ledger.run() as run:
        assert b"some data" == run.execute(["cat"], stdin=b"some data").stdout
    executed = world.only(run.stream, e.CommandExecuted)
    assert "kept" == world.only(run.stream, e.CommandRequested).stdin
    assert e.StreamFacts(9, 9, False) == executed.stdin


@pytest.mark.parametrize(("terminal", "kind"), [(True, "terminal"), (False, "kept")])
def test_a_descriptor_is_handed_over_as_it_is(world: World, terminal: bool, kind: str) -> None:
    """A terminal is said to be one; from anything else what is read is kept."""
    with world.ledger.run() as run:
        run.perform(Execute(argv=("echo",), stdin=7, terminal=terminal), None)
    given = world.machine.executed[0].stdin
    assert given is not None
    assert (7, terminal, None) == (given.fd, given.terminal, given.data)
    assert kind == world.only(run.stream, e.CommandRequested).stdin


def test_no_secret_that_a_command_is_given_reaches_the_record(world: World) -> None:
    """Neither in the arguments, nor printed, nor in a message or the patch; all is counted."""
    secret = "correct horse"
    with world.ledger.run(labels={"note": "plain"}) as run:
        run.execute(["echo", "--password", "hunter2hunter2", secret], env={"DB_PASSWORD": secret})
        run.write_file("made.txt", f"it is {secret}\n".encode())
        run.close("failed", message=f"because of {secret}")
    request = world.only(run.stream, e.CommandRequested)
    text = text_of(world, run.stream)
    executed = world.only(run.stream, e.CommandExecuted)
    patch = world.only(run.stream, e.PatchCaptured)
    ended = world.only(run.stream, e.RunCompleted).private
    assert secret not in " ".join(str(word) for word in text.argv)
    assert "hunter2hunter2" not in text.argv
    assert {"flag": 1, "known-value": 1} == request.redactions
    assert executed.stdout is not None
    assert 2 <= sum(executed.stdout.redactions.values())
    assert 1 == sum(patch.redactions.values())
    assert isinstance(ended, e.ReasonText)
    assert secret not in ended.message
    stored = b"".join(world.machine.files.values())
    rows = sqlite3.connect(world.directory / "ledger.db")
    stored += b"".join(body for (body,) in rows.execute("SELECT body FROM blobs"))
    stored += b"".join(body for (body,) in rows.execute("SELECT body FROM private"))
    rows.close()
    assert secret.encode() not in stored
    assert b"hunter2hunter2" not in stored


def test_a_secret_too_short_to_look_for_is_named(world: World) -> None:
    """Its variable is on record as left alone; its value is withheld all the same."""
    with world.ledger.run() as run:
        run.execute(["echo", "x"], env={"API_KEY": "abc"})
    text = text_of(world, run.stream)
    assert ("API_KEY",) == text.left_alone
    assert "[withheld]" == text.env["API_KEY"]
