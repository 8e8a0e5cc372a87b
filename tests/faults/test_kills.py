"""The command line is killed at random points, and nothing is lost, invented or left over.

`GESTA_FAULT_KILLS=1000` is the long mode.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.harness import KILLS, Harness

PARTS = 8


@pytest.mark.timeout(60 + KILLS * 4)
@pytest.mark.parametrize("seed", range(PARTS))
def test_whoever_is_killed_the_ledger_is_whole_and_every_run_ends(
    home: Path, tmp_path: Path, seed: int
) -> None:
    """No acknowledged event is lost, none is there that nobody asked for, nothing is left over."""
    harness = Harness(tmp_path / "machine", seed)
    try:
        while harness.kills * PARTS < KILLS:
            harness.round()
        harness.finish()
    finally:
        harness.close()
    assert (set(), set(), 0) == (harness.lost, harness.invented, harness.mismatches)
    assert harness.told
