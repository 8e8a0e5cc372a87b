"""A sandbox that vanishes, one that is replaced, and what cannot be put on record at all."""

from __future__ import annotations

import msgspec
import pytest

from ledger import events as e
from ledger.errors import InputInvalid, MoveIllegal
from ledger.outcomes import Lost
from tests.fakes.machine import LOCAL
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
