"""Runs whose process died are found and brought to their end, once, and nobody else's are."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ledger import events as e
from ledger.recovery import Recovery, find_unfinished, recover
from tests.fakes.fuse import Crash
from tests.fakes.world import World, rules

ENDING = ["PatchCaptured", "CleanedUp", "CleanedUp", "RunAbandoned", "RunSealed"]
DAY_US = 86_400 * 1_000_000


def die(world: World, place: str, *, run: str = "R-1") -> None:
    """Let a process that holds a run die at *place*."""
    world.machine.fuse.break_on(place)

    def work() -> None:
        with world.ledger.run(task="T-1", run=run) as active:
            active.write_file("made.txt", b"made\n")
            active.execute(["echo"])

    with pytest.raises(Crash):
        work()


def recovered(world: World, *, thorough: bool = False) -> list[Recovery]:
    """Return what recovering in this process came to."""
    return list(recover(world.ledger.hands, world.provenance(None), thorough=thorough))


def test_a_dead_run_is_ended_in_the_order_there_is(world: World) -> None:
    """Lost, captured, cleaned up, abandoned, sealed; what the run had made is its patch."""
    die(world, "sandbox.executed")
    later = world.again()
    (one,) = recovered(later)
    assert ("dead", "abandoned", "clean", ("c1",), None) == (
        one.need,
        one.status,
        one.cleanliness,
        one.lost,
        one.trouble,
    )
    assert ["CommandLost", *ENDING] == later.kinds(one.stream)[-6:]
    assert e.RunAbandoned(lost=("c1",)) == later.only(one.stream, e.RunAbandoned)
    patch = later.only(one.stream, e.PatchCaptured).private
    assert isinstance(patch, e.PatchText)
    assert b"+made.txt\nmade\n" == later.blobs.read(patch.patch.sha256)
    assert ({}, set(), set()) == (
        later.machine.trees,
        later.machine.sandboxes,
        later.machine.running,
    )


def test_recovering_again_finds_nothing(world: World) -> None:
    """Neither a glance nor a thorough look finds a run that was recovered."""
    die(world, "sandbox.executed")
    later = world.again()
    (one,) = recovered(later)
    count = len(later.records(one.stream))
    assert [] == recovered(later) == recovered(later, thorough=True)
    assert count == len(later.records(one.stream))


def test_a_dry_run_names_it_and_changes_nothing(world: World) -> None:
    """What would be recovered is told, and is as it was."""
    die(world, "sandbox.executed")
    later = world.again()
    (found,) = find_unfinished(later.ledger.hands, thorough=False)
    assert ("T-1", "R-1", "dead", "running") == (found.task, found.run, found.need, found.status)
    assert "CommandRequested" == later.kinds(found.stream)[-1]


def test_a_live_run_is_never_touched(world: World) -> None:
    """While its lock is held nothing is found, whatever state it is in."""
    with world.ledger.run() as run:
        run.execute(["echo"])
        assert [] == recovered(world, thorough=True)
    assert "succeeded" == run.state.status


def test_of_two_recoveries_at_once_the_one_with_the_lock_acts(world: World) -> None:
    """Who comes while another has the lock does nothing and reports nothing."""
    die(world, "sandbox.executed")
    later = world.again()
    hands = later.ledger.hands
    found = recover(hands, later.provenance(None), thorough=False)
    second: list[Recovery] = []
    original = hands.survivors.end

    def meanwhile(*args: object) -> int:
        second.extend(recovered(later, thorough=True))
        return original(*args)  # type: ignore[arg-type]

    hands.survivors.end = meanwhile  # type: ignore[method-assign, assignment]
    assert ["R-1"] == [one.run for one in found]
    assert [] == second
    assert 1 == later.kinds(later.ledger.find("R-1")).count("RunAbandoned")


def test_another_home_s_run_is_not_ours_to_end(world: World) -> None:
    """A run of the same ledger that another home opened is left alone."""
    die(world, "sandbox.executed")
    later = world.again()
    hands = msgspec.structs.replace(later.ledger.hands, home_id="home-2")
    assert [] == list(recover(hands, later.provenance(None), thorough=True))
    assert 1 == len(later.machine.trees)


def test_a_detached_run_is_left_until_it_is_idle_for_too_long(world: World) -> None:
    """Between two commands nobody holds its lock, and it is not dead."""
    run = world.ledger.open(run="R-1")
    later = world.again()
    assert [] == recovered(later, thorough=True)
    later.clock.advance(rules().facts.idle_limit * 1_000_000 + DAY_US)
    (one,) = recovered(later, thorough=True)
    assert ("idle", "abandoned", "clean") == (one.need, one.status, one.cleanliness)
    assert ["CleanedUp", "RunAbandoned", "RunSealed"] == later.kinds(run.stream)[-3:]


@pytest.mark.parametrize(
    "place", ["workspace.create", "workspace.created", "sandbox.create", "sandbox.created"]
)
def test_what_was_made_and_not_recorded_goes_as_well(world: World, place: str) -> None:
    """A crash between making and recording leaves nothing once the run is recovered."""
    die(world, place)
    later = world.again()
    (one,) = recovered(later)
    assert ("abandoned", None) == (one.status, one.trouble)
    assert ({}, set()) == (later.machine.trees, later.machine.sandboxes)


def test_a_worktree_that_cannot_be_captured_is_kept_and_tried_again(world: World) -> None:
    """Nothing of value is thrown away; the next recovery gets it, and then it goes."""
    die(world, "sandbox.executed")
    later = world.again()
    later.git.capture_fails = "cannot capture: git said no"
    (one,) = recovered(later)
    assert ("abandoned", "leaked") == (one.status, one.cleanliness)
    assert "not_captured" == later.only(one.stream, e.CleanupFailed).reason
    (again,) = recovered(later, thorough=True)
    assert ("leaked", "leaked") == (again.need, again.cleanliness)
    assert 1 == len(later.machine.trees)
    later.git.capture_fails = None
    (last,) = recovered(later, thorough=True)
    assert ("leaked", "clean") == (last.need, last.cleanliness)
    assert ["PatchCaptured", "CleanedUp", "RunSealed"] == later.kinds(one.stream)[-3:]
    assert {} == later.machine.trees


def test_a_leak_whose_worktree_somebody_removed_is_clean(world: World) -> None:
    """What is not there any more holds no work; that it is gone is on record."""
    die(world, "sandbox.executed")
    later = world.again()
    later.git.capture_fails = "cannot capture: git said no"
    recovered(later)
    later.machine.trees.clear()
    (one,) = recovered(later, thorough=True)
    assert "clean" == one.cleanliness
    assert ["CleanedUp", "RunSealed"] == later.kinds(one.stream)[-2:]


def test_a_run_that_ended_unsealed_is_sealed(world: World) -> None:
    """A crash between the end and the seal is found, and only the seal is added."""
    # Opened, worktree, sandbox and request, outcome, patch, end: the seal is the seventh.
    world.machine.fuse.break_on("store.append", after=6)
    with pytest.raises(Crash), world.ledger.run(run="R-1") as run:
        run.execute(["echo"])
    later = world.again()
    before = later.kinds(run.stream)
    (one,) = recovered(later)
    assert ("unsealed", "succeeded", "clean") == (one.need, one.status, one.cleanliness)
    assert [*before, "RunSealed"] == later.kinds(run.stream)


def test_processes_that_cannot_be_ended_keep_the_run_as_it_is(world: World) -> None:
    """While something of it still runs its worktree is not captured, and the trouble is told."""
    die(world, "sandbox.executed")
    later = world.again()
    later.machine.stubborn.add(1)
    later.machine.running.add(1)
    (one,) = recovered(later)
    assert one.trouble is not None
    assert "1 of its processes cannot be ended" in one.trouble
    assert "CommandRequested" == later.kinds(one.stream)[-1]
    later.machine.stubborn.clear()
    (again,) = recovered(later, thorough=True)
    assert ("abandoned", None) == (again.status, again.trouble)


def test_a_lock_of_nothing_is_removed(world: World) -> None:
    """A process that died before its run was on record leaves a lock file, and no more."""
    world.machine.fuse.break_on("store.append")
    with pytest.raises(Crash), world.ledger.run(run="R-1"):
        pass
    later = world.again()
    assert 1 == len(later.locks.known())
    assert [] == recovered(later)
    assert [] == later.locks.known()


def test_a_recovery_that_dies_is_gone_on_with(tmp_path: Path) -> None:
    """Recovering may itself be killed at any call; the next one ends the run."""
    calls = 0
    at = -1
    while at < calls:
        at += 1
        directory = tmp_path / f"crash-{at}"
        directory.mkdir()
        world = World(directory, profile=rules(artifacts=("*.txt",)))
        die(world, "sandbox.executed")
        second = world.again()
        before = len(second.machine.fuse.passed)
        second.machine.fuse.break_at(at)
        try:
            recovered(second)
            calls = len(second.machine.fuse.passed) - before
        except Crash:
            calls = at + 1
        third = second.again()
        recovered(third, thorough=True)
        stream = third.ledger.find("R-1")
        state = third.ledger.state(stream)
        assert ("abandoned", "clean") == (state.status, state.cleanliness)
        kinds = third.kinds(stream)
        assert 1 == kinds.count("RunAbandoned") == kinds.count("CommandLost")
        assert "RunSealed" == kinds[-1]
        assert {} == third.machine.trees
        world.end()
    assert at > len(["captured", "removed", "appended"])
