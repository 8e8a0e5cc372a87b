"""What is lost when the command line is killed at random points, and how long recovery takes.

    python benchmarks/faults.py [--kills N] [--seed S] [--directory DIR]

Victims work four at a time in one repository and one ledger: runs, detached runs, recovery and gc
themselves. Each is killed by SIGKILL, some with their whole process group; then `gesta recover` is
run once and everything is checked (tests/faults/harness.py). A recovery's time is that of the
command from the moment that its modules are imported, with whatever the four had left.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))


def main() -> int:
    """Kill as often as was asked for and print what came of it; the code is 1 if it was bad."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    # Whoever installs gesta has its files compiled; a checkout has them compiled here.
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    from tests.faults.harness import Harness

    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        harness = Harness(Path(name), options.seed)
        try:
            while harness.kills < options.kills:
                harness.round()
            harness.finish()
        finally:
            harness.close()
    times = sorted(harness.recovery_s)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {platform.release()}, {options.directory}"
    )
    print(f"kills                      {harness.kills} in {time.monotonic() - began:.0f} s")
    print(f"acknowledged events        {len(harness.told)} of {len(harness.tried)} asked for")
    print(f"lost acknowledged events   {len(harness.lost)}")
    print(f"events nobody asked for    {len(harness.invented)}")
    print(f"false tamper verdicts      {harness.mismatches}")
    print(f"recovery, median           {statistics.median(times) * 1000:.0f} ms")
    print(f"recovery, p99              {times[int(len(times) * 0.99)] * 1000:.0f} ms")
    return 1 if harness.lost or harness.invented or harness.mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
