"""What a command at E2B finds of its surroundings there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters import open_ledger
from ledger import events as e
from tests.cli.gesta import profile
from tests.e2b_server import E2BServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[E2BServer]:
    """Give a provider that the SDK is led to."""
    with E2BServer() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


def test_a_command_has_the_home_directory_of_where_it_runs(
    home: Path, server: E2BServer, repository: Path
) -> None:
    """It is neither ours nor missing, and the record says which it was."""
    profile(home, "cloud", "sandbox: {type: e2b, fallback: [], may_lose: [limits]}\n")
    with open_ledger() as ledger:
        with ledger.run(profile="cloud", directory=repository) as run:
            result = run.execute(["sh", "-c", 'touch "$HOME/made" && echo "$HOME"'])
        requested = [
            r.event for r in ledger.events(run.id) if isinstance(r.event, e.CommandRequested)
        ]

    assert result.success, result.stderr
    assert result.stdout.strip()
    text = requested[0].private
    assert isinstance(text, e.CommandText)
    assert text.env["HOME"] == result.stdout.decode().strip()
    assert text.env["HOME"] != os.environ["HOME"]


def test_a_detached_run_finds_its_sandbox_again(
    home: Path, server: E2BServer, repository: Path
) -> None:
    """Each command comes through a ledger of its own; one machine serves all, and then ends."""
    profile(home, "cloud", "sandbox: {type: e2b, fallback: [], may_lose: [limits]}\n")
    with open_ledger() as ledger:
        stream = ledger.open(profile="cloud", directory=repository).stream
    for script in ('echo one > "$HOME/kept"', 'test -e "$HOME/kept"'):
        with open_ledger() as ledger, ledger.resume(stream) as run:
            assert run.execute(["sh", "-c", script]).success
            assert 1 == len(server.machines.living())
    with open_ledger() as ledger, ledger.resume(stream) as run:
        run.close()
    with open_ledger() as ledger:
        state = ledger.state(stream)

    assert ("succeeded", "clean") == (state.status, state.cleanliness)
    assert 1 == len(server.asked("^POST /v2/sandboxes$"))
    assert [] == server.machines.living()
