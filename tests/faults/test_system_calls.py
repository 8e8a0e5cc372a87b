"""Every system call of an append fails once, and for good: what was told is kept, the tree whole.

The kernel is made to answer by strace(1), the store is the real one on a real disk.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.blobs import Blobs
from adapters.sqlite_store import open_store
from tests.contracts.store_contract import check_log, whole_log
from tests.faults.appending import BEGIN, END

ROOT = Path(__file__).parents[2]
# Those that touch the disk, and what they can answer when it is full, read-only or broken.
ERRORS = {
    "openat": ("ENOSPC", "EROFS", "EIO"),
    "write": ("ENOSPC", "EIO"),
    "pwrite64": ("ENOSPC", "EROFS", "EIO"),
    "fsync": ("ENOSPC", "EIO"),
    "fdatasync": ("ENOSPC", "EIO"),
    "fcntl": ("EIO",),
    "flock": ("EIO",),
    "mkdir": ("ENOSPC", "EROFS", "EIO"),
    "rename": ("ENOSPC", "EROFS", "EIO"),
}
CALL = re.compile(r"^(?:\d+ +)?(\w+)\((.*)")


def run(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the append under strace with *options*."""
    directory.mkdir(parents=True)
    program = shutil.which("strace")
    assert program is not None, "strace is not installed; run scripts/install-packages"
    return subprocess.run(
        [program, "-qq", "-o", str(directory.with_suffix(".trace")), *options]
        + [sys.executable, "-m", "tests.faults.appending", str(directory)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def calls(trace: str) -> list[tuple[str, int]]:
    """Return name and number of each call between the marks, as strace counts them."""
    counts: dict[str, int] = {}
    found: list[tuple[str, int]] = []
    inside = False
    for line in trace.splitlines():
        call = CALL.match(line)
        if call is None:
            continue
        if BEGIN in call[2] or END in call[2]:
            inside = BEGIN in call[2]
        elif call[1] in ERRORS:
            counts[call[1]] = counts.get(call[1], 0) + 1
            if inside:
                found.append((call[1], counts[call[1]]))
    return found


def check(directory: Path, done: subprocess.CompletedProcess[str]) -> None:
    """Assert that what was told is there, and that nothing is there that was not asked for."""
    assert 0 == done.returncode, done.stderr
    said = json.loads(done.stdout)
    store = open_store(directory / "ledger.db")
    try:
        rows = whole_log(store)
        check_log(store, len(rows))
        there = {row.version for row in rows}
        assert set(said["told"]) <= there <= {0, 1, 2}
        assert 0 in there
        if said["blob"]:
            blobs = Blobs(directory / "blobs", rows=store.blob_row)
            assert blobs.read(said["blob"])
    finally:
        store.close()


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, int]]:
    """Give every call of an append that can be made to fail."""
    directory = tmp_path_factory.mktemp("whole") / "ledger"
    done = run(directory, "-e", f"trace={','.join(ERRORS)},access")
    check(directory, done)
    assert [0, 1, 2] == json.loads(done.stdout)["told"]
    found = calls(directory.with_suffix(".trace").read_text())
    assert ERRORS.keys() == {name for name, _ in found}
    return found


@pytest.mark.parametrize(
    ("name", "when"),
    # A lock that can never be had is waited for, as long as for one that somebody holds.
    [
        *((name, "once") for name in ERRORS),
        *((name, "for good") for name in ERRORS if name not in ("fcntl", "flock")),
    ],
)
def test_an_append_whose_disk_fails_is_kept_or_refused(
    places: list[tuple[str, int]], tmp_path: Path, name: str, when: str
) -> None:
    """Whichever call fails, and however: acknowledged means stored, and the tree is whole."""
    for call, number in places:
        if call != name:
            continue
        errors = ERRORS[name] if when == "for good" else ERRORS[name][-1:]
        for error in errors:
            directory = tmp_path / f"{number}-{error}"
            times = f"{number}+" if when == "for good" else f"{number}"
            done = run(directory, "-e", f"inject={name}:error={error}:when={times}")
            check(directory, done)
