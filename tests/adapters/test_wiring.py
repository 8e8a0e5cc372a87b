"""A ledger put together, with everything real."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from adapters import open_ledger
from adapters.wiring.sandboxes import make_sandbox
from ledger.errors import RunNotFound
from ledger.events import CommandRequested, CommandText, LedgerCreated, RunOpened
from ledger.outcomes import Unavailable


def test_a_run_is_recorded_in_its_order(
    home: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every event of a run by the default profile stands in the order of the walk."""
    monkeypatch.chdir(repository)
    with open_ledger() as ledger:
        with ledger.run(task="T-1", run="R-1") as run:
            result = run.execute(["sh", "-c", "echo out; echo hi > new.txt; exit 3"])
        topics = [record.topic for record in ledger.events("R-1")]
        status, state = ledger.status("T-1/R-1"), ledger.state()

    assert (3, b"out\n", b"") == (result.exit_code, result.stdout, result.stderr)
    assert ("failed", "clean") == (status, state.cleanliness)
    assert [
        "run.opened.1",
        "worktree.created.1",
        "fallback.taken.1",
        "sandbox.created.3",
        "command.requested.1",
        "command.executed.1",
        "patch.captured.1",
        "cleaned.up.1",
        "cleaned.up.1",
        "run.completed.1",
        "run.sealed.2",
    ] == topics


def test_the_first_event_of_a_ledger_says_that_it_came_to_be(home: Path) -> None:
    """Opening twice makes one ledger, with one first event."""
    for _ in range(2):
        with open_ledger() as ledger:
            first = list(ledger.journal.read())

    assert [LedgerCreated] == [type(record.event) for record in first]
    assert 0 == first[0].position


def test_what_runs_inside_a_run_names_it_as_its_parent(
    home: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger opened by a command works in the same home, and its run has a parent."""
    monkeypatch.chdir(repository)
    inner = (
        "from adapters import open_ledger\n"
        "with open_ledger() as ledger, ledger.run(task='inner') as run: run.execute(['true'])\n"
    )
    here = str(Path(__file__).parents[2])
    with open_ledger() as ledger:
        with ledger.run(task="outer", profile="local") as outer:
            done = outer.execute([sys.executable, "-c", inner], env={"PYTHONPATH": here})
        opened = [r.event for r in ledger.journal.read(topics=["run.opened.1"])]

    assert 0 == done.returncode, done.stderr
    assert [None, outer.stream] == [e.parent for e in opened if isinstance(e, RunOpened)]


def test_a_run_of_another_ledger_is_nobodys_parent(
    home: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run id that this ledger does not know is not taken on trust."""
    monkeypatch.setenv("GESTA_RUN", "0198c3a0-0000-7000-8000-000000000000")
    with open_ledger() as ledger, ledger.run(directory=repository) as run:
        opened = ledger.events(run.stream)[0].event

    assert isinstance(opened, RunOpened)
    assert opened.parent is None


def test_threads_may_run_at_once_in_one_ledger(home: Path, repository: Path) -> None:
    """Each gets a run of its own, whole, and positions have no gap."""
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            with ledger.run(task=f"T-{number}", directory=repository) as run:
                assert run.execute(["true"]).success
        except BaseException as error:
            failures.append(error)

    with open_ledger() as ledger:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        positions = [record.position for record in ledger.journal.read()]

    assert [] == failures
    assert list(range(len(positions))) == positions


def test_an_exception_in_the_block_fails_the_run_and_cleans_it_up(
    home: Path, repository: Path
) -> None:
    """The exception goes on, and the run is on record as failed and clean."""
    with open_ledger() as ledger:
        with pytest.raises(ZeroDivisionError), ledger.run(directory=repository) as run:
            1 / 0  # noqa: B018
        state = ledger.state(run.id)

    assert ("failed", "clean") == (state.status, state.cleanliness)


def test_the_callers_subdirectory_is_where_a_command_runs(home: Path, repository: Path) -> None:
    """A run opened in `src` executes in the worktree's `src`."""
    with open_ledger() as ledger, ledger.run(directory=repository / "src") as run:
        result = run.execute(["sh", "-c", "basename $PWD; ls"])

    assert b"src\nprogram.py\n" == result.stdout


def test_a_command_never_gets_the_main_checkout(home: Path, repository: Path) -> None:
    """Its directory is in the workspace, and git does not find the checkout from there."""
    with open_ledger() as ledger:
        with ledger.run(directory=repository) as run:
            result = run.execute(["git", "rev-parse", "--show-toplevel"])
            inside = run.workspace
        requested = [
            r.event for r in ledger.events(run.id) if isinstance(r.event, CommandRequested)
        ]

    status = subprocess.run(
        ["git", "-C", str(repository), "status", "--porcelain"], capture_output=True, check=True
    )
    text = requested[0].private
    assert isinstance(text, CommandText)
    assert str(inside) == text.cwd
    assert f"{inside}\n".encode() == result.stdout
    assert b"" == status.stdout


def test_kinds_that_are_not_here_say_why() -> None:
    """E2B wants a key; what nobody plugged in is not installed."""
    no_key = make_sandbox("e2b", {})
    unknown = make_sandbox("no-such-kind", {})

    assert isinstance(no_key, Unavailable)
    assert isinstance(unknown, Unavailable)
    assert ("no_key", "unknown_kind") == (no_key.reason, unknown.reason)


def test_a_run_that_nobody_opened_is_not_found(home: Path) -> None:
    """Asking for the newest run of an empty ledger, or for an unknown one, is one clear error."""
    with open_ledger() as ledger:
        with pytest.raises(RunNotFound, match="none is on record yet"):
            ledger.find()
        with pytest.raises(RunNotFound, match="cannot find run T/R"):
            ledger.find("T/R")
