"""Ending a run when something stands in the way: nothing of value is lost, nothing runs on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ledger import events as e
from ledger.errors import IsolationRefused, MoveIllegal, StoreUnavailable, WorkspaceError
from ledger.outcomes import RemovalFailed, Unavailable
from tests.fakes.world import World

ENDING = ["PatchCaptured", "CleanedUp", "CleanedUp", "RunCompleted", "RunSealed"]


def unavailable() -> StoreUnavailable:
    """Return what an append says when the disk is full."""
    return StoreUnavailable("cannot append to the ledger: disk full")


@pytest.mark.parametrize("place", ["sandbox.execute", "sandbox.executed"])
def test_an_interrupt_in_a_command_loses_it_and_cancels_the_run(world: World, place: str) -> None:
    """However a command was left, its run ends and is cleaned up."""
    world.machine.fuse.break_on(place, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt), world.ledger.run() as run:
        run.execute(["echo"])
    assert ["CommandLost", *ENDING] == world.kinds(run.stream)[-6:]
    assert ("cancelled", "clean") == (run.state.status, run.state.cleanliness)
    assert ({}, set()) == (world.machine.trees, world.machine.sandboxes)


def test_an_outcome_that_cannot_be_recorded_still_ends_the_sandbox(world: World) -> None:
    """While the store cannot be written nothing is thrown away, and nothing is left running."""
    # Opened, worktree, requested: the fourth is the outcome.
    world.machine.fuse.break_on("store.append", unavailable, after=3, times=99)
    with pytest.raises(StoreUnavailable), world.ledger.run(run="R-1") as run:
        run.execute(["echo"])
    assert set() == world.machine.sandboxes
    assert [run.workspace] == list(world.machine.trees)
    assert "running" == world.ledger.status("R-1")


def test_an_answer_that_was_lost_does_not_lose_the_run(world: World) -> None:
    """The request was kept and its answer was not: the run is read again, and ends."""
    # Opened, worktree: the third is the request.
    world.machine.fuse.break_on("store.appended", unavailable, after=2)
    with pytest.raises(StoreUnavailable), world.ledger.run() as run:
        run.execute(["echo"])
    kinds = world.kinds(run.stream)
    assert ["CommandRequested", "CommandLost", *ENDING] == kinds[-7:]
    assert [] == world.machine.executed
    assert ("failed", "clean") == (run.state.status, run.state.cleanliness)


def test_a_patch_that_cannot_be_recorded_keeps_the_worktree(world: World) -> None:
    """The sandbox is closed all the same, the error is raised, and a later close goes on."""
    run = world.ledger.open(run="R-1")
    run.execute(["echo"])
    world.machine.fuse.break_on("store.append", unavailable, times=99)
    with pytest.raises(StoreUnavailable, match="disk full"):
        run.close()
    assert set() == world.machine.sandboxes
    assert [run.workspace] == list(world.machine.trees)
    assert "PatchCaptured" not in world.kinds(run.stream)
    later = world.again()
    with later.ledger.resume("R-1") as resumed:
        resumed.close()
    assert ENDING == later.kinds(run.stream)[-5:]
    assert {} == later.machine.trees


def test_an_end_that_cannot_be_recorded_is_recorded_by_the_next_close(world: World) -> None:
    """The worktree is gone by then; removing twice is removing once, and the patch is not lost."""
    run = world.ledger.open(run="R-1")
    run.execute(["echo"])
    world.machine.fuse.break_on("store.append", unavailable, after=1, times=99)
    with pytest.raises(StoreUnavailable):
        run.close()
    assert "PatchCaptured" == world.kinds(run.stream)[-1]
    assert {} == world.machine.trees
    later = world.again()
    with later.ledger.resume("R-1") as resumed:
        with pytest.raises(MoveIllegal, match="it is being closed"):
            resumed.execute(["echo"])
        resumed.close()
    assert ENDING == later.kinds(run.stream)[-5:]
    assert 1 == later.kinds(run.stream).count("PatchCaptured")
    assert "clean" == later.ledger.state("R-1").cleanliness


def test_a_patch_that_cannot_be_captured_keeps_the_worktree_as_a_leak(world: World) -> None:
    """The run ends; that its worktree is still there, and why, is on record."""
    world.git.capture_fails = "cannot capture: git said no"
    with world.ledger.run(run="R-1") as run:
        run.execute(["echo"])
    failed = world.only(run.stream, e.CleanupFailed)
    expected = e.CleanupFailed(
        ending=True,
        resource="worktree",
        ordinal=1,
        reason="not_captured",
        private=e.CleanupText(name=str(run.workspace), message="cannot capture: git said no"),
    )
    assert expected == failed
    assert ("succeeded", "leaked") == (run.state.status, run.state.cleanliness)
    assert [run.workspace] == list(world.machine.trees)


def test_a_worktree_that_cannot_be_removed_is_a_leak(world: World) -> None:
    """What stands in the way is on record, and the run has ended."""
    world.git.removal = RemovalFailed(reason="not_ours", message="git does not list it")
    with world.ledger.run() as run:
        run.execute(["echo"])
    assert "not_ours" == world.only(run.stream, e.CleanupFailed).reason
    assert "leaked" == run.state.cleanliness


def test_an_adapter_that_raises_while_removing_is_a_leak(world: World) -> None:
    """One of our errors in cleaning up is what stood in the way; it stops nothing."""
    with world.ledger.run() as run:
        run.execute(["echo"])
        world.machine.fuse.break_on("workspace.remove", lambda: WorkspaceError("cannot remove"))
    failed = world.only(run.stream, e.CleanupFailed)
    assert isinstance(failed.private, e.CleanupText)
    assert ("failed", "cannot remove") == (failed.reason, failed.private.message)


def test_a_sandbox_that_cannot_be_closed_is_a_leak(world: World) -> None:
    """The worktree is cleaned up all the same."""
    with world.ledger.run() as run:
        run.execute(["echo"])
        world.made[-1].removal = RemovalFailed(reason="failed", message="it answers no more")
    failed = world.only(run.stream, e.CleanupFailed)
    assert isinstance(failed.private, e.CleanupText)
    assert ("sandbox", f"{run.state.holding('sandbox').id}") == (  # type: ignore[union-attr]
        failed.resource,
        failed.private.name,
    )
    assert "worktree" == world.only(run.stream, e.CleanedUp).resource
    assert "leaked" == run.state.cleanliness


def test_a_sandbox_whose_kind_is_gone_cannot_be_closed(world: World) -> None:
    """Where the kind that the run used is not to be had any more, what is left is a leak."""
    run = world.ledger.open(run="R-1")
    run.execute(["echo"])
    later = world.again()
    later.machine.kinds["local"] = Unavailable(reason="not_installed", message="it is gone")
    with later.ledger.resume("R-1") as resumed:
        resumed.close()
    assert ("sandbox", "failed") == (
        later.only(run.stream, e.CleanupFailed).resource,
        later.only(run.stream, e.CleanupFailed).reason,
    )


def test_erased_paths_are_a_leak_and_never_a_guess(world: World) -> None:
    """Without the private part nobody can say where the worktree is: nothing is removed."""
    run = world.ledger.open(run="R-1")
    run.execute(["echo"])
    later = world.again()
    later.forget_private()
    with later.ledger.resume("R-1") as resumed:
        resumed.close()
    failed = later.only(run.stream, e.CleanupFailed)
    assert "not_captured" == failed.reason
    assert [run.workspace] == list(later.machine.trees)
    assert "leaked" == later.ledger.state("R-1").cleanliness


def test_erased_paths_of_an_untouched_run_are_a_leak_as_well(world: World) -> None:
    """Where there was nothing to capture, removing fails for the same reason."""
    world.ledger.open(run="R-1")
    later = world.again()
    later.forget_private()
    with later.ledger.resume("R-1") as resumed:
        resumed.close()
        assert "failed" == later.only(resumed.stream, e.CleanupFailed).reason


def test_a_refused_workspace_leaves_no_sandbox_prepared(world_with: Callable[..., World]) -> None:
    """What was begun for the sandbox while the worktree was tried ends with the refusal."""
    world = world_with(worktree_fallback=False)
    world.machine.survey = Unavailable(reason="git_missing", message="there is no git")
    with pytest.raises(IsolationRefused), world.ledger.run():
        pass
    assert "sandbox.prepare" in world.machine.fuse.passed
    assert set() == world.machine.prepared
