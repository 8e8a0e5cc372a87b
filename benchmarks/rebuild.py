"""How fast views are rebuilt: all of them against the floor, one against the library's runner.

    python benchmarks/rebuild.py                      a million events, made first
    python benchmarks/rebuild.py --ledger HOME        a ledger that `make_ledger.py` has made

Rule 1: everything is measured in one run, each measurement in a process of its own, on the same
ledger; with several rounds in turn, and a ratio is the median of the ratios within them.
Rule 2: what is compared has written the same rows, which is checked.
Rule 3: seconds are those of the work alone; cpu and memory are the whole process's.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from adapters.sqlite import view_tables as sql
from adapters.sqlite_store import open_store
from adapters.sqlite_views import SQLiteViews
from benchmarks.append import describe
from benchmarks.rebuilding.floor import copy_rows, write_views
from benchmarks.rebuilding.library_runner import follow
from projections.built_in import BUILT_IN
from projections.engine import Engine
from projections.projection import Projection
from projections.run_status import RunStatuses

STATUS = (RunStatuses(),)
# The runner is slow: it is given a beginning of the log, and rates are compared.
PREFIX = 20_000
SHORT = 100_000
PARTS = (
    "no fold at all",
    "floor",
    "engine",
    "short engine",
    "status engine",
    "status of the prefix",
    "runner",
)
Found = dict[str, dict[str, Any]]


def run_part(part: str, home: Path, target: Path, prefix: int) -> dict[str, Any]:
    """Do one of `PARTS` in this process, into the database *target*; return what came of it."""
    ledger = home / "ledger.db"
    match part:
        case "no fold at all":
            made = target.with_name("made.db")
            _by_engine(ledger, made, BUILT_IN, None)
            seconds = copy_rows(ledger, made, target, BUILT_IN)
            return _result(time.perf_counter() - seconds, _size(ledger), target, BUILT_IN)
        case "floor":
            began = time.perf_counter()
            write_views(ledger, target, BUILT_IN)
            return _result(began, _size(ledger), target, BUILT_IN)
        case "engine":
            return _by_engine(ledger, target, BUILT_IN, None)
        case "short engine":
            return _by_engine(ledger, target, BUILT_IN, min(SHORT, _size(ledger)))
        case "status engine":
            return _by_engine(ledger, target, STATUS, None)
        case "status of the prefix":
            return _by_engine(ledger, target, STATUS, prefix)
        case "runner":
            seconds = follow(ledger, target, prefix)
            return _result(time.perf_counter() - seconds, prefix, target, STATUS)
        case _:
            raise ValueError(part)


def _by_engine(
    ledger: Path, target: Path, projections: Sequence[Projection], events: int | None
) -> dict[str, Any]:
    store = open_store(ledger, create=False)
    views = SQLiteViews(target, store.ledger_id)
    engine = Engine(store, views, projections)
    began = time.perf_counter()
    if events is None:
        engine.rebuild()
    else:
        engine.through(events - 1)
    result = _result(began, events or store.tree_head().size, target, projections)
    views.close()
    store.close()
    return result


def _result(
    began: float, events: int, target: Path, projections: Sequence[Projection]
) -> dict[str, Any]:
    seconds = time.perf_counter() - began
    usage = resource.getrusage(resource.RUSAGE_SELF)
    # On macOS it is in bytes.
    kilobytes = usage.ru_maxrss // 1024 if sys.platform == "darwin" else usage.ru_maxrss
    return {
        "events": events,
        "seconds": seconds,
        "cpu": usage.ru_utime + usage.ru_stime,
        "rate": events / seconds,
        "memory_mb": kilobytes / 1024,
        "digest": _digest(target, projections),
    }


def _size(ledger: Path) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT size FROM tree").fetchone()[0])


def _digest(target: Path, projections: Sequence[Projection]) -> str:
    """Return a digest of every row of the tables in the database *target*."""
    total = hashlib.sha256()
    with contextlib.closing(sqlite3.connect(target)) as connection:
        for projection in projections:
            for table in projection.tables:
                order = f"ORDER BY {sql.names(table.key)}"
                for cells in connection.execute(sql.select(table, "live", order)):
                    total.update(repr(cells).encode())
    return total.hexdigest()


def measure(part: str, home: Path, directory: Path, prefix: int) -> dict[str, Any]:
    """Do one part in a process of its own."""
    with tempfile.TemporaryDirectory(dir=directory, prefix="views-") as place:
        arguments = ["--part", part, "--ledger", str(home), "--directory", place]
        done = subprocess.run(
            [sys.executable, __file__, *arguments, "--prefix", str(prefix)],
            stdout=subprocess.PIPE,
            check=True,
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def check(found: Found) -> None:
    """Say so, and end with an error, if two that are compared did not write the same rows."""
    for one, other in (
        ("no fold at all", "engine"),
        ("floor", "engine"),
        ("status of the prefix", "runner"),
    ):
        if found[one]["digest"] != found[other]["digest"]:
            raise SystemExit(f"cannot compare: {one} and {other} wrote different rows")


def report(rounds: list[Found]) -> None:
    """Print the table: medians, and ratios beside what is owed."""

    def median(part: str, name: str) -> float:
        return float(statistics.median(found[part][name] for found in rounds))

    def ratio(part: str, other: str, name: str = "rate") -> float:
        return float(statistics.median(found[part][name] / found[other][name] for found in rounds))

    print(f"\n{'':24}{'events':>12}{'seconds':>10}{'cpu':>8}{'events/s':>11}{'peak MB':>9}")
    for part in PARTS:
        events, seconds, cpu, rate, memory = (
            median(part, name) for name in ("events", "seconds", "cpu", "rate", "memory_mb")
        )
        print(f"{part:24}{events:>12,.0f}{seconds:>10.2f}{cpu:>8.2f}{rate:>11,.0f}{memory:>9,.0f}")
    all_views, status = ratio("engine", "floor"), ratio("status engine", "runner")
    unfolded = ratio("engine", "no fold at all")
    peak, growth = median("engine", "memory_mb"), ratio("engine", "short engine", "memory_mb")
    print(f"\nall views, of no fold at all{unfolded:>8.2f}")
    for what, value, owed, is_kept in (
        ("all views, of the floor", all_views, "≥ 0.6", all_views >= 0.6),
        ("run_status, of the runner", status, "≥ 25", status >= 25),
        ("peak memory in MB", peak, "≤ 200", peak <= 200),
        ("memory, of the short log's", growth, "≤ 1.25", growth <= 1.25),
    ):
        print(f"{what:28}{value:>8.2f}   {owed:8}{'kept' if is_kept else 'MISSED'}")


def run(home: Path, directory: Path, rounds: int, prefix: int) -> None:
    """Measure everything on the ledger in *home* and print what came of it."""
    for line in describe(directory, "NORMAL")[:3]:
        print(line)
    size = _size(home / "ledger.db")
    print(f"ledger       {size:,} events, {(home / 'ledger.db').stat().st_size / 1e6:,.0f} MB")
    print("durability   views NORMAL, the floor OFF; all read a ledger that lies in the page cache")
    found: list[Found] = []
    for number in range(rounds):
        found.append({part: measure(part, home, directory, min(prefix, size)) for part in PARTS})
        check(found[-1])
        print(f"round {number + 1} of {rounds} done", flush=True)
    report(found)


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000, help="how many events to make")
    parser.add_argument("--ledger", type=Path, help="a home whose ledger is taken instead")
    parser.add_argument("--directory", type=Path, help="where to write; else a temporary one")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--prefix", type=int, default=PREFIX, help="events that the runner gets")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        target = arguments.directory / "views.db"
        found = run_part(arguments.part, arguments.ledger, target, arguments.prefix)
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory(dir=arguments.directory, prefix="rebuild-") as name:
        directory = Path(name).resolve()
        home = arguments.ledger
        if home is None:
            from benchmarks.make_ledger import make_ledger

            home = directory / "home"
            make_ledger(home, arguments.events).close()
        run(home, directory, arguments.rounds, arguments.prefix)


if __name__ == "__main__":
    main()
