"""Many processes, one repository, one ledger."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from adapters import open_ledger

ROOT = Path(__file__).parents[2]
PROCESSES, RUNS = 8, 25

WORKER = """
import sys
from pathlib import Path
from adapters import open_ledger
with open_ledger() as ledger:
    for number in range(int(sys.argv[2])):
        with ledger.run(task=f"T-{sys.argv[1]}", run=f"R-{number}", profile="local") as run:
            run.execute(["sh", "-c", "echo made > made.txt"])
"""


def test_two_hundred_runs_at_once_are_all_recorded_and_leave_nothing(
    home: Path, repository: Path
) -> None:
    """No process fails, no worktree stays, no run is lost, and positions have no gap."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(number), str(RUNS)],
            cwd=repository,
            env=environment,
            stderr=subprocess.PIPE,
        )
        for number in range(PROCESSES)
    ]
    errors = [worker.communicate()[1] for worker in workers]

    assert [b""] * PROCESSES == errors
    worktrees = subprocess.run(
        ["git", "worktree", "list"], cwd=repository, capture_output=True, check=True
    ).stdout
    with open_ledger() as ledger:
        records = list(ledger.journal.read())
        runs = [record.stream for record in records if record.topic == "run.opened.1"]
        states = [ledger.state(stream) for stream in runs]
        assert ledger.journal.store.tree_head().size == len(records)
    assert 1 == len(worktrees.splitlines())
    left = [path for path in (home / "workspaces").rglob("*") if not path.is_dir()]
    assert {"events.jsonl"} == {path.name for path in left}
    assert PROCESSES * RUNS == len(left)
    assert list(range(len(records))) == [record.position for record in records]
    assert PROCESSES * RUNS == len(set(runs))
    assert {("succeeded", "clean", 1)} == {(s.status, s.cleanliness, s.patches) for s in states}
