"""No blob is collected between the moment that it is a file and the event that names it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from hashlib import sha256
from pathlib import Path

import pytest

from adapters.blob_files import DraftFile
from adapters.blobs import ROW_LIMIT, Blobs
from adapters.home import Home
from adapters.inventory import HomeInventory
from adapters.shared_lock import SharedLock, alone
from adapters.spool import SpoolFiles
from adapters.workspace_files import WorkspaceFiles

ROOT = Path(__file__).parents[2]
WRITER = """
import os, sys
from pathlib import Path
from adapters.blobs import ROW_LIMIT, Blobs
blobs, named = Blobs(Path(sys.argv[1]), rows=lambda digest: None), Path(sys.argv[2])
for number in range(int(sys.argv[4])):
    with blobs.keeping():
        digest = blobs.put(b"%s %d " % (sys.argv[3].encode(), number) * ROW_LIMIT).digest
        # The event that names it, on record.
        (named / digest).touch()
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home whose directories are not there yet."""
    return Home(tmp_path)


@pytest.fixture
def inventory(home: Home) -> HomeInventory:
    """What there is in that home."""
    return HomeInventory(home, SpoolFiles(home.spool), lambda: ())


@pytest.fixture
def blobs(home: Home) -> Blobs:
    """The blobs of that home."""
    return Blobs(home.blobs, rows=lambda _: None)


LARGE = b"x" * (ROW_LIMIT + 1)


def test_who_collects_waits_for_who_keeps(blobs: Blobs, inventory: HomeInventory) -> None:
    """Alone is who collects: not before the block is over in which a file was made."""
    with blobs.keeping():
        blobs.put(LARGE)
        collected = threading.Event()

        def collect() -> None:
            with inventory.collecting() as is_alone:
                assert is_alone
                collected.set()

        thread = threading.Thread(target=collect)
        thread.start()
        assert not collected.wait(0.05)
    assert collected.wait(10)
    thread.join()


def test_who_writes_waits_for_who_collects(blobs: Blobs, inventory: HomeInventory) -> None:
    """No file takes its name while another process has the blobs alone."""
    blobs.put(LARGE)
    finished = threading.Event()

    def write() -> None:
        with blobs.keeping():
            blobs.put(LARGE[::-1] + b"y")
        finished.set()

    with inventory.collecting() as is_alone:
        assert is_alone
        thread = threading.Thread(target=write)
        thread.start()
        assert not finished.wait(0.05)
        assert 1 == len(inventory.blob_files())
    assert finished.wait(10)
    thread.join()
    assert 2 == len(inventory.blob_files())


def test_small_blobs_take_no_lock(blobs: Blobs, home: Home) -> None:
    """What comes as a row costs nothing: no file is opened or made."""
    with blobs.keeping():
        blobs.put(b"small")
    assert [] == list(home.path.iterdir())


def test_nested_blocks_are_one(tmp_path: Path) -> None:
    """The lock is let go when the outermost block ends, however many threads have one."""
    path = tmp_path / "lock"
    lock = SharedLock(path)
    with lock.keeping():
        with lock.keeping():
            lock.take()
        with alone(path, 0) as is_alone:
            assert not is_alone
    with alone(path, 0) as is_alone:
        assert is_alone


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    """A child that outlives its parent does not make gc wait."""
    path = tmp_path / "lock"
    lock = SharedLock(path)
    readable, writable = os.pipe()
    with lock.keeping():
        lock.take()
        child = os.fork()
        if child == 0:
            os.read(readable, 1)
            os._exit(0)
    with alone(path, 5) as is_alone:
        assert is_alone
    os.write(writable, b"x")
    os.waitpid(child, 0)
    os.close(readable)
    os.close(writable)


def test_a_draft_that_is_being_written_is_not_dead(home: Home, inventory: HomeInventory) -> None:
    """Its writer keeps a lock on it; one that is not locked is a dead writer's."""
    draft = DraftFile(home.blobs)
    draft.write(b"x")
    (home.blobs / ".draft-dead").write_bytes(b"half")
    assert {"blobs/.draft-dead": 4} == inventory.dead_drafts()
    inventory.remove_draft("blobs/.draft-dead")
    assert {} == inventory.dead_drafts()
    (name,) = [path.name for path in home.blobs.iterdir()]
    inventory.remove_draft(f"blobs/{name}")
    draft.publish(Path("sha256", "ab", "cd"))
    assert ["abcd"] == list(inventory.blob_files())


def test_a_journal_that_was_killed_half_written_is_found(
    home: Home, inventory: HomeInventory
) -> None:
    """What stands whole is not, and neither is what somebody is writing still."""
    journal = home.workspaces / "T/runs/R/journal"
    assert (
        WorkspaceFiles().write(home.path, "workspaces/T/runs/R/journal/events.jsonl", b"{}") is None
    )
    (journal / ".events.jsonl.0123").write_bytes(b"{")
    with open(journal / ".events.jsonl.4567", "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert {"workspaces/T/runs/R/journal/.events.jsonl.0123": 1} == inventory.dead_drafts()
    inventory.remove_draft("workspaces/T/runs/R/journal/.events.jsonl.0123")
    assert [".events.jsonl.4567", "events.jsonl"] == sorted(os.listdir(journal))


@pytest.mark.parametrize("link", ["T/runs/R/journal", "T/runs/R", "T"])
def test_what_lies_behind_a_link_is_not_taken_for_a_draft(
    home: Home, inventory: HomeInventory, tmp_path: Path, link: str
) -> None:
    """A command may have put a link where a run's journal would be."""
    place = home.workspaces / link
    elsewhere = tmp_path / "elsewhere"
    journal = elsewhere / Path("T/runs/R/journal").relative_to(link)
    journal.mkdir(parents=True)
    (journal / ".events.jsonl.0123").write_bytes(b"theirs")
    place.parent.mkdir(parents=True)
    place.symlink_to(elsewhere)
    assert {} == inventory.dead_drafts()


def test_writers_race_a_collector_and_lose_nothing(
    home: Home, inventory: HomeInventory, tmp_path: Path
) -> None:
    """Four processes write, one collects all the time: every blob that is named is there."""
    named, writers, each = tmp_path / "named", 4, 40
    named.mkdir()
    home.blobs.mkdir()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(home.blobs), str(named), str(number), str(each)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for number in range(writers)
    ]
    collected = 0
    while any(process.poll() is None for process in processes):
        # One that nobody names, so that there is always something to collect.
        stray = sha256(str(collected).encode()).hexdigest()
        path = home.blobs / "sha256" / stray[:2] / stray[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        with inventory.collecting() as is_alone:
            for digest in inventory.blob_files() if is_alone else ():
                if not (named / digest).exists():
                    inventory.remove_blob(digest)
                    collected += 1
    assert [0] * writers == [process.wait() for process in processes]
    assert {path.name for path in named.iterdir()} <= inventory.blob_files().keys()
    assert writers * each == len(list(named.iterdir()))
    assert collected > 0
