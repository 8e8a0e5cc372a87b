"""A store that fails after a command ran: its outcome is kept, and recorded when it can be."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ledger import events as e
from ledger.errors import StoreUnavailable
from ledger.opening import LEAST_ROOM
from ledger.recovery import recover
from tests.fakes.fuse import Crash
from tests.fakes.world import World


def unavailable() -> StoreUnavailable:
    """Return what an append says when the disk is full."""
    return StoreUnavailable("cannot append to the ledger: disk full")


def break_outcome(world: World) -> None:
    """Let the store fail from the first outcome on. Opened, worktree, requested come before."""
    world.machine.fuse.break_on("store.append", unavailable, after=3, times=99)


def test_an_outcome_that_the_store_refuses_is_kept_and_recorded_by_recovery(world: World) -> None:
    """Exit code, output and time are those of when it happened; the run ends abandoned."""
    break_outcome(world)
    with pytest.raises(StoreUnavailable) as caught, world.ledger.run(run="R-1") as run:
        run.execute(["echo", "hello"])
    assert "disk full; how c1 ended is kept in" in str(caught.value)
    assert "`gesta recover` records it" in str(caught.value)
    seen = world.clock.now()
    later = world.again()
    list(recover(later.ledger.hands, later.provenance(None), thorough=False))
    kinds = later.kinds(run.stream)
    assert ["CommandExecuted", "PatchCaptured"] == kinds[3:5] or "CommandExecuted" in kinds
    assert "CommandLost" not in kinds
    record = next(r for r in later.records(run.stream) if isinstance(r.event, e.CommandExecuted))
    assert record.occurred < seen < record.recorded
    assert "host-" in str(record.host)
    executed = record.event
    assert isinstance(executed, e.CommandExecuted)
    assert isinstance(executed.private, e.StreamsText)
    assert executed.private.stdout is not None
    assert b"hello\n" == later.blobs.read(executed.private.stdout.sha256)
    assert e.RunAbandoned(lost=()) == later.only(run.stream, e.RunAbandoned)
    assert ({}, {}) == (later.machine.spooled, later.machine.trees)


def test_a_command_called_lost_meanwhile_gets_its_outcome(world: World) -> None:
    """An outcome that comes to light after the end follows it, and a later seal covers it."""
    break_outcome(world)
    with pytest.raises(StoreUnavailable), world.ledger.run(run="R-1") as run:
        run.execute(["echo"])
    hidden = dict(world.machine.spooled)
    world.machine.spooled.clear()
    later = world.again()
    list(recover(later.ledger.hands, later.provenance(None), thorough=False))
    assert "CommandLost" in later.kinds(run.stream)
    later.machine.spooled.update(hidden)
    (one,) = recover(later.ledger.hands, later.provenance(None), thorough=False)
    assert ("unrecorded", "abandoned", "clean") == (one.need, one.status, one.cleanliness)
    assert ["RunSealed", "CommandOutcomeFound", "RunSealed"] == later.kinds(run.stream)[-3:]
    assert frozenset() == later.ledger.state("R-1").lost_commands


def test_who_resumes_a_run_records_it_first(world: World) -> None:
    """The next lock-taker drains the spool before anything else: the command is not lost."""
    run = world.ledger.open(run="R-1")
    with world.ledger.resume("R-1") as active:
        world.machine.fuse.break_on("store.append", unavailable, after=1, times=99)
        with pytest.raises(StoreUnavailable, match="how c1 ended is kept"):
            active.execute(["echo"])
    world.machine.fuse.mend()
    later = world.again()
    with later.ledger.resume("R-1") as active:
        assert "CommandExecuted" == later.kinds(run.stream)[-1]
        assert 0 == active.execute(["echo"]).exit_code
    assert {} == later.machine.spooled


def test_a_store_that_recovers_at_once_has_it_before_the_end(world: World) -> None:
    """One refusal in passing: the outcome is drained while the run is ended in order."""
    world.machine.fuse.break_on("store.append", unavailable, after=3, times=1)
    with pytest.raises(StoreUnavailable), world.ledger.run(run="R-1") as run:
        run.execute(["echo"])
    kinds = world.kinds(run.stream)
    assert 1 == kinds.count("CommandExecuted")
    assert "CommandLost" not in kinds
    assert ("failed", "clean") == (run.state.status, run.state.cleanliness)
    assert {} == world.machine.spooled


def test_an_outcome_that_was_kept_by_the_store_after_all_is_recorded_once(world: World) -> None:
    """Failed, but persisted: what the spool has too is not recorded again."""
    world.machine.fuse.break_on("store.appended", unavailable, after=3, times=99)
    with pytest.raises(StoreUnavailable), world.ledger.run(run="R-1") as run:
        run.execute(["echo"])
    # Asked again, the store had it: that its answer was lost is all that went wrong.
    later = world.again()
    list(recover(later.ledger.hands, later.provenance(None), thorough=False))
    kinds = later.kinds(run.stream)
    assert (1, 0, 0) == tuple(
        kinds.count(kind) for kind in ("CommandExecuted", "CommandLost", "CommandOutcomeFound")
    )
    assert {} == later.machine.spooled


@pytest.mark.parametrize("place", ["store.appended", "spool.remove"])
def test_draining_that_dies_is_gone_on_with(world: World, place: str) -> None:
    """A crash between recording and forgetting records nothing twice."""
    break_outcome(world)
    with pytest.raises(StoreUnavailable), world.ledger.run(run="R-1") as run:
        run.execute(["echo"])
    later = world.again()
    later.machine.fuse.break_on(place)
    with pytest.raises(Crash):
        list(recover(later.ledger.hands, later.provenance(None), thorough=False))
    third = later.again()
    list(recover(third.ledger.hands, third.provenance(None), thorough=True))
    assert 1 == third.kinds(run.stream).count("CommandExecuted")
    assert {} == third.machine.spooled


def test_no_command_begins_whose_end_could_not_be_kept(world: World) -> None:
    """Where no room can be set aside nothing is requested and nothing runs."""
    world.spool.full = True
    with pytest.raises(StoreUnavailable, match="no room"), world.ledger.run() as run:
        run.execute(["echo"])
    assert [] == world.machine.executed
    assert "CommandRequested" not in world.kinds(run.stream)
    assert ("failed", "clean") == (run.state.status, run.state.cleanliness)


def test_no_command_begins_whose_intent_is_not_on_record(world: World) -> None:
    """A store that refuses the request: nothing ran, and the sandbox is gone."""
    world.machine.fuse.break_on("store.append", unavailable, after=2, times=99)
    with pytest.raises(StoreUnavailable), world.ledger.run(run="R-1") as run:
        run.execute(["echo"])
    assert ([], set(), {}) == (
        world.machine.executed,
        world.machine.sandboxes,
        world.machine.spooled,
    )
    later = world.again()
    list(recover(later.ledger.hands, later.provenance(None), thorough=False))
    assert "abandoned" == later.ledger.status(run.stream)
    assert {} == later.machine.trees


def test_without_room_no_run_is_opened(world: World) -> None:
    """One clear line says how much is free and how much is needed; nothing is on record."""
    world.room = LEAST_ROOM - 1
    with pytest.raises(StoreUnavailable) as caught, world.ledger.run():
        pass
    expected = (
        "cannot open a run: 15 MiB are free on the disk of the ledger's home; free at least 16"
    )
    assert expected == str(caught.value)
    assert [] == world.journal.latest(topics=["run.opened.1"], limit=1)
    world.room = LEAST_ROOM
    with world.ledger.run() as run:
        pass
    assert "succeeded" == run.state.status


def test_a_message_is_kept_without_its_secrets(world_with: Callable[..., World]) -> None:
    """What says why nothing was started is clean on disk, too."""
    world = world_with(env=("PATH", "HOME", "API_TOKEN"))
    world.environment["API_TOKEN"] = "correct-horse-battery"
    break_outcome(world)
    with pytest.raises(StoreUnavailable), world.ledger.run(run="R-1") as run:
        run.execute(["echo", "correct-horse-battery"])
    (kept,) = world.machine.spooled.values()
    assert b"correct-horse" not in kept
    assert run.stream.encode() in kept
