"""Ending a run: captured, cleaned up, completed, sealed, and nothing of value thrown away."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from ledger import events as e
from ledger import merkle
from ledger.active_run import ActiveRun
from ledger.errors import MoveIllegal
from ledger.events import BlobName
from ledger.ledger import Ledger
from tests.fakes.world import World

ENDING = ["PatchCaptured", "CleanedUp", "CleanedUp", "RunCompleted", "RunSealed"]


def test_a_run_ends_in_the_one_order_there_is(world: World) -> None:
    """Captured, cleaned up, completed, sealed; and then nothing of it is left."""
    with world.ledger.run(run="R-1") as run:
        run.execute(["echo"])
    assert ENDING == world.kinds(run.stream)[-5:]
    assert ("succeeded", "clean") == (world.ledger.status("R-1"), run.state.cleanliness)
    assert ({}, set(), set()) == (
        world.machine.trees,
        world.machine.sandboxes,
        world.machine.prepared,
    )
    assert [run.run_path] == world.files.emptied


def test_what_a_run_did_is_its_patch(world: World) -> None:
    """The patch is on record before the worktree goes, its bytes in the same transaction."""
    with world.ledger.run() as run:
        run.write_file("new.txt", b"data\n")
    passed = world.machine.fuse.passed
    text = world.only(run.stream, e.PatchCaptured).private
    assert isinstance(text, e.PatchText)
    assert isinstance(text.patch, BlobName)
    assert b"+new.txt\ndata\n" == world.blobs.read(text.patch.sha256)
    assert f"refs/gesta/{run.stream}" == text.ref
    captured = passed.index("workspace.captured")
    assert "store.appended" in passed[captured : passed.index("workspace.remove")]


def test_a_run_without_commands_and_files_captures_nothing(world: World) -> None:
    """It succeeds, and cleans up."""
    with world.ledger.run() as run:
        pass
    assert ["CleanedUp", "RunCompleted", "RunSealed"] == world.kinds(run.stream)[-3:]
    assert "workspace.capture" not in world.machine.fuse.passed
    assert "succeeded" == run.state.status
    assert set() == world.machine.prepared


def test_a_seal_counts_and_hashes_the_records_before_it(world: World) -> None:
    """The seal's root is that of RFC 6962 over the leaves of the run, up to its end."""
    with world.ledger.run() as run:
        run.execute(["echo"])
    rows = world.journal.store.stream_rows(run.stream)[:-1]
    head = merkle.extend(merkle.TreeHead(0, ()), [row.leaf for row in rows])
    seal = world.only(run.stream, e.RunSealed)
    expected = (len(rows), merkle.root(head).hex(), len(rows))
    assert expected == (seal.count, seal.root, seal.log_size)


def test_a_run_is_closed_once(world: World) -> None:
    """A second close is refused, and changes nothing."""
    with world.ledger.run(task="T-1", run="R-1") as run:
        run.close()
        before = world.kinds(run.stream)
        with pytest.raises(MoveIllegal) as caught:
            run.close()
    assert "cannot close it in run T-1/R-1: it has ended (succeeded)" == str(caught.value)
    assert before == world.kinds(run.stream)


def test_an_outcome_that_is_asked_for_is_on_record_with_its_reason(world: World) -> None:
    """Who closes may say how it ended."""
    with world.ledger.run() as run:
        run.close("cancelled", message="not needed")
    expected = e.RunCompleted(
        outcome="cancelled", reason="asked", private=e.ReasonText(message="not needed")
    )
    assert expected == world.only(run.stream, e.RunCompleted)


def test_an_error_in_the_block_fails_the_run_and_is_raised_on(world: World) -> None:
    """The run ends and is cleaned up; what the error said is private."""

    def work(run: ActiveRun) -> None:
        run.execute(["echo"])
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), world.ledger.run() as run:
        work(run)
    expected = e.RunCompleted(
        outcome="failed", reason="error", private=e.ReasonText(message="ValueError: no")
    )
    assert expected == world.only(run.stream, e.RunCompleted)
    assert "clean" == run.state.cleanliness


@pytest.mark.parametrize(
    ("cleanup", "command", "cleanliness"),
    [
        ("always", "false", "clean"),
        ("on_success", "echo", "clean"),
        ("on_success", "false", "kept"),
        ("never", "echo", "kept"),
    ],
)
def test_the_policy_may_keep_the_worktree(
    world_with: Callable[..., World], cleanup: str, command: str, cleanliness: str
) -> None:
    """A worktree that is kept by policy is no leak, and its patch is captured all the same."""
    world = world_with(cleanup=cleanup)
    with world.ledger.run() as run:
        run.execute([command])
    assert cleanliness == run.state.cleanliness
    assert (cleanliness == "kept") == (run.workspace in world.machine.trees)
    assert "PatchCaptured" in world.kinds(run.stream)


def test_artifacts_are_stored_with_the_patch(world_with: Callable[..., World]) -> None:
    """Declared outputs are on record with their bytes, an empty one too, in the one append."""
    world = world_with(artifacts=("*.log",))
    with world.ledger.run() as run:
        run.write_file("b.log", b"b")
        run.write_file("a.log", b"")
        run.write_file("c.txt", b"c")
    stored = [x for x in world.events(run.stream) if isinstance(x, e.ArtifactStored)]
    found = []
    for artifact in stored:
        assert isinstance(artifact.private, e.ArtifactText)
        data = world.blobs.read(artifact.private.blob.sha256)
        found.append((artifact.private.path, artifact.size, data))
    assert [("a.log", 0, b""), ("b.log", 1, b"b")] == found
    kinds = world.kinds(run.stream)
    at = kinds.index("PatchCaptured")
    assert ["ArtifactStored", "ArtifactStored"] == kinds[at + 1 : at + 3]


@pytest.mark.parametrize(
    ("commands", "may_fail", "status"),
    [
        (["echo", "echo"], False, "succeeded"),
        (["echo", "false"], False, "failed"),
        (["false", "echo"], False, "failed"),
        (["false"], True, "succeeded"),
    ],
)
def test_a_run_ends_as_its_commands_went(
    world: World, commands: list[str], may_fail: bool, status: str
) -> None:
    """One that failed and may not fails the run."""
    with world.ledger.run() as run:
        for command in commands:
            run.execute([command], may_fail=may_fail)
    assert status == run.state.status


def test_another_process_closes_what_this_one_opened(world: World) -> None:
    """A detached run is closed by whoever comes: patch, worktree and sandbox."""
    run = world.ledger.open(run="R-1")
    run.execute(["echo"])
    later = world.again()
    with later.ledger.resume("R-1") as resumed:
        resumed.close()
    assert ENDING == later.kinds(run.stream)[-5:]
    assert ({}, "clean") == (later.machine.trees, later.ledger.state("R-1").cleanliness)


def test_a_run_that_was_closed_inside_its_block_stays_closed(world: World) -> None:
    """The end of the block does not end it again."""
    ledger: Ledger = world.ledger
    with ledger.run() as run:
        run.close("succeeded")
    assert 1 == world.kinds(run.stream).count("RunCompleted")


def test_whoever_wants_to_know_is_told_when_a_run_has_ended(world: World) -> None:
    """Once, when everything that belongs to the end is on record."""
    told: list[list[str]] = []
    hands = world.ledger.hands
    world.ledger.hands = msgspec.structs.replace(
        hands, ended=lambda stream: told.append(world.kinds(stream)[-1:])
    )
    with world.ledger.run() as run:
        run.execute(["echo"])
        assert [] == told
    assert [["RunSealed"]] == told
