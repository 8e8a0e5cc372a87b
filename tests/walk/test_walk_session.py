"""A session: how more gets on record, who is said to have done it, and when others are at work."""

from __future__ import annotations

from typing import Any

import pytest
from eventsourcing.persistence import PersistenceError

from ledger import events as e
from ledger.errors import RunNotFound, StoreUnavailable, VersionConflict
from ledger.events import Event
from ledger.outcomes import Executed, Outcome, Usage
from ledger.ports import Command
from ledger.recorded import Recorded, Said
from ledger.session import Session
from tests.fakes.world import World

SOMETHING = e.CommandDenied(command="c1", form="argv", may_fail=True, reason="not_listed")
LOST = e.CommandLost(command="c1", reason="process")


def append(world: World, stream: str, event: Event) -> None:
    """Record *event* as another writer would."""
    version = world.journal.load(stream).version
    said = Said(event=event, occurred=1)
    world.journal.append(stream, version, [said], world.provenance("other"))


def session_of(world: World, stream: str) -> Session:
    """Return a session of the run as it is on record now."""
    return Session(world.ledger.hands, stream, world.records(stream), world.provenance(None))


def test_there_is_no_session_of_nothing(world: World) -> None:
    """What was never opened cannot be worked in."""
    with pytest.raises(RunNotFound, match="cannot work in run x: nothing is on record of it"):
        Session(world.ledger.hands, "x", [], world.provenance(None))
    denied = [Said(event=SOMETHING, occurred=1)]
    recorded = world.journal.append("y", -1, denied, world.provenance(None))
    with pytest.raises(RunNotFound):
        Session(world.ledger.hands, "y", recorded, world.provenance(None))


def test_an_intent_that_comes_second_is_refused(world: World) -> None:
    """Of two writers at one version the second one's intent surfaces the conflict."""
    run = world.ledger.open()
    append(world, run.stream, SOMETHING)
    with pytest.raises(VersionConflict) as caught:
        run.execute(["echo"])
    assert f"cannot append version 2 to stream {run.stream}: another writer was first" == str(
        caught.value
    )
    assert [] == world.machine.executed
    assert set() == world.machine.sandboxes


def test_an_outcome_that_comes_second_is_recorded_on_the_newer_state(world: World) -> None:
    """An outcome reloads and retries: here its command was called lost, so it is a late one."""
    run = world.ledger.open(run="R-1")

    def interrupted(command: Command) -> Outcome:
        command.stdout(b"late\n")
        append(world, run.stream, LOST)
        return Executed(exit_code=0, usage=Usage(duration_us=1))

    world.machine.programs["echo"] = interrupted
    result = run.execute(["echo"])
    assert b"late\n" == result.stdout
    found = world.events(run.stream)[-1]
    assert isinstance(found, e.CommandOutcomeFound)
    assert ("c1", "executed", 0) == (found.command, found.outcome, found.exit_code)
    assert run.state == world.ledger.state("R-1")


def test_an_outcome_retries_as_often_as_others_are_first(world: World) -> None:
    """However often the state has moved on, the outcome is decided again and recorded."""
    run = world.ledger.open()
    others: list[Event] = [e.SandboxLost(ordinal=1), e.SandboxLost(ordinal=1)]
    inner: Any = world.journal.store

    class Overtaken:
        """A store in which somebody else appends just before an outcome does."""

        def insert_events(self, stored: Any, **named: Any) -> Any:
            if stored[0].topic == "command.executed.1" and others:
                event = others.pop()
                world.journal.store = inner
                append(world, run.stream, event)
                world.journal.store = self  # type: ignore[assignment]
            return inner.insert_events(stored, **named)

        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

    world.journal.store = Overtaken()  # type: ignore[assignment]
    run.execute(["echo"])
    kinds = world.kinds(run.stream)
    assert ["CommandRequested", "SandboxLost", "SandboxLost", "CommandExecuted"] == kinds[-4:]
    assert run.state.version + 1 == len(kinds)


def test_an_append_that_was_kept_is_not_a_conflict_with_itself(world: World) -> None:
    """Finding our own event at its version means success: only the answer had been lost."""
    run = world.ledger.open()
    inner: Any = world.journal.store
    attempts: list[str] = []

    class Forgetful:
        """A store that commits, loses the answer, and is asked the same again."""

        def insert_events(self, stored: Any, **named: Any) -> Any:
            attempts.append(stored[0].topic)
            inner.insert_events(stored, **named)
            return inner.insert_events(stored, **named)

        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

    world.journal.store = Forgetful()  # type: ignore[assignment]
    result = run.execute(["echo"])
    assert 0 == result.returncode
    assert 2 == len(attempts)
    kinds = world.kinds(run.stream)
    assert 1 == kinds.count("CommandRequested") == kinds.count("CommandExecuted")


def test_a_store_that_fails_is_unavailable(world: World) -> None:
    """What the library calls a persistence error is ours by name, with its text."""
    world.machine.fuse.break_on("store.append", lambda: PersistenceError("disk I/O error"))
    with pytest.raises(StoreUnavailable) as caught:
        world.ledger.open()
    assert "cannot append to the ledger: disk I/O error" == str(caught.value)


def test_nothing_said_is_nothing_appended(world: World) -> None:
    """An outcome that is on record already leaves no trace."""
    session = session_of(world, world.ledger.open().stream)
    appends = world.machine.fuse.passed.count("store.append")
    assert [] == session.append([])
    assert [] == session.record(lambda run: ())
    assert appends == world.machine.fuse.passed.count("store.append")


def test_the_outcome_names_its_request_as_the_cause(world: World) -> None:
    """Read back from the store, causation leads from every event to what caused it."""
    with world.ledger.run() as run:
        run.execute(["echo"])
        run.execute(["echo"])
    records = world.records(run.stream)
    opened = records[0]
    assert opened.cause is None
    requests = [r for r in records if isinstance(r.event, e.CommandRequested)]
    endings = [r for r in records if isinstance(r.event, e.CommandExecuted)]
    assert [r.id for r in requests] == [r.cause for r in endings]
    others = {r.cause for r in records[1:] if r not in endings}
    assert {opened.id} == others
    assert len(records) == len({record.id for record in records})


def test_who_acted_is_read_back_from_the_store(world: World) -> None:
    """Actor, how they were established, on whose behalf and where are kept with each event."""
    with world.ledger.run(actor="carol") as run:
        run.execute(["echo"])
    said = {(r.actor, r.via, r.on_behalf_of, r.private) for r in world.records(run.stream)}
    assert {("carol", "argument", "bob", "present")} == said
    found = {(r.actor, r.via) for r in world.records(world.ledger.open().stream)}
    assert {("ann", "os_user")} == found


def test_the_trace_of_a_run_is_that_of_its_opening(world: World) -> None:
    """Each process has a trace of its own, and a run keeps the one that it was opened under."""
    opened = world.ledger.open(run="R-1", caller_trace="trace-123")
    later = world.again()
    with later.ledger.resume("R-1", actor="carol", caller_trace="trace-456") as run:
        run.execute(["echo"])
        run.close()
    records = later.records(opened.stream)
    assert {records[0].trace} == {record.trace for record in records}
    assert ["trace-123", "trace-456"] == [records[0].caller_trace, records[-1].caller_trace]
    assert ["ann", "carol"] == [records[0].actor, records[-1].actor]
    assert 2 == len({record.host for record in records})


def test_what_has_occurred_is_older_than_what_is_recorded(world: World) -> None:
    """Both times are of the clock that was handed in, and neither is made up."""
    with world.ledger.run() as run:
        run.execute(["echo"])
    records = world.records(run.stream)
    assert all(record.occurred < record.recorded for record in records)
    recorded = [record.recorded for record in records]
    assert sorted(recorded) == recorded


def test_where_a_run_works_derives_from_its_names(world: World) -> None:
    """With the private part gone, the place is still the one that task, run and stream give."""
    stream = world.ledger.open(task="T-1", run="R-1").stream
    before = session_of(world, stream)
    later = world.again()
    later.forget_private()
    after = session_of(later, stream)
    assert (before.run_path, before.root) == (after.run_path, after.root)
    assert (None, None, None, "") == (
        after.text,
        after.rule_texts,
        after.worktree_text,
        after.prefix,
    )
    assert after.root == after.worktree_intent().path
    assert before.run == after.run


def test_a_listener_is_told_what_is_recorded_when_it_is(world: World) -> None:
    """Each append after the opening is told once, as it stands in the store, in order."""
    heard: list[Recorded] = []
    with world.ledger.run(listener=heard.extend) as run:
        run.execute(["echo"])
    assert world.records(run.stream)[1:] == heard
