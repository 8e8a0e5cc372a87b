"""Machines at a provider, after whoever made them was killed: found by their marks, and ended."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from adapters import open_ledger
from adapters.e2b.execution import FORSAKEN_S
from ledger import events as e
from ledger.errors import StoreUnavailable
from tests.cli.gesta import gesta, profile, start
from tests.e2b_server import E2BServer
from tests.e2e.newest_run import recorded

CREATE = "^POST /v2/sandboxes$"


@pytest.fixture(autouse=True)
def cloud(home: Path) -> None:
    """A profile, `cloud`, that wants E2B or nothing."""
    profile(home, "cloud", "sandbox: {type: e2b, fallback: [], may_lose: [limits]}\n")


def test_a_killed_run_s_machine_is_ended_by_recovery(server: E2BServer, repository: Path) -> None:
    """It lives on at the provider; the next one who looks ends it, and records that."""
    script = "echo ready; sleep 300"
    process = start("run", "--profile", "cloud", "--", "sh", "-c", script, cwd=repository)
    assert process.stdout is not None
    assert b"ready\n" == process.stdout.readline()
    process.kill()
    process.communicate(timeout=60)
    assert 1 == len(server.machines.living())

    done = gesta("recover", cwd=repository)

    assert 0 == done.code, done.err
    assert [] == server.machines.living()
    assert ["sandbox", "worktree"] == [event.resource for event in recorded(e.CleanedUp)]
    assert [e.RunAbandoned(lost=("c1",))] == recorded(e.RunAbandoned)


def test_a_machine_that_was_made_and_not_recorded_is_ended(
    server: E2BServer, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the provider's answer and the record of it: nobody has its id but the mark."""

    def fail(*args: object, **named: object) -> object:
        raise StoreUnavailable("cannot append to the ledger: disk full")

    with open_ledger() as ledger:
        stream = ledger.open(task="T", profile="cloud", directory=repository).stream
        with ledger.resume(stream) as resumed, monkeypatch.context() as patched:
            patched.setattr(ledger.journal, "append", fail)
            # As a kill would leave it: the machine is there, and no more is done.
            patched.setattr("adapters.e2b_sandbox.E2BSandbox.close", lambda self: None)
            with pytest.raises(StoreUnavailable):
                resumed.execute(["true"])
    assert 1 == len(server.machines.living())
    assert [] == recorded(e.SandboxCreated)

    assert 0 == gesta("close", stream, cwd=repository).code
    assert [] == server.machines.living()
    assert "sandbox" in [event.resource for event in recorded(e.CleanedUp)]


def test_gc_ends_the_machines_of_no_run_and_leaves_other_homes_alone(
    server: E2BServer, repository: Path, home: Path
) -> None:
    """Ours that nothing is on record of is an orphan; another home's is told."""
    from adapters.e2b_sandbox import E2BSandbox
    from ledger.isolation import Limits
    from ledger.outcomes import SandboxMade
    from ledger.ports import SandboxWish

    with open_ledger() as ledger:
        ours = ledger.hands.home_id
    made = []
    for number, home_id in enumerate((ours, "another")):
        wish = SandboxWish(
            home_id=home_id,
            stream=f"01a21100-d584-7ff1-9a7a-48a59a36635{number}",
            ordinal=1,
            workspace=repository,
            filesystem="workspace",
            network="none",
            limits=Limits(),
        )
        sandbox = E2BSandbox(server.environment)
        made.append(sandbox.create(wish))
    first, second = made
    assert isinstance(first, SandboxMade)
    assert isinstance(second, SandboxMade)

    named = gesta("gc", "--dry-run", "--json", cwd=repository).json["drift"]
    assert {(f"e2b {first.id}", None), (f"e2b {second.id}", "left")} == {
        (drift["name"], drift["done"]) for drift in named
    }
    assert 0 == gesta("gc", cwd=repository).code
    assert [second.id] == [machine.id for machine in server.machines.living()]
    with open_ledger() as ledger:
        own = ledger.journal.history(ledger.journal.store.ledger_id)
    kinds = [type(record.event) for record in own]
    assert [e.LedgerCreated, e.OrphanFound, e.OrphanRemoved] == kinds


def test_what_a_killed_exec_left_running_ends_when_the_run_is_worked_in_again(
    server: E2BServer, repository: Path, tmp_path: Path
) -> None:
    """The machine stays for the run; the command of the dead process does not."""
    with open_ledger() as ledger:
        stream = ledger.open(task="T", profile="cloud", directory=repository).stream
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    script = f"exec 3>{alive}; echo ready; sleep 300"
    process = start("exec", stream, "--", "sh", "-c", script, cwd=repository)
    with open(alive, "rb") as reader:
        assert process.stdout is not None
        assert b"ready\n" == process.stdout.readline()
        process.kill()
        process.communicate(timeout=60)
        began = time.monotonic()
        again = gesta("exec", stream, "--", "true", cwd=repository)
        assert 0 == again.code, again.err
        # At its end: nobody there holds the other end any more.
        assert b"" == reader.read()
        # Left to itself it would have gone on until it had not heard of us for so long.
        assert time.monotonic() - began < FORSAKEN_S
    assert 0 == gesta("close", stream, cwd=repository).code
    assert [] == server.machines.living()
