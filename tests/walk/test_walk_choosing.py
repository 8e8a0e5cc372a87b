"""Choosing a sandbox: nothing is used that loses more than the policy consents to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings

from ledger import events as e
from ledger.choosing import sandbox_wish
from ledger.errors import IsolationRefused
from ledger.isolation import AXES, Axis, Isolation, Limits, lost
from ledger.outcomes import SandboxMade, Unavailable
from ledger.overrides import Overrides
from ledger.ports import SandboxWish
from ledger.session import Session
from tests.fakes.machine import LOCAL
from tests.fakes.sandbox import FakeSandbox
from tests.fakes.world import HOME, World, rules
from tests.ledger.samples import ASKED
from tests.strategies import axes, isolations

ALL_LOST: tuple[Axis, ...] = ("boundary", "filesystem", "network", "processes", "limits", "record")
NO_FALLBACK = {"fallback": (), "may_lose": ()}


def test_the_kind_that_the_policy_names_needs_no_fallback(world: World) -> None:
    """A sandbox as asked is created and said, and nothing else is."""
    world.machine.kinds["e2b"] = ASKED
    with world.ledger.run() as run:
        run.execute(["echo"])
        expected = e.SandboxCreated(
            ordinal=1,
            kind="e2b",
            id=f"gesta-{HOME}-{run.stream}-1",
            had=ASKED,
            lifetime="command",
            persists=("files",),
            # The clock of these tests moves by one each time it is read.
            startup_us=1,
        )
        assert expected == world.only(run.stream, e.SandboxCreated)
        assert "FallbackTaken" not in world.kinds(run.stream)


def test_a_fallback_is_on_record_before_the_command_and_with_it(world: World) -> None:
    """What was tried and lost, the sandbox and the request are one append, in this order."""
    with world.ledger.run() as run:
        before = world.machine.fuse.passed.count("store.append")
        run.execute(["echo"])
        # One append for the intent, one for the outcome.
        assert 2 == world.machine.fuse.passed.count("store.append") - before
        expected = e.FallbackTaken(
            component="sandbox",
            wanted="e2b",
            cause="unavailable",
            attempts=(
                e.Attempt("e2b", "no_key", "none"),
                e.Attempt("bubblewrap", "not_installed", "none"),
            ),
            used="local",
            lost=ALL_LOST,
            allowed_by="sandbox.may_lose",
            private=e.FallbackText(messages=("E2B_API_KEY is not set", "bwrap is not installed")),
        )
        assert expected == world.only(run.stream, e.FallbackTaken)
        kinds = ["FallbackTaken", "SandboxCreated", "CommandRequested", "CommandExecuted"]
        assert kinds == world.kinds(run.stream)[-4:]


def test_a_second_command_uses_the_same_sandbox(world: World) -> None:
    """A sandbox is made once a run, and said once."""
    with world.ledger.run() as run:
        run.execute(["echo"])
        run.execute(["echo"])
        assert 1 == world.kinds(run.stream).count("SandboxCreated")
        assert 1 == world.machine.fuse.passed.count("sandbox.create")


def test_without_any_permitted_sandbox_nothing_is_started(
    world_with: Callable[..., World],
) -> None:
    """A strict policy refuses: the refusal is on record, no sandbox is made, the run has failed."""
    world = world_with(**NO_FALLBACK)
    with pytest.raises(IsolationRefused) as caught, world.ledger.run(run="R-1") as run:
        run.execute(["echo"])
    assert (
        "cannot execute in sandbox e2b: e2b: E2B_API_KEY is not set; the policy's "
        "sandbox.fallback permits nothing else" == str(caught.value)
    )
    refused = world.only(run.stream, e.FallbackRefused)
    expected = e.FallbackRefused(
        component="sandbox",
        wanted="e2b",
        cause="unavailable",
        attempts=(e.Attempt("e2b", "no_key", "none"),),
        lost=(),
        forbidden_by="sandbox.fallback",
        private=e.FallbackText(messages=("E2B_API_KEY is not set",)),
    )
    assert expected == refused
    assert [] == world.machine.executed
    assert "sandbox.create" not in world.machine.fuse.passed
    assert ("failed", "clean") == (world.ledger.status("R-1"), world.ledger.state().cleanliness)
    assert "CommandRequested" not in world.kinds(run.stream)


def test_a_sandbox_that_is_too_weak_is_passed_over(world_with: Callable[..., World]) -> None:
    """What the local sandbox would lose is not permitted: it is tried, and not created."""
    world = world_with(may_lose=("boundary", "limits"))
    with world.ledger.run() as run:
        would_lose = "it would lose filesystem, network, processes"
        with pytest.raises(IsolationRefused, match=would_lose):
            run.execute(["echo"])
    refused = world.only(run.stream, e.FallbackRefused)
    assert ("local", "not_permitted") == (
        refused.attempts[-1].kind,
        refused.attempts[-1].reason,
    )
    assert "sandbox.may_lose" == refused.forbidden_by
    assert "sandbox.create" not in world.machine.fuse.passed


def test_a_sandbox_that_gives_less_than_it_offered_is_closed(
    world_with: Callable[..., World],
) -> None:
    """What was made is judged again: too weak in fact is closed and passed over."""
    world = world_with(**NO_FALLBACK)
    world.machine.kinds["e2b"] = ASKED
    weak = msgspec.structs.replace(ASKED, network="host")

    world.sandbox_maker = lambda kind, machine, witness: FakeSandbox(
        kind, machine, witness, gives=weak
    )
    with pytest.raises(IsolationRefused, match="it would lose network"), world.ledger.run() as run:
        run.execute(["echo"])
    assert set() == world.machine.sandboxes
    assert "SandboxCreated" not in world.kinds(run.stream)
    assert [] == world.machine.executed


def test_a_sandbox_that_cannot_be_created_is_an_attempt(world: World) -> None:
    """An offer is no promise: what cannot be created is tried, told and passed over."""
    outage = Unavailable(reason="outage", message="no answer", unknown_effect=True)

    class Failing(FakeSandbox):
        def create(self, wish: SandboxWish) -> SandboxMade | Unavailable:
            return outage if self.kind == "e2b" else super().create(wish)

    world.machine.kinds["e2b"] = ASKED
    world.sandbox_maker = Failing
    world.machine.kinds["bubblewrap"] = ASKED
    with world.ledger.run() as run:
        run.execute(["echo"])
        taken = world.only(run.stream, e.FallbackTaken)
        assert (e.Attempt("e2b", "outage", "unknown"),) == taken.attempts
        assert ("bubblewrap", ()) == (taken.used, taken.lost)


def test_a_sandbox_that_has_nothing_to_offer_is_passed_over_and_ended(world: World) -> None:
    """What was prepared and cannot be had leaves nothing behind, and is an attempt."""
    outage = Unavailable(reason="outage", message="no answer")

    class Silent(FakeSandbox):
        def offer(self, wish: SandboxWish) -> Isolation | Unavailable:
            return outage if self.kind == "e2b" else super().offer(wish)

    world.machine.kinds["e2b"] = ASKED
    world.sandbox_maker = Silent
    with world.ledger.run() as run:
        assert 1 == len(world.machine.prepared)
        run.execute(["echo"])
        assert set() == world.machine.prepared
        taken = world.only(run.stream, e.FallbackTaken)
        assert e.Attempt("e2b", "outage", "none") == taken.attempts[0]


def test_a_weaker_machine_is_a_fallback_of_its_own(world_with: Callable[..., World]) -> None:
    """The kind as asked with less than asked is recorded with the machine as its cause."""
    world = world_with(sandbox_type="local", fallback=())
    with world.ledger.run() as run:
        run.execute(["echo"])
        taken = world.only(run.stream, e.FallbackTaken)
        assert ("machine", "local", "local") == (taken.cause, taken.wanted, taken.used)
        assert ("filesystem", "network", "processes", "limits") == taken.lost


def test_a_sandbox_chosen_by_a_flag_is_an_override(world: World) -> None:
    """A flag's choice is used at once; what is lost by it is measured against the profile."""
    with world.ledger.run(overrides=Overrides(sandbox="local")) as run:
        run.execute(["echo"])
        taken = world.only(run.stream, e.FallbackTaken)
        assert ("override", "e2b", "local", ()) == (
            taken.cause,
            taken.wanted,
            taken.used,
            taken.attempts,
        )
        assert ALL_LOST == taken.lost


def test_a_flag_does_not_consent(world_with: Callable[..., World]) -> None:
    """What a flag's choice would lose still needs `may_lose`."""
    world = world_with(**NO_FALLBACK)
    with (
        pytest.raises(IsolationRefused),
        world.ledger.run(overrides=Overrides(sandbox="local")) as run,
    ):
        run.execute(["echo"])
    refused = world.only(run.stream, e.FallbackRefused)
    assert ("override", "sandbox.may_lose") == (refused.cause, refused.forbidden_by)


def test_the_next_process_takes_hold_of_the_same_sandbox(world: World) -> None:
    """In a detached run the sandbox on record is taken again, without a second event."""
    world.ledger.open(run="R-1").execute(["echo"])
    later = world.again()
    with later.ledger.resume("R-1") as run:
        run.execute(["echo"])
        assert 1 == later.kinds(run.stream).count("SandboxCreated")
        assert 1 == later.kinds(run.stream).count("FallbackTaken")
        requests = [x for x in later.events(run.stream) if isinstance(x, e.CommandRequested)]
        assert [1, 1] == [request.sandbox for request in requests]


def test_a_run_asks_for_its_sandbox_by_its_rules(world_with: Callable[..., World]) -> None:
    """The wish holds ids, workspace, isolation asked, image, lifetime, and what is to be shown."""
    world = world_with(image="python:3.13", read_only=("auto",), protected=("docs",), idle_limit=60)
    stream = world.ledger.open().stream
    session = Session(world.ledger.hands, stream, world.records(stream), world.provenance(None))
    expected = SandboxWish(
        home_id=HOME,
        stream=stream,
        ordinal=1,
        workspace=session.root,
        filesystem="workspace",
        network="none",
        limits=Limits(memory_mb=2048, processes=256, output_mb=64),
        image="python:3.13",
        read_only=("auto",),
        git_dirs=(Path("/home/ann/code/.git"), Path(f"{session.root}.git")),
        protected=("docs",),
        lifetime_s=60,
    )
    assert expected == sandbox_wish(session)


@settings(max_examples=25)
@given(had=isolations, may_lose=axes)
def test_a_command_runs_only_where_every_loss_is_consented_to(
    had: Isolation, may_lose: tuple[Axis, ...]
) -> None:
    """Whatever a machine gives, no command runs with a loss that `may_lose` does not have."""
    with TemporaryDirectory() as directory:
        profile = rules(fallback=("local",), may_lose=may_lose)
        world = World(Path(directory), profile=profile)
        world.machine.kinds["local"] = had
        weaker = lost(ASKED, had)
        active = world.ledger.open()
        try:
            active.execute(["echo"])
        except IsolationRefused:
            assert not set(weaker) <= set(may_lose)
            assert [] == world.machine.executed
        else:
            assert set(weaker) <= set(may_lose)
            assert weaker == world.only(active.stream, e.FallbackTaken).lost
        finally:
            world.end()


def test_axes_are_told_in_their_order() -> None:
    """The order of axes is one, wherever they are listed."""
    assert ALL_LOST == AXES
    assert ALL_LOST == lost(ASKED, LOCAL)
