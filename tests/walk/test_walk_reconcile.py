"""What the ledger believes to exist against what exists: each drift is told, mended, recorded."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from ledger import events as e
from ledger.drift import Drift
from ledger.errors import StoreUnavailable
from ledger.isolation import Isolation
from ledger.liveness import Marked
from ledger.outcomes import RemovalFailed
from ledger.reconcile import reconcile
from tests.fakes.blobs import LARGEST_ROW
from tests.fakes.machine import LOCAL
from tests.fakes.marking import FakeMarkingSandbox
from tests.fakes.world import HOME, World

LARGE = b"x" * (LARGEST_ROW + 1)


def look(world: World, *, act: bool = True, kept: bool = False) -> list[Drift]:
    """Return what one pass found and did."""
    return list(reconcile(world.ledger.hands, world.provenance(None), act=act, kept=kept))


def told(drifts: list[Drift]) -> list[tuple[str, str | None, str | None]]:
    """Return what, whose and what was done, of each."""
    return [(drift.what, drift.run, drift.done) for drift in drifts]


def own_kinds(world: World) -> list[str]:
    """Return the names of the events in the ledger's own stream."""
    return world.kinds(world.journal.store.ledger_id)


@pytest.fixture
def marking(world_with: Callable[..., World]) -> World:
    """Give a process whose sandboxes outlive it."""
    world = world_with(sandbox_type="marking", fallback=())
    return lasting(world)


def lasting(world: World) -> World:
    """Have *world* make sandboxes that outlive it."""
    world.machine.kinds["marking"] = isolated()
    world.sandbox_maker = FakeMarkingSandbox
    return world


def isolated() -> Isolation:
    """Return what such a sandbox gives."""
    return LOCAL


def test_where_everything_is_as_it_should_be_nothing_is_found(world: World) -> None:
    """Runs that ended, runs that are open and runs at work are no drift."""
    with world.ledger.run() as ended:
        ended.write_file("large", LARGE)
    world.ledger.open(run="R-2")
    with world.ledger.run() as run:
        run.execute(["echo"])
        assert [] == look(world)
    assert ["LedgerCreated"] == own_kinds(world) or [] == own_kinds(world)


def test_a_worktree_that_its_ended_run_does_not_have_goes(world: World) -> None:
    """It is removed, that is recorded in the run, and a later seal covers it."""
    with world.ledger.run(task="T-1", run="R-1") as run:
        run.execute(["echo"])
    world.machine.trees[run.workspace] = {}
    assert [("worktree", "T-1/R-1", None)] == told(look(world, act=False))
    assert [run.workspace] == list(world.machine.trees)
    assert [("worktree", "T-1/R-1", "removed")] == told(look(world))
    assert ["RunSealed", "CleanedUp", "RunSealed"] == world.kinds(run.stream)[-3:]
    assert {} == world.machine.trees
    assert [] == look(world)


def test_a_registration_that_is_left_goes(world: World) -> None:
    """Git lists a worktree of a run that has none: its adapter takes it out."""
    with world.ledger.run(task="T-1", run="R-1") as run:
        run.execute(["echo"])
    world.inventory.registrations.append(run.stream)
    assert [("worktree", "T-1/R-1", "removed")] == told(look(world))


def test_what_is_not_shown_to_be_ours_stays(world: World) -> None:
    """The adapter refuses; nothing is recorded, and the trouble is told."""
    with world.ledger.run(task="T-1", run="R-1") as run:
        run.execute(["echo"])
    world.machine.trees[run.workspace] = {}
    world.git.removal = RemovalFailed(reason="not_ours", message="git does not list it")
    (drift,) = look(world)
    assert ("left", "git does not list it") == (drift.done, drift.trouble)
    assert "RunSealed" == world.kinds(run.stream)[-1]


def test_a_kept_worktree_stays_unless_that_is_asked_for(world_with: Callable[..., World]) -> None:
    """The policy keeps it; `--kept` removes it, on record."""
    world = world_with(cleanup="never")
    with world.ledger.run(task="T-1", run="R-1") as run:
        run.execute(["echo"])
    assert "kept" == run.state.cleanliness
    assert [] == look(world)
    assert [("worktree", "T-1/R-1", None)] == told(look(world, act=False, kept=True))
    assert [("worktree", "T-1/R-1", "removed")] == told(look(world, kept=True))
    assert "clean" == world.ledger.state("R-1").cleanliness
    assert ({}, "RunSealed") == (world.machine.trees, world.kinds(run.stream)[-1])


def test_a_kept_worktree_that_somebody_removed_is_recorded_as_gone(
    world_with: Callable[..., World],
) -> None:
    """What the ledger believes to exist and does not is put right."""
    world = world_with(cleanup="never")
    with world.ledger.run(task="T-1", run="R-1") as run:
        run.execute(["echo"])
    world.machine.trees.clear()
    assert [("worktree", "T-1/R-1", "recorded")] == told(look(world))
    assert "clean" == world.ledger.state(run.stream).cleanliness


def test_an_open_run_whose_worktree_is_gone_is_told(world: World) -> None:
    """Only closing it can say what became of it."""
    world.ledger.open(task="T-1", run="R-1")
    world.machine.trees.clear()
    (drift,) = look(world)
    assert ("left", None) == (drift.done, drift.trouble)
    assert "close the run" in drift.why


def test_a_directory_of_no_run_is_an_orphan(world: World) -> None:
    """It is recorded in the ledger's own stream, when it is found and when it is gone."""
    stream = "01a21100-d584-7ff1-9a7a-48a59a36635f"
    path = world.directory / "workspaces" / "T-1" / "runs" / "R-9" / stream
    world.machine.trees[path] = {}
    world.machine.makers[path] = "plain"
    assert [("worktree", None, None)] == told(look(world, act=False))
    assert [("worktree", None, "removed")] == told(look(world))
    found, removed = world.records(world.journal.store.ledger_id)[-2:]
    assert isinstance(found.event, e.OrphanFound)
    assert isinstance(removed.event, e.OrphanRemoved)
    assert found.id == removed.cause
    assert ("worktree", stream, 1) == (found.event.what, found.event.stream, found.event.count)
    assert e.OrphanText(names=(str(path),)) == found.event.private == removed.event.private
    assert {} == world.machine.trees


def test_an_orphan_that_cannot_be_shown_to_be_ours_stays(world: World) -> None:
    """It is on record as found, and never as removed."""
    stream = "01a21100-d584-7ff1-9a7a-48a59a36635f"
    path = world.directory / "workspaces" / "T-1" / "runs" / "R-9" / stream
    world.machine.trees[path] = {}
    (drift,) = look(world)
    assert drift.trouble is not None
    assert "nothing shows that it is ours" in drift.trouble
    assert ["OrphanFound"] == own_kinds(world)[-1:]


def test_another_home_s_worktree_is_told_and_left(world: World) -> None:
    """A run of the same ledger in another home is not ours to clean up."""
    with world.ledger.run(task="T-1", run="R-1") as run:
        run.execute(["echo"])
    world.machine.trees[run.workspace] = {}
    hands = msgspec.structs.replace(world.ledger.hands, home_id="home-2")
    drifts = list(reconcile(hands, world.provenance(None), act=True))
    assert [("worktree", "T-1/R-1", "left")] == told(drifts)
    assert [run.workspace] == list(world.machine.trees)


def test_a_sandbox_that_its_ended_run_does_not_have_goes(marking: World) -> None:
    """It is found by its mark, ended, and that is on record in its run."""
    with marking.ledger.run(task="T-1", run="R-1") as run:
        run.execute(["echo"])
    marking.machine.marked["left"] = Marked("left", run.stream, "2", HOME)
    assert [("sandbox", "T-1/R-1", None)] == told(look(marking, act=False))
    assert [("sandbox", "T-1/R-1", "removed")] == told(look(marking))
    assert ["RunSealed", "CleanedUp", "RunSealed"] == marking.kinds(run.stream)[-3:]
    assert {} == marking.machine.marked


def test_a_sandbox_of_no_run_is_an_orphan(marking: World) -> None:
    """A machine that was made for a run that nothing is on record of."""
    marking.machine.marked["left"] = Marked("left", "nowhere", "1", HOME)
    assert [("sandbox", None, "removed")] == told(look(marking))
    found = marking.events(marking.journal.store.ledger_id)[-2]
    assert isinstance(found, e.OrphanFound)
    assert ("sandbox", "marking", "nowhere") == (found.what, found.kind, found.stream)


def test_another_home_s_sandbox_is_told_and_left(marking: World) -> None:
    """Whatever is on record of its run."""
    with marking.ledger.run(task="T-1", run="R-1") as run:
        run.execute(["echo"])
    marking.machine.marked["theirs"] = Marked("theirs", run.stream, "1", "home-2")
    assert [("sandbox", "T-1/R-1", "left")] == told(look(marking))
    assert ["theirs"] == list(marking.machine.marked)


def test_a_live_run_s_sandbox_is_not_looked_at(marking: World) -> None:
    """Neither one that is at work, nor one that waits for the next command."""
    with marking.ledger.run() as run:
        run.execute(["echo"])
        assert [] == look(marking)
    marking.ledger.open(run="R-2")
    with marking.ledger.resume("R-2") as active:
        active.execute(["echo"])
    assert [] == look(marking)


def test_a_lasting_sandbox_that_is_gone_is_recorded_as_lost(marking: World) -> None:
    """The provider has ended it between two commands; the run learns of it."""
    run = marking.ledger.open(task="T-1", run="R-1")
    with marking.ledger.resume("R-1") as active:
        active.execute(["echo"])
    marking.machine.marked.clear()
    assert [("sandbox", "T-1/R-1", None)] == told(look(marking, act=False))
    assert [("sandbox", "T-1/R-1", "recorded")] == told(look(marking))
    assert "SandboxLost" == marking.kinds(run.stream)[-1]
    assert [] == look(marking)


def test_a_sandbox_that_cannot_be_ended_is_trouble(marking: World) -> None:
    """What the adapter says is told, of a known run's and of nobody's."""
    with marking.ledger.run(task="T-1", run="R-1") as run:
        run.execute(["echo"])
    marking.machine.marked["left"] = Marked("left", run.stream, "2", HOME)
    marking.machine.marked["lost"] = Marked("lost", "nowhere", "x", HOME)

    def stubborn(*args: object) -> FakeMarkingSandbox:
        made = FakeMarkingSandbox(*args)  # type: ignore[arg-type]
        made.removal = RemovalFailed(reason="failed", message="it answers no more")
        return made

    marking.sandbox_maker = stubborn
    assert ["it answers no more"] * 2 == [drift.trouble for drift in look(marking)]


def test_blobs_that_no_event_names_are_collected(world: World) -> None:
    """Files that events, or kept outcomes, name stay."""
    with world.ledger.run() as run:
        run.write_file("large", LARGE)
    named = set(world.machine.files)
    assert named
    world.machine.files["0" * 64] = b"nobody's"
    assert [("blob", None, None)] == told(look(world, act=False))
    assert [("blob", None, "removed")] == told(look(world))
    assert named == set(world.machine.files)
    found = world.events(world.journal.store.ledger_id)[-2]
    assert isinstance(found, e.OrphanFound)
    assert ("blob", 1, 8) == (found.what, found.count, found.size)


def test_the_blobs_of_a_kept_outcome_are_not_collected(world: World) -> None:
    """An outcome in the spool is as good as an event."""
    large = "y" * (LARGEST_ROW + 1)
    world.machine.fuse.break_on(
        "store.append", lambda: StoreUnavailable("disk full"), after=3, times=99
    )

    def work() -> None:
        with world.ledger.run() as run:
            run.execute(["echo", large])

    with pytest.raises(StoreUnavailable):
        work()
    assert 2 == len(world.machine.files)
    assert "blob" not in [drift.what for drift in look(world.again())]


def test_blobs_are_not_collected_while_somebody_writes(world: World) -> None:
    """Who is between making a blob and recording its event is not run over."""
    world.machine.files["0" * 64] = b"nobody's"
    world.inventory.busy = True
    (drift,) = look(world)
    assert ("left", "somebody is writing blobs; run gc again later") == (drift.done, drift.trouble)
    assert ["0" * 64] == list(world.machine.files)


def test_a_blob_that_is_named_while_gc_looks_is_kept(world: World) -> None:
    """What was recorded between the first look and having the blobs alone is read again."""
    digest = "0" * 64
    world.machine.files[digest] = b"somebody's"
    collecting = world.inventory.collecting

    def meanwhile() -> object:
        with world.ledger.run() as run:
            run.execute(["echo", digest])
        return collecting()

    world.inventory.collecting = meanwhile  # type: ignore[method-assign, assignment]
    assert [] == look(world)
    assert digest in world.machine.files


def test_what_a_dead_writer_left_unfinished_goes(world: World) -> None:
    """A draft has no name that an event could give, so it is no orphan."""
    world.inventory.drafts[".draft-1"] = 5
    assert [("draft", None, None)] == told(look(world, act=False))
    assert [("draft", None, "removed")] == told(look(world))
    assert {} == world.inventory.drafts


def test_files_that_cannot_be_removed_are_trouble(world: World) -> None:
    """They are recorded as found, and not as removed."""
    world.machine.files["0" * 64] = b"nobody's"
    world.inventory.drafts[".draft-1"] = 5
    world.inventory.refusing = True
    assert [True, True] == ["read-only" in (drift.trouble or "") for drift in look(world)]
    assert "OrphanFound" == own_kinds(world)[-1]


def test_a_ref_that_its_run_does_not_name_is_told_and_left(world: World) -> None:
    """It keeps commits; whose they are somebody has to look."""
    with world.ledger.run(task="T-1", run="R-1") as run:
        pass
    with world.ledger.run(task="T-1", run="R-2") as named:
        named.execute(["echo"])
    world.inventory.found_refs = [run.stream, named.stream, "another ledger's"]
    assert [("ref", "T-1/R-1", "left")] == told(look(world))


def test_room_of_a_dead_process_is_given_back_and_damage_is_told(world: World) -> None:
    """Nothing that may say how a command ended is deleted."""
    world.machine.rooms.add("dead")
    world.inventory.found_damaged = [("other", "/spool/other-c1.json")]
    assert [("room", None, None), ("outcome", None, "left")] == told(look(world, act=False))
    assert [("room", None, "removed"), ("outcome", None, "left")] == told(look(world))
    assert set() == world.machine.rooms
