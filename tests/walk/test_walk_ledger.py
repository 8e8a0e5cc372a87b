"""The ledger as a program uses it: runs are opened, found again, and asked about."""

from __future__ import annotations

from typing import Any

import pytest

from ledger import events as e
from ledger.errors import MoveIllegal, RunAmbiguous, RunBusy, RunNotFound
from ledger.events import LedgerCreated
from ledger.merkle import TreeHead
from ledger.overrides import Overrides
from ledger.run import Run
from tests.fakes.fuse import Crash
from tests.fakes.world import World


def test_a_run_is_found_by_its_id_its_task_or_its_stream(world: World) -> None:
    """`RUN`, `TASK/RUN`, a stream id; nothing is the newest."""
    one = world.ledger.open(task="T-1", run="R-1")
    other = world.ledger.open(task="T-1", run="R-2")
    assert one.stream == world.ledger.find("R-1")
    assert one.stream == world.ledger.find("T-1/R-1")
    assert one.stream == world.ledger.find(one.stream)
    assert other.stream == world.ledger.find()


@pytest.mark.parametrize("words", ["R-9", "T-9/R-1", "T-1/R-9", "", "/"])
def test_a_run_that_is_not_on_record_is_not_found(world: World, words: str) -> None:
    """The message says what was looked for."""
    world.ledger.open(task="T-1", run="R-1")
    with pytest.raises(RunNotFound) as caught:
        world.ledger.find(words)
    assert f"cannot find run {words}: none on record has this id" == str(caught.value)


def test_without_any_run_there_is_no_newest(world: World) -> None:
    """An empty ledger says so."""
    with pytest.raises(RunNotFound, match="cannot find a run: none is on record yet"):
        world.ledger.find()


def test_an_id_that_two_tasks_have_is_ambiguous(world: World) -> None:
    """The message names the tasks; with the task it is plain."""
    world.ledger.open(task="T-2", run="R-1")
    one = world.ledger.open(task="T-1", run="R-1")
    with pytest.raises(RunAmbiguous) as caught:
        world.ledger.find("R-1")
    assert "cannot tell which run R-1 is meant: tasks T-1, T-2 have one" == str(caught.value)
    assert one.stream == world.ledger.find("T-1/R-1")


def test_a_state_is_folded_from_the_store(world: World) -> None:
    """State, status and events say the same, in this process and in the next."""
    with world.ledger.run(run="R-1") as run:
        run.execute(["echo"])
        assert run.state == world.ledger.state("R-1")
        assert run.workspace == world.ledger.workspace("R-1")
        assert "open" == world.ledger.status("R-1")
    state = run.state
    later = world.again()
    assert state == later.ledger.state("R-1")
    assert "succeeded" == later.ledger.status("R-1")
    assert state.version + 1 == len(later.ledger.events("R-1"))
    assert Run() == later.journal.load("nothing of this name")


def test_a_state_can_be_had_as_of_a_version(world: World) -> None:
    """The fold up to a version is the state that the run had then."""
    with world.ledger.run() as run:
        run.execute(["echo"])
    kinds = world.kinds(run.stream)
    requested = world.journal.load(run.stream, through=kinds.index("CommandRequested"))
    assert ("running", "c1") == (requested.status, requested.open_command)


def test_a_held_run_is_locked_while_it_is_open(world: World) -> None:
    """Another process gets `RunBusy`; after the end the lock is free."""
    with world.ledger.run(run="R-1") as run:
        assert "held" == world.ledger.hands.locks.state(run.stream)
        with pytest.raises(RunBusy), world.ledger.resume("R-1"):
            pass
    assert "free" == world.ledger.hands.locks.state(run.stream)


def test_a_held_run_is_not_resumed(world: World) -> None:
    """A run that its process holds is recovery's when that process has died."""
    world.machine.fuse.break_on("store.append", after=2)
    with pytest.raises(Crash), world.ledger.run(run="R-1") as run:
        run.execute(["echo"])
    later = world.again()
    with pytest.raises(MoveIllegal) as caught, later.ledger.resume("R-1"):
        pass
    assert (
        "cannot work in run R-1: it is held by the process that opened it; open one with "
        "`gesta open`" == str(caught.value)
    )
    assert "open" == later.ledger.status("R-1")


def test_a_detached_run_is_locked_only_while_somebody_works_in_it(world: World) -> None:
    """Opened and left it is free; two at a time it is busy; and it stays open after."""
    opened = world.ledger.open(run="R-1")
    assert "free" == world.ledger.hands.locks.state(opened.stream)
    with world.ledger.resume("R-1") as run:
        run.execute(["echo"])
        with pytest.raises(RunBusy), world.ledger.resume("R-1"):
            pass
    assert "open" == world.ledger.status("R-1")
    assert set() == world.machine.sandboxes


def test_a_command_left_open_is_lost_to_the_next_process(world: World) -> None:
    """Whoever takes the lock first settles the run, before anything else is recorded."""
    run = world.ledger.open(run="R-1")
    world.machine.fuse.break_on("sandbox.execute")
    with pytest.raises(Crash):
        run.execute(["echo"])
    assert "running" == world.ledger.status("R-1")
    later = world.again()
    with later.ledger.resume("R-1") as resumed:
        assert "CommandLost" == later.kinds(run.stream)[-1]
        assert "c2" == resumed.execute(["echo"]).command
        resumed.settle()
    expected = e.CommandLost(command="c1", reason="process")
    assert expected == later.only(run.stream, e.CommandLost)
    assert "open" == later.ledger.status("R-1")


def test_the_ledger_comes_to_be_once(world: World) -> None:
    """The first event of all says which ledger it is; a second process adds none."""
    who = world.provenance(None)
    world.journal.create_ledger("home-1", who, world.keys.make)
    later = world.again()
    later.journal.create_ledger("home-1", who, world.keys.make)
    ledger_id = later.journal.store.ledger_id
    (created,) = later.records(ledger_id)
    expected = LedgerCreated(ledger=ledger_id, home="home-1", key=world.keys.make())
    assert expected == created.event
    assert (0, 0) == (created.version, created.position)


def test_two_processes_that_make_a_ledger_at_once_make_one(world: World) -> None:
    """Who finds that the other was first has nothing more to do."""
    world.journal.create_ledger("home-1", world.provenance(None), world.keys.make)
    inner: Any = world.journal.store

    class AsOfBefore:
        """A store whose tree is looked at just before the other's event."""

        def tree_head(self) -> TreeHead:
            return TreeHead(0, ())

        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

    world.journal.store = AsOfBefore()
    world.journal.create_ledger("home-1", world.provenance(None), world.keys.make)
    assert 1 == inner.tree_head().size


def test_positions_have_no_gaps_over_all_streams(world: World) -> None:
    """Reading the whole log gives every event once, in the order recorded."""
    world.journal.create_ledger("home-1", world.provenance(None), world.keys.make)
    for _ in range(2):
        with world.ledger.run() as run:
            run.execute(["echo"])
    records = list(world.journal.read())
    assert [*range(len(records))] == [record.position for record in records]
    opened = list(world.journal.read(topics=("run.opened.1",)))
    assert 2 == len(opened)
    assert [*reversed(opened)] == world.journal.latest(topics=("run.opened.1",), limit=9)
    assert records[3:] == list(world.journal.read(after=2))


def test_a_flag_is_on_record_by_its_key(world: World) -> None:
    """What was overridden is a fact, by the policy's key; what was typed is not."""
    run = world.ledger.open(overrides=Overrides(timeout=5, env=("LANG",)))
    opened = world.only(run.stream, e.RunOpened)
    assert ("exec.env", "sandbox.timeout") == opened.overridden
    assert 5 == opened.rules.timeout


def test_a_ledger_is_closed_at_the_end_of_its_block(world: World) -> None:
    """Leaving the block lets go of the store."""
    with world.ledger as ledger:
        ledger.open(run="R-1")
    later = World(world.directory, world.machine)
    assert "open" == later.ledger.status("R-1")
    later.end()
