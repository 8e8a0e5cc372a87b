"""Signals: the whole tree ends, the run is cancelled and cleaned up, nothing is lost."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adapters import open_ledger
from ledger import events as e
from tests.cli.gesta import MODULE, environment, gesta, start

ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def alive(tmp_path: Path) -> tuple[Path, int]:
    """Return a FIFO, and our end of it, which is at its end when nobody has the other any more."""
    path = tmp_path / "alive"
    os.mkfifo(path)
    return path, os.open(path, os.O_RDONLY | os.O_NONBLOCK)


def wait_for_end(reader: int) -> None:
    """Wait until every process that held the other end is gone."""
    os.set_blocking(reader, True)
    while os.read(reader, 4096):
        continue
    os.close(reader)


def check_cancelled(home: Path, repository: Path, number: int) -> None:
    """Assert that the newest run was cancelled by a signal, and that nothing of it is left."""
    with open_ledger(home) as ledger:
        state, events = ledger.state(), [record.event for record in ledger.events()]
    assert ("cancelled", "clean") == (state.status, state.cleanliness)
    (cancelled,) = [event for event in events if isinstance(event, e.CommandCancelled)]
    assert number == cancelled.signal
    (completed,) = [event for event in events if isinstance(event, e.RunCompleted)]
    assert ("cancelled", "signal") == (completed.outcome, completed.reason)
    assert isinstance(events[-1], e.RunSealed)
    listed = subprocess.run(
        ["git", "-C", str(repository), "worktree", "list"], check=True, capture_output=True
    )
    assert 1 == len(listed.stdout.splitlines())
    assert [] == list((home / "locks").iterdir())


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_ends_the_whole_tree_and_is_recorded(
    home: Path, repository: Path, tmp_path: Path, number: int
) -> None:
    """Also what left its session, and what ignores the signal; the code is 128+n."""
    path, reader = alive(tmp_path)
    script = f"exec 3>{path}; trap '' INT TERM HUP; setsid sleep 300 & echo ready; sleep 300"
    process = start("run", "--profile", "local", "--", "sh", "-c", script, cwd=repository)
    assert process.stdout is not None
    assert b"ready\n" == process.stdout.readline()
    process.send_signal(number)
    process.communicate(timeout=60)
    assert 128 + number == process.returncode
    wait_for_end(reader)
    check_cancelled(home, repository, number)


def test_a_signal_to_the_whole_group_is_recorded_all_the_same(
    home: Path, repository: Path, tmp_path: Path
) -> None:
    """As a terminal sends it: the supervisor lives on to say how the command ended."""
    path, reader = alive(tmp_path)
    script = f"exec 3>{path}; echo ready; sleep 300"
    process = subprocess.Popen(
        [*MODULE, "run", "--profile", "local", "--", "sh", "-c", script],
        cwd=repository,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert b"ready\n" == process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert 130 == process.returncode
    wait_for_end(reader)
    check_cancelled(home, repository, signal.SIGINT)


def test_a_second_interrupt_stops_waiting(home: Path, repository: Path, tmp_path: Path) -> None:
    """Who presses ^C twice is not kept; the run ends now, or by recovery, and nothing is lost."""
    path, reader = alive(tmp_path)
    script = f"exec 3>{path}; trap '' INT TERM; echo ready; while :; do sleep 1; done"
    process = start("run", "--profile", "local", "--", "sh", "-c", script, cwd=repository)
    assert process.stdout is not None
    assert b"ready\n" == process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert 130 == process.returncode
    wait_for_end(reader)
    assert 0 == gesta("recover", cwd=repository).code
    with open_ledger(home) as ledger:
        state = ledger.state()
    assert state.status in ("cancelled", "abandoned")
    assert ("clean", 1) == (state.cleanliness, state.commands)


@pytest.mark.parametrize("leader", ["gesta", "sh"])
def test_closing_the_terminal_loses_nothing(
    home: Path, repository: Path, tmp_path: Path, leader: str
) -> None:
    """The line hangs up: the command ends, what it did is captured, the run is on record."""
    path, reader = alive(tmp_path)
    script = f"exec 3>{path}; echo made > made.txt; echo ready; sleep 300"
    command = [*MODULE, "run", "--profile", "local", "--", "sh", "-c", script]
    if leader == "sh":
        command = ["sh", "-c", '"$@"; :', "sh", *command]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(repository)
        os.execvpe(command[0], command, environment(TERM="xterm"))
    seen = b""
    while b"ready" not in seen:
        seen += os.read(terminal, 1024)
    os.close(terminal)
    os.waitpid(child, 0)
    wait_for_end(reader)
    assert 0 == gesta("recover", cwd=repository).code
    with open_ledger(home) as ledger:
        state = ledger.state()
        patch = gesta("diff", cwd=repository).out
    assert (1, "clean") == (state.commands, state.cleanliness)
    assert state.status in ("cancelled", "abandoned")
    if leader == "gesta":
        check_cancelled(home, repository, signal.SIGHUP)
    assert b"+made" in patch


def test_what_nohup_protects_goes_on(home: Path, repository: Path) -> None:
    """A signal that was ignored when we started stays ignored."""
    script = "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    script += "os.execv(sys.argv[1], sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", script, *MODULE]
        + ["run", "--profile", "local", "--", "sh", "-c", "echo ready; read line; exit 4"],
        cwd=repository,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert b"ready\n" == process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    process.communicate(b"go on\n", timeout=60)
    assert 4 == process.returncode
    with open_ledger(home) as ledger:
        assert "failed" == ledger.status()
