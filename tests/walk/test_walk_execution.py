"""Executing a command: permitted, its intent recorded, run, its outcome recorded."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from adapters.redaction import RuleRedactor
from ledger import events as e
from ledger.errors import CommandNotAllowed, MoveIllegal, StoreUnavailable
from ledger.events import BlobName
from ledger.outcomes import Executed, Outcome, TimedOut, Usage
from ledger.ports import Command
from ledger.rules import AllowedCommand
from tests.fakes.machine import LOCAL
from tests.fakes.world import HOME, World
from tests.ledger.samples import ASKED


def text_of(world: World, stream: str) -> e.CommandText:
    """Return the private part of the only request of a run."""
    text = world.only(stream, e.CommandRequested).private
    assert isinstance(text, e.CommandText)
    return text


def test_a_command_is_recorded_whole(world: World) -> None:
    """The request says form, place, limits and both isolations; the outcome what was seen."""
    with world.ledger.run() as run:
        run.execute(["echo", "a", "b"], step="greet", may_fail=True)
        request = world.only(run.stream, e.CommandRequested)
        expected = e.CommandRequested(
            command="c1",
            form="argv",
            sandbox=1,
            may_fail=True,
            uid=1000,
            stdin="none",
            time_limit=600,
            asked=ASKED,
            had=LOCAL,
        )
        assert expected == msgspec.structs.replace(request, private=expected.private)
        text = text_of(world, run.stream)
        assert ("echo", "a", "b") == text.argv
        assert ("/usr/bin/echo", "greet") == (text.executable, text.step)
        assert str(run.workspace / "src") == text.cwd
        executed = world.only(run.stream, e.CommandExecuted)
        assert (0, None, 5, 3, 100) == (
            executed.exit_code,
            executed.signal,
            executed.duration_us,
            executed.cpu_us,
            executed.peak_memory_kb,
        )
        assert e.StreamFacts(4, 4, False) == executed.stdout
        assert e.StreamFacts(0, 0, False) == executed.stderr


def test_output_is_seen_live_and_can_be_read_from_the_store(world: World) -> None:
    """The caller gets every byte as it comes; the blob is in the transaction of the outcome."""
    seen: list[bytes] = []
    errors: list[bytes] = []
    with world.ledger.run() as run:
        result = run.execute(["echo", "hi"], stdout=seen.append, stderr=errors.append)
        assert ([b"hi\n"], []) == (seen, errors)
        assert (b"hi\n", b"") == (result.stdout, result.stderr)
        text = world.only(run.stream, e.CommandExecuted).private
        assert isinstance(text, e.StreamsText)
        assert isinstance(text.stdout, BlobName)
        assert b"hi\n" == world.blobs.read(text.stdout.sha256)


def test_output_beyond_the_limit_is_counted_and_not_kept(
    world_with: Callable[..., World],
) -> None:
    """The policy's `output_mb` cuts off what is stored; the caller still sees it all."""
    world = world_with(limits=msgspec.structs.replace(LOCAL.limits, output_mb=1))
    size = (1 << 20) + 5

    def flood(command: Command) -> Outcome:
        command.stdout(b"x" * size)
        return Executed(exit_code=0, usage=Usage(duration_us=1))

    world.machine.programs["flood"] = flood
    seen: list[bytes] = []
    with world.ledger.run() as run:
        result = run.execute(["flood"], stdout=seen.append)
        executed = world.only(run.stream, e.CommandExecuted)
    assert e.StreamFacts(size, 1 << 20, True) == executed.stdout
    assert size == len(b"".join(seen))
    assert (1 << 20, True) == (len(result.stdout), result.truncated)


def test_commands_are_numbered_in_the_order_asked_for(world_with: Callable[..., World]) -> None:
    """c1, c2, c3: a denied command takes a number too."""
    world = world_with(allowlist=(AllowedCommand(command="echo"),))
    with world.ledger.run() as run:
        assert "c1" == run.execute(["echo"]).command
        with pytest.raises(CommandNotAllowed):
            run.execute(["false"])
        assert "c3" == run.execute(["echo"]).command


def test_a_denied_command_is_on_record_and_starts_nothing(
    world_with: Callable[..., World],
) -> None:
    """The denial names the rule, and the run has failed."""
    world = world_with(allowlist=(AllowedCommand(command="echo", denied=("-x",)),))
    with world.ledger.run(run="R-1") as run, pytest.raises(CommandNotAllowed) as caught:
        run.execute(["echo", "-x"], step="s")
    denied = world.only(run.stream, e.CommandDenied)
    rule = "exec.allowlist: echo: denied '-x'"
    assert f"cannot execute echo: {rule}; it is on record as c1" == str(caught.value)
    expected = e.CommandDenied(
        command="c1",
        form="argv",
        may_fail=False,
        reason="argument",
        private=e.CommandDeniedText(
            argv=("echo", "-x"),
            cwd=str(run.workspace / "src"),
            rule=rule,
            executable="/usr/bin/echo",
            step="s",
            rule_set=RuleRedactor().digest,
        ),
    )
    assert expected == denied
    assert [] == world.machine.executed
    assert "failed" == world.ledger.status("R-1")


def test_what_is_not_there_is_not_on_the_allowlist(world_with: Callable[..., World]) -> None:
    """A program that is not found cannot be shown to be an allowed one: it is denied."""
    world = world_with(allowlist=(AllowedCommand(command="nope"),))
    with world.ledger.run() as run, pytest.raises(CommandNotAllowed, match=r"exec\.allowlist"):
        run.execute(["nope"])
    assert "not_listed" == world.only(run.stream, e.CommandDenied).reason


def test_a_program_that_is_not_found_was_requested_and_not_started(world: World) -> None:
    """Without an allowlist it is an ending like others: no process came to be."""
    with world.ledger.run() as run:
        result = run.execute(["nope"])
        assert 127 == result.returncode
    expected = e.CommandNotStarted(
        command="c1",
        reason="not_found",
        private=e.MessageText(message="cannot execute nope: it is not found on the command's PATH"),
    )
    assert expected == world.only(run.stream, e.CommandNotStarted)
    assert [] == world.machine.executed


def test_without_its_rules_a_run_takes_no_command(world: World) -> None:
    """Where the private part of the opening is gone, only closing is left."""
    world.ledger.open(run="R-1")
    later = world.again()
    later.forget_private()
    with later.ledger.resume("R-1") as run:
        with pytest.raises(MoveIllegal) as caught:
            run.execute(["echo"])
        assert "cannot execute a command in run R-1: its rules were erased; close it" == str(
            caught.value
        )
        run.close()
    assert "succeeded" == later.ledger.status("R-1")


def test_a_closed_run_takes_no_command(world: World) -> None:
    """After the end a command is refused, and nothing is made for it."""
    with world.ledger.run(task="T-1", run="R-1") as run:
        run.close()
        passed = len(world.machine.fuse.passed)
        with pytest.raises(MoveIllegal) as caught:
            run.execute(["echo"])
        assert "cannot execute a command in run T-1/R-1: it has ended (succeeded)" == str(
            caught.value
        )
        assert passed == len(world.machine.fuse.passed)


def test_if_the_intent_cannot_be_recorded_nothing_runs(world: World) -> None:
    """The command does not run; the sandbox made for it serves nobody; the next try is whole."""
    with world.ledger.run() as run:
        world.machine.fuse.break_on("store.append", lambda: StoreUnavailable("cannot append"))
        with pytest.raises(StoreUnavailable):
            run.execute(["echo"])
        assert [] == world.machine.executed
        assert set() == world.machine.sandboxes
        result = run.execute(["echo", "again"])
        assert (b"again\n", "c1") == (result.stdout, result.command)
        kinds = ["FallbackTaken", "SandboxCreated", "CommandRequested", "CommandExecuted"]
        assert kinds == world.kinds(run.stream)[-4:]
    assert [f"gesta-{HOME}-{run.stream}-1"] == [
        event.id for event in world.events(run.stream) if isinstance(event, e.SandboxCreated)
    ]


def test_a_time_limit_is_an_ending_of_its_own(world: World) -> None:
    """What the adapter saw is what is recorded."""
    world.machine.programs["slow"] = lambda _: TimedOut(usage=Usage(duration_us=9))
    with world.ledger.run() as run:
        assert 124 == run.execute(["slow"]).returncode
    assert 9 == world.only(run.stream, e.CommandTimedOut).duration_us
