"""What the rebuild is measured against does the same work."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from benchmarks.make_ledger import make_ledger
from tests.cli.gesta import ROOT


def test_floor_engine_and_runner_write_the_same_rows(tmp_path: Path) -> None:
    """The program compares their rows itself, and prints every figure that is owed."""
    make_ledger(tmp_path / "home", 2500).close()
    done = subprocess.run(
        [sys.executable, "benchmarks/rebuild.py", "--ledger", str(tmp_path / "home")]
        + ["--prefix", "400", "--directory", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    for owed in ("≥ 0.6", "≥ 25", "≤ 200", "≤ 1.25"):
        assert 1 == len(re.findall(rf"^.+ \d+\.\d\d   {owed} +(kept|MISSED)$", done.stdout, re.M))
    assert ["home"] == [path.name for path in tmp_path.iterdir()]
