"""Many processes append to one ledger, and some of them are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from adapters.sqlite_store import open_store
from tests.contracts.store_contract import check_log, whole_log
from tests.faults.harness import IS_LONG

ROOT = Path(__file__).parents[2]
PROCESSES, KILLED = 16, 4
SECONDS = 60 if IS_LONG else 10


def test_writers_that_are_killed_harm_no_other(tmp_path: Path) -> None:
    """No acknowledged event is lost, none is invented, and survivors see no error."""
    database, told = tmp_path / "ledger.db", tmp_path / "told"
    told.mkdir()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.writers", str(database), str(told)]
        + [str(PROCESSES), str(SECONDS)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as writers:
        assert writers.stdout is not None
        children = [int(word) for word in writers.stdout.readline().split()]
        choose = random.Random(SECONDS)
        for victim in choose.sample(children, KILLED):
            # These are the random points; nothing is waited for.
            time.sleep(choose.uniform(0, SECONDS / (KILLED + 1)))
            os.kill(victim, signal.SIGKILL)
        answer, errors = writers.communicate()
    codes = [int(word) for word in answer.split()]
    assert ("", 0) == (errors, writers.returncode)
    assert [-signal.SIGKILL] * KILLED + [0] * (PROCESSES - KILLED) == sorted(codes)
    store = open_store(database)
    try:
        rows = whole_log(store)
        check_log(store, len(rows))
    finally:
        store.close()
    there = {(row.stream, row.version) for row in rows}
    lines = [line for path in told.iterdir() for line in path.read_text().splitlines()]
    acknowledged = {(stream, int(version)) for stream, version in map(str.split, lines)}
    assert acknowledged <= there
    # What is there besides is what the killed had appended and not written down.
    assert len(there - acknowledged) <= KILLED
    assert len(rows) > PROCESSES * SECONDS
