"""The process dies at every call that it makes: what is on record leads to a proper end each time.

One story is told once whole, to count its calls; then once for each call, which is its last.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from ledger import events as e
from ledger.closing import seal_run
from ledger.decide import record_outcome
from ledger.errors import RunNotFound
from ledger.outcomes import Executed, Usage
from ledger.run import Phase
from ledger.session import Session
from tests.fakes.fuse import Crash
from tests.fakes.world import World, rules

ENDINGS = ("CommandExecuted", "CommandLost")


def tell(world: World) -> None:
    """Open a run, execute two commands, write and read a file, close it."""
    run = world.ledger.open(task="T-1", run="R-1")
    run.execute(["echo", "one"])
    run.write_file("a.log", b"a")
    run.read_file("a.log")
    run.execute(["false"], may_fail=True)
    run.close()


def first_world(directory: Path) -> World:
    """Return the process that tells the story."""
    directory.mkdir()
    return World(directory, profile=rules(artifacts=("*.log",)))


def calls_of_the_story(directory: Path) -> list[str]:
    """Return every call of the whole story, in order."""
    world = first_world(directory)
    tell(world)
    world.end()
    return list(world.machine.fuse.passed)


def check_intents(world: World, stream: str) -> None:
    """Assert that each command has one ending, and that nothing was done without a request."""
    kinds = world.kinds(stream)
    requested = kinds.count("CommandRequested")
    assert requested == sum(kinds.count(ending) for ending in ENDINGS)
    assert len(world.machine.executed) <= requested
    assert kinds.count("FileWritten") <= kinds.count("FileWriteRequested")


def check_end(world: World, stream: str) -> None:
    """Assert that the run has ended in order, and is sealed."""
    state = world.ledger.state(stream)
    assert Phase.ENDED is state.phase
    assert state.status in {"succeeded", "failed"}
    kinds = world.kinds(stream)
    assert 1 == kinds.count("RunCompleted")
    assert kinds.count("PatchCaptured") <= 1
    assert "clean" == state.cleanliness
    # One that was made and is not on record lay where the first event says it would.
    assert {} == world.machine.trees
    assert set() == world.machine.sandboxes


def finish(world: World) -> str | None:
    """Do what the next process does: settle the run, close it, seal it; return its stream."""
    try:
        stream = world.ledger.find("R-1")
    except RunNotFound:
        return None
    with world.ledger.resume("R-1") as run:
        if run.state.phase is not Phase.ENDED:
            run.close()
    session = Session(world.ledger.hands, stream, world.records(stream), world.provenance(None))
    seal_run(session)
    return stream


def test_a_crash_at_any_call_leads_to_a_proper_end(tmp_path: Path) -> None:
    """Before and after every append, every sandbox, workspace and file call, one crash each."""
    calls = calls_of_the_story(tmp_path / "whole")
    assert {"store.append", "store.appended", "workspace.create", "workspace.remove"} <= set(calls)
    assert {"sandbox.create", "sandbox.execute", "sandbox.close", "files.write"} <= set(calls)
    for at in range(len(calls)):
        world = first_world(tmp_path / f"crash-{at}")
        world.machine.fuse.break_at(at)
        with pytest.raises(Crash):
            tell(world)
        assert calls[: at + 1] == world.machine.fuse.passed
        later = world.again()
        stream = finish(later)
        if stream is None:
            assert "store.appended" not in calls[: at + 1]
            assert ({}, set()) == (later.machine.trees, later.machine.sandboxes)
        else:
            check_intents(later, stream)
            check_end(later, stream)
            assert "RunSealed" == later.kinds(stream)[-1]
        world.end()


def test_a_second_crash_while_closing_is_no_worse_than_the_first(tmp_path: Path) -> None:
    """Closing what a dead process left may die at any call too; the third process ends the run."""
    for at in itertools.count():
        world = first_world(tmp_path / f"crash-{at}")
        world.machine.fuse.break_on("sandbox.executed")
        with pytest.raises(Crash):
            tell(world)
        second = world.again()
        second.machine.fuse.break_at(at)
        try:
            finish(second)
        except Crash:
            third = second.again()
            stream = finish(third)
            assert stream is not None
            check_intents(third, stream)
            check_end(third, stream)
            world.end()
        else:
            world.end()
            break
    assert at > len(["capture", "remove", "close", "append"])


def test_a_late_outcome_is_recorded_after_the_end_and_sealed_again(tmp_path: Path) -> None:
    """What comes to light of a command called lost follows the seal, and a later seal covers it."""
    world = first_world(tmp_path / "ledger")
    world.machine.fuse.break_on("sandbox.executed")
    with pytest.raises(Crash):
        tell(world)
    later = world.again()
    stream = finish(later)
    assert stream is not None
    history = later.records(stream)
    session = Session(later.ledger.hands, stream, history, later.provenance(None))
    outcome = Executed(exit_code=0, usage=Usage(duration_us=1))
    session.record(lambda run: record_outcome(run, "c1", outcome, None))
    seal_run(session)
    seal_run(session)
    assert ["RunSealed", "CommandOutcomeFound", "RunSealed"] == later.kinds(stream)[-3:]
    seal = later.events(stream)[-1]
    assert isinstance(seal, e.RunSealed)
    assert len(history) + 1 == seal.count
    assert frozenset() == later.ledger.state("R-1").lost_commands
    world.end()
