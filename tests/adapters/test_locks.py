"""Run locks: who holds one, and when it is let go."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.locks import FlockRunLock
from ledger.errors import RunBusy, StoreUnavailable

ROOT = Path(__file__).parents[2]
HOLDING = """
import sys
from pathlib import Path
from adapters.locks import FlockRunLock
with FlockRunLock(Path(sys.argv[1])).hold("run"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the locks are."""
    return tmp_path / "locks"


@contextmanager
def process(program: str, directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Start *program* and wait until it holds the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(directory)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        assert started.stdout is not None
        assert "held\n" == started.stdout.readline()
        yield started


def test_a_lock_is_held_while_its_block_runs(directory: Path) -> None:
    """Free before, held inside, free after, also when the block raises; no file is left."""
    lock = FlockRunLock(directory)
    assert "free" == lock.state("run")
    with lock.hold("run"):
        assert "held" == lock.state("run")
        assert "free" == lock.state("other")
    assert "free" == lock.state("run")
    with pytest.raises(KeyError), lock.hold("run"):
        raise KeyError
    assert "free" == lock.state("run")
    assert [] == list(directory.iterdir())


def test_two_sessions_of_one_process_exclude_each_other(directory: Path) -> None:
    """The second is refused at once, with the run's name, and may have it afterwards."""
    first, second = FlockRunLock(directory), FlockRunLock(directory)
    for other in (first, second):
        with (
            first.hold("run"),
            pytest.raises(RunBusy, match="cannot work in run run: another process is at work"),
            other.hold("run"),
        ):
            raise AssertionError
    with second.hold("run"), first.hold("other"):
        assert "held" == first.state("run")


def test_another_process_is_refused_until_the_holder_ends(directory: Path) -> None:
    """While one process holds it another cannot; once it has ended, it can."""
    lock = FlockRunLock(directory)
    with process(HOLDING, directory) as holder:
        assert "held" == lock.state("run")
        with pytest.raises(RunBusy), lock.hold("run"):
            raise AssertionError
        holder.communicate("\n")
    with lock.hold("run"):
        assert "held" == lock.state("run")


def test_a_killed_process_lets_go(directory: Path) -> None:
    """After SIGKILL the lock is free, though its file is still there."""
    lock = FlockRunLock(directory)
    with process(HOLDING, directory) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert (directory / "run.lock").exists()
    assert "free" == lock.state("run")
    with lock.hold("run"):
        assert "held" == lock.state("run")
    assert [] == list(directory.iterdir())


def test_a_forked_child_does_not_keep_the_lock(directory: Path) -> None:
    """When the holder dies, a child that it forked meanwhile holds nothing."""
    program = """
import os, sys
from pathlib import Path
from adapters.locks import FlockRunLock
with FlockRunLock(Path(sys.argv[1])).hold("run"):
    if os.fork() == 0:
        # By now it has let go of what was its parent's.
        print("held", flush=True)
        print(os.getpid(), flush=True)
    sys.stdin.readline()
"""
    lock = FlockRunLock(directory)
    with process(program, directory) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        assert "held" == lock.state("run")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        try:
            with lock.hold("run"):
                os.kill(child, 0)
        finally:
            os.kill(child, signal.SIGKILL)


def test_the_file_says_who_holds_it(directory: Path) -> None:
    """Process id, start time and boot id are there for whoever looks."""
    with FlockRunLock(directory).hold("run"):
        hint = json.loads((directory / "run.lock").read_text())
    assert {"pid", "started", "boot", "processes"} == hint.keys()
    assert os.getpid() == hint["pid"]
    if sys.platform == "linux":
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        assert int(fields[19]) == hint["started"]


def test_a_longer_hint_of_a_dead_holder_is_overwritten(directory: Path) -> None:
    """What an earlier holder left in the file does not mix with the new holder's."""
    directory.mkdir()
    (directory / "run.lock").write_text("x" * 1000)
    with FlockRunLock(directory).hold("run"):
        assert os.getpid() == json.loads((directory / "run.lock").read_text())["pid"]


def test_asking_for_the_state_never_makes_holding_fail(directory: Path) -> None:
    """While others ask as fast as they can, a free lock can be had every time."""
    directory.mkdir()
    lock, done = FlockRunLock(directory), threading.Event()

    def ask() -> None:
        while not done.is_set():
            lock.state("run")

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(60):
            # A file that a dead holder left makes those who ask lock it for a moment.
            (directory / "run.lock").touch()
            with lock.hold("run"):
                assert "held" == lock.state("run")
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_of_processes_that_race_never_two_hold_it(directory: Path, tmp_path: Path) -> None:
    """Files come and go under the racers, and still each lock has one holder at a time."""
    program = f"""
import os, sys
from pathlib import Path
from adapters.locks import FlockRunLock
from ledger.errors import RunBusy
lock, inside = FlockRunLock(Path({str(directory)!r})), Path({str(tmp_path / "inside")!r})
held = 0
while held < 50:
    try:
        with lock.hold("run"):
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
            inside.unlink()
            held += 1
    except RunBusy:
        continue
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    racers = [subprocess.Popen([sys.executable, "-c", program], env=environment) for _ in range(3)]
    assert [0, 0, 0] == [racer.wait(100) for racer in racers]


def test_a_place_without_locks_is_said(tmp_path: Path) -> None:
    """Where no lock file can be made, that is the error, and no run is called busy."""
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StoreUnavailable, match="cannot lock run run"),
        FlockRunLock(tmp_path / "file").hold("run"),
    ):
        raise AssertionError
