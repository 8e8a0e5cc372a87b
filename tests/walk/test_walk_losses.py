"""A sandbox that vanishes, one that is replaced, and what cannot be put on record at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import msgspec
import pytest

from ledger import events as e
from ledger.errors import InputInvalid, MoveIllegal
from ledger.outcomes import Executed, Lost, SandboxMade, Unavailable, Usage
from ledger.overrides import Overrides
from ledger.ports import Command, SandboxWish
from tests.fakes.machine import LOCAL
from tests.fakes.sandbox import FakeSandbox
from tests.fakes.world import World


def test_a_lost_sandbox_is_on_record_and_stops_the_run(world: World) -> None:
    """The command and its sandbox are lost, no further command is taken, and the run is clean."""
    world.machine.programs["gone"] = lambda command: Lost(message="it vanished")
    with world.ledger.run() as run:
        run.execute(["echo", "a"])
        assert isinstance(run.execute(["gone"]).outcome, Lost)
        assert ["CommandLost", "SandboxLost"] == world.kinds(run.stream)[-2:]
        with pytest.raises(MoveIllegal, match=r"its sandbox was lost .* close it"):
            run.execute(["echo", "b"])

    state = world.ledger.state(run.id)
    assert ("failed", "clean") == (state.status, state.cleanliness)
    assert 2 == len([kind for kind in world.kinds(run.stream) if kind == "CommandRequested"])


def test_a_sandbox_that_gives_something_else_later_replaces_the_first(world: World) -> None:
    """A detached run whose machine has changed records both, and ends clean."""
    opened = world.ledger.open()
    with world.ledger.resume(opened.stream) as run:
        run.execute(["echo", "a"])
    later = world.again()
    later.machine.kinds["local"] = msgspec.structs.replace(LOCAL, processes="own")
    with later.ledger.resume(opened.stream) as run:
        run.execute(["echo", "b"])
        run.close()

    state = later.ledger.state(opened.stream)
    assert ("succeeded", "clean") == (state.status, state.cleanliness)
    assert [1, 2] == [
        event.sandbox
        for event in later.events(opened.stream)
        if isinstance(event, e.CommandRequested)
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [("A=B", "x"), ("", "x"), ("A", "x\0y"), ("A", "\ud800"), ("\udcff", "x")],
    ids=["equals", "empty", "nul", "surrogate", "bytes"],
)
def test_a_variable_that_no_command_can_be_given_is_refused(
    world: World, name: str, value: str
) -> None:
    """Nothing is recorded of the command, and the value is not shown."""
    with world.ledger.run() as run:
        with pytest.raises(InputInvalid) as refused:
            run.execute(["echo"], env={name: value})
        assert "CommandRequested" not in world.kinds(run.stream)
    assert value == "x" or value not in str(refused.value)


def test_an_argument_that_is_no_text_is_refused(world: World) -> None:
    """A surrogate that stands for no byte cannot reach a program, and is one clear error."""
    with world.ledger.run() as run, pytest.raises(InputInvalid, match="it is not text"):
        run.execute(["echo", "\ud800"])


def test_a_denial_after_a_request_bears_the_requests_number(world: World) -> None:
    """What comes next is counted on from there."""
    with world.ledger.run() as run:
        run.write_file("a.txt", b"a")
        run.write_file("b.txt", b"b")
        files = [
            event.file
            for event in world.events(run.stream)
            if isinstance(event, e.FileWriteRequested)
        ]
    assert ["f1", "f2"] == files


def test_with_consent_another_sandbox_takes_the_place_of_a_lost_one(
    world_with: Callable[..., World],
) -> None:
    """The loss, the fallback and its cause are on record; the lost command is not repeated."""
    world = world_with(on_lost="fallback", sandbox_type="docker", fallback=("local",))
    world.machine.kinds["docker"] = LOCAL
    world.machine.programs["gone"] = lambda command: Lost(message="it vanished")
    with world.ledger.run() as run:
        run.execute(["gone"], may_fail=True)
        assert run.execute(["echo", "b"]).success

    taken = [event for event in world.events(run.stream) if isinstance(event, e.FallbackTaken)][-1]
    assert ("lost", "docker", "local") == (taken.cause, taken.wanted, taken.used)
    assert [e.Attempt("docker", "outage", "unknown")] == list(taken.attempts)
    assert ["gone", "echo"] == [command.argv[0] for command in world.machine.executed]
    assert ("succeeded", "clean") == (world.ledger.status(), world.ledger.state().cleanliness)


def test_a_sandbox_that_is_gone_between_two_commands_is_lost(world: World) -> None:
    """A later process that finds none says so on record, and takes no further command."""
    opened = world.ledger.open()
    with world.ledger.resume(opened.stream) as run:
        run.execute(["echo", "a"])
    later = world.again()
    later.machine.kinds["local"] = Unavailable(reason="outage", message="it does not answer")
    with later.ledger.resume(opened.stream) as run:
        with pytest.raises(MoveIllegal, match="its sandbox was lost"):
            run.execute(["echo", "b"])
        assert "SandboxLost" == later.kinds(opened.stream)[-1]


def test_what_a_command_changes_though_it_is_protected_is_on_record(
    world_with: Callable[..., World],
) -> None:
    """The finding names the command and the path; what was not changed is not in it."""
    world = world_with(protected=("docs", "src"))

    def change(command: Command) -> Executed:
        tree = next(iter(world.machine.trees.values()))
        tree["docs/a.txt"] = b"changed"
        return Executed(exit_code=0, usage=Usage(duration_us=1))

    world.machine.programs["change"] = change
    with world.ledger.run() as run:
        run.execute(["change"])
        run.execute(["echo", "quiet"])
    found = world.only(run.stream, e.ProtectedPathChanged)
    assert ("c1", 1, e.ProtectedText(paths=("docs",))) == (
        found.command,
        found.count,
        found.private,
    )


def test_with_consent_to_a_loss_every_change_is_captured_at_once(
    world_with: Callable[..., World],
) -> None:
    """A patch follows each command that changed the tree, and none of those that did not."""
    world = world_with(on_lost="fallback")
    with world.ledger.run() as run:
        run.execute(["echo", "a"])
        run.execute(["echo", "b"])
    captured = [event for event in world.events(run.stream) if isinstance(event, e.PatchCaptured)]
    # The fake's tree after a capture is always the same other one.
    assert [False, True] == [event.ending for event in captured]


def test_a_sandbox_that_may_have_come_to_be_is_looked_for_at_the_end(world: World) -> None:
    """An attempt of unknown effect is kept in hand until the run ends, and then closed."""
    answer = Unavailable(reason="outage", message="no answer", unknown_effect=True)

    class Silent(FakeSandbox):
        def create(self, wish: SandboxWish) -> SandboxMade | Unavailable:
            return answer if self.kind == "docker" else super().create(wish)

    world.sandbox_maker = Silent
    world.machine.kinds["e2b"] = Unavailable(reason="no_key", message="none")
    world.machine.kinds["docker"] = LOCAL
    with world.ledger.run(overrides=Overrides(sandbox="docker")) as run:
        run.execute(["echo", "a"])
        (silent,) = [made for made in world.made if made.kind == "docker"]
        assert silent.closed == 0
    taken = world.only(run.stream, e.FallbackTaken)
    assert e.Attempt("docker", "outage", "unknown") == taken.attempts[0]
    assert silent.closed == 1


def test_a_detached_run_is_closed_without_its_secrets_though_nobody_knows_them_now(
    world: World,
) -> None:
    """What an earlier process captured and cleaned is what counts at the end."""
    secret = "correct horse"
    opened = world.ledger.open()

    def leak(command: Command) -> Executed:
        world.machine.trees[opened.workspace]["leak.txt"] = secret.encode()
        return Executed(exit_code=0, usage=Usage(duration_us=1))

    world.machine.programs["leak"] = leak
    with world.ledger.resume(opened.stream) as run:
        run.execute(["leak"], env={"DB_PASSWORD": secret})
    later = world.again()
    with later.ledger.resume(opened.stream) as run:
        run.close()
    patches = [event for event in later.events(opened.stream) if isinstance(event, e.PatchCaptured)]
    assert [(False, 1), (True, 1)] == [
        (patch.ending, sum(patch.redactions.values())) for patch in patches
    ]
    assert patches[0].private == patches[1].private
    with sqlite3.connect(world.directory / "ledger.db") as database:
        rows = database.execute("SELECT body FROM blobs").fetchall()
    database.close()
    assert all(secret.encode() not in body for (body,) in rows)
