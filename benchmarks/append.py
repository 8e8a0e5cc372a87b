"""What a durable append costs, beside a bare SQLite insert of the same bytes on the same disk.

    python benchmarks/append.py [--seconds N] [--directory DIR] [--synchronous LEVEL]

Rule 1: everything is measured in one run, in interleaved rounds; a ratio is the median of the
ratios within the rounds, so that a disk that slows down slows down both sides.
Rule 2: what is ours includes all that an append does: leaf, tree, signature, private part, locks;
beside it stands the same without a signature, and without a tree.
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from eventsourcing import sqlite
from eventsourcing.persistence import StoredEvent

from adapters.key_file import KeyFile
from adapters.sqlite_store import SQLiteStore, open_store
from ledger.merkle import TreeHead, event_leaf, extend
from ledger.store import PrivatePart

TOPIC = "command.executed.1"
FACTS = b'{"at":1767225600000000,"command":"0123456789abcdef","exit":0,"pad":"%s"}' % (b"f" * 190)
PRIVATE = PrivatePart(
    b"s" * 16, b'{"argv":["python","-m","pytest","-q"],"cwd":"%s"}' % (b"p" * 140)
)
THREADS, PROCESSES = 16, 8
# Appends of one measurement by one writer; rounds that warm up (caches, the log's first growth).
CALLS, WARM_UP = 50, 4

Measure = Callable[[], float]


class Bare:
    """One row an event, in the library's own table, by nothing but `sqlite3`."""

    def __init__(self, path: Path, synchronous: str) -> None:
        self._cursor = sqlite3.connect(path, isolation_level=None).cursor()
        self._cursor.execute("PRAGMA journal_mode = WAL")
        self._cursor.execute(f"PRAGMA synchronous = {synchronous}")
        self._cursor.execute(
            "CREATE TABLE stored_events (originator_id TEXT, originator_version INTEGER,"
            " topic TEXT, state BLOB, PRIMARY KEY (originator_id, originator_version))"
        )

    def insert(self, count: int) -> float:
        """Insert *count* events a transaction; return events a second."""
        stream, state = str(uuid.uuid4()), FACTS + PRIVATE.salt + PRIVATE.body
        execute = self._cursor.execute
        began = time.perf_counter()
        for first in range(0, CALLS * count, count):
            execute("BEGIN IMMEDIATE")
            for version in range(first, first + count):
                execute(
                    "INSERT INTO stored_events VALUES (?,?,?,?)", (stream, version, TOPIC, state)
                )
            execute("COMMIT")
        return CALLS * count / (time.perf_counter() - began)


class NoTree:
    """What our store writes, by the same statements, but for the tree: two rows an event."""

    def __init__(self, path: Path, synchronous: str) -> None:
        open_store(path, synchronous=synchronous).close()
        self._cursor = sqlite3.connect(path, isolation_level=None).cursor()
        self._cursor.execute(f"PRAGMA synchronous = {synchronous}")
        self._position = 0

    def insert(self) -> float:
        """Insert one event a transaction; return events a second."""
        stream, leaf = str(uuid.uuid4()), b"l" * 32
        execute = self._cursor.execute
        began = time.perf_counter()
        for version in range(CALLS):
            execute("BEGIN IMMEDIATE")
            execute(
                "SELECT max(originator_version) FROM stored_events WHERE originator_id = ?",
                (stream,),
            ).fetchone()
            row = (self._position, stream, version, TOPIC, FACTS, leaf)
            execute("INSERT INTO stored_events VALUES (?,?,?,?,?,?)", row)
            private = (self._position, PRIVATE.salt, PRIVATE.body)
            execute("INSERT INTO private VALUES (?,?,?)", private)
            execute("COMMIT")
            self._position += 1
        return CALLS / (time.perf_counter() - began)


class Library:
    """The library's own recorder, with the private part's bytes in the state."""

    def __init__(self, path: Path, synchronous: str) -> None:
        self._factory = sqlite.SQLiteFactory(
            {"SQLITE_DBNAME": str(path), "ORIGINATOR_ID_TYPE": "text"}
        )
        self._recorder = self._factory.application_recorder()
        with self._factory.datastore.get_connection(commit=True) as connection:
            connection.cursor().execute(f"PRAGMA synchronous = {synchronous}")

    def insert(self) -> float:
        """Insert one event a call; return events a second."""
        stream, state = str(uuid.uuid4()), FACTS + PRIVATE.salt + PRIVATE.body
        began = time.perf_counter()
        for version in range(CALLS):
            self._recorder.insert_events([StoredEvent(stream, version, TOPIC, state)])
        return CALLS / (time.perf_counter() - began)


class Workers:
    """Processes that append to the ledger at *path* when they are told to."""

    def __init__(self, path: Path, synchronous: str, count: int) -> None:
        command = [sys.executable, __file__, "--worker", str(path), "--synchronous", synchronous]
        self._processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(count)
        ]
        self._wait()

    def append(self) -> float:
        """Have every process append; return events a second of all together."""
        began = time.perf_counter()
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        self._wait()
        return len(self._processes) * CALLS / (time.perf_counter() - began)

    def close(self) -> None:
        """End the processes; raises if one of them failed."""
        for process in self._processes:
            process.communicate()
            if process.returncode:
                raise SystemExit("cannot measure: a process failed")

    def _wait(self) -> None:
        for process in self._processes:
            assert process.stdout is not None
            if process.stdout.readline() != "done\n":
                raise SystemExit("cannot measure: a process failed")


def open_signing(path: Path, synchronous: str) -> SQLiteStore:
    """Return the store at *path*, which signs its heads as a ledger's does, with a key file."""
    store = open_store(path, synchronous=synchronous)
    keys = KeyFile(path.with_name("log.key"), store.origin)
    keys.ensure()
    store.sign_with(keys.sign, keys.is_signed)
    return store


def append(store: SQLiteStore, count: int = 1) -> float:
    """Append *count* events a call to a new stream; return events a second."""
    stream = str(uuid.uuid4())
    began = time.perf_counter()
    for first in range(0, CALLS * count, count):
        versions = range(first, first + count)
        store.insert_events(
            [StoredEvent(stream, version, TOPIC, FACTS) for version in versions],
            leaves=[event_leaf(stream, version, TOPIC, FACTS) for version in versions],
            private=[PRIVATE] * count,
        )
    return CALLS * count / (time.perf_counter() - began)


def append_in_threads(store: SQLiteStore) -> float:
    """Append from many threads at once; return events a second of all together."""
    threads = [threading.Thread(target=append, args=(store,)) for _ in range(THREADS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return THREADS * CALLS / (time.perf_counter() - began)


def work(path: Path, synchronous: str) -> None:
    """Be one of the processes: append at every line that comes in."""
    store = open_signing(path, synchronous)
    append(store)
    print("done", flush=True)
    for _ in sys.stdin:
        append(store)
        print("done", flush=True)
    store.close()


def run_rounds(contenders: dict[str, Measure], seconds: float) -> dict[str, list[float]]:
    """Measure every contender in turn until the time is up; return events a second."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    deadline, rounds = time.monotonic() + seconds, 0
    while rounds < WARM_UP + 3 or time.monotonic() < deadline:
        for name, measure in contenders.items():
            rate = measure()
            if rounds >= WARM_UP:
                found[name].append(rate)
        rounds += 1
    return found


def check(store: SQLiteStore) -> str:
    """Compute the tree again from every row, and say whether it is the stored one."""
    head, position = TreeHead(0, ()), -1
    while rows := store.page(after=position):
        if [row.position for row in rows] != list(range(position + 1, position + 1 + len(rows))):
            return "POSITIONS HAVE A GAP"
        head = extend(
            head, [event_leaf(row.stream, row.version, row.topic, row.facts) for row in rows]
        )
        position = rows[-1].position
    whole = "tree intact" if head == store.tree_head() else "TREE BROKEN"
    return f"{head.size:,} events, positions without a gap, {whole}"


def describe(directory: Path, synchronous: str) -> list[str]:
    """Return what the figures hold for: machine, file system, versions, durability."""
    model = platform.processor() or platform.machine()
    cpus = Path("/proc/cpuinfo")
    if cpus.exists():
        lines = [line for line in cpus.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    return [
        f"machine      {model}, {os.cpu_count()} processors, {platform.system()}",
        f"file system  {file_system(directory)}",
        f"versions     SQLite {sqlite3.sqlite_version}, Python {platform.python_version()}",
        f"durability   write-ahead log, synchronous={synchronous} (one sync a commit if FULL)",
        f"event        {len(FACTS)} bytes of facts, {len(PRIVATE.salt + PRIVATE.body)} private",
    ]


def file_system(directory: Path) -> str:
    """Return the kind of the file system that *directory* is on, where it can be told."""
    try:
        mounts = [line.split()[:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    around = {str(directory), *map(str, directory.parents)}
    found = [(len(point), kind) for _, point, kind in mounts if point in around]
    return max(found)[1] if found else "unknown"


def report(found: dict[str, list[float]]) -> None:
    """Print the table: medians, and ratios beside what is owed."""
    owed: Sequence[tuple[str, str, float | None]] = [
        ("bare insert", "", None),
        ("eventsourcing's recorder", "bare insert", None),
        ("without a tree", "bare insert", None),
        ("with the tree", "bare insert", 0.6),
        ("with the tree", "without a tree", None),
        ("with a signature", "bare insert", None),
        ("with a signature", "with the tree", None),
        ("bare insert of ten", "", None),
        ("ten events a call", "bare insert of ten", None),
        (f"{THREADS} threads", "with a signature", 2.0),
        (f"{PROCESSES} processes", "with a signature", 0.7),
    ]
    print(f"\n{'':26}{'events/s':>10}{'ratio':>8}   owed")
    for name, against, least in owed:
        line = f"{name:26}{statistics.median(found[name]):>10,.0f}"
        if against:
            ratio = statistics.median(
                mine / other for mine, other in zip(found[name], found[against], strict=True)
            )
            line += f"{ratio:>8.2f}"
            if least is None:
                line += f"          of the {against}"
            else:
                verdict = "kept" if ratio >= least else "MISSED"
                line += f"   ≥ {least}  of the {against}: {verdict}"
        print(line)


def measure(directory: Path, synchronous: str, seconds: float) -> None:
    """Run everything in *directory* and print what came of it."""
    store = open_signing(directory / "ledger.db", synchronous)
    unsigned = open_store(directory / "unsigned.db", synchronous=synchronous)
    no_tree = NoTree(directory / "no_tree.db", synchronous)
    bare = Bare(directory / "bare.db", synchronous)
    tens = Bare(directory / "tens.db", synchronous)
    library = Library(directory / "library.db", synchronous)
    workers = Workers(directory / "ledger.db", synchronous, PROCESSES)
    contenders: dict[str, Any] = {
        "bare insert": lambda: bare.insert(1),
        "without a tree": no_tree.insert,
        "with the tree": lambda: append(unsigned),
        "with a signature": lambda: append(store),
        "eventsourcing's recorder": library.insert,
        "bare insert of ten": lambda: tens.insert(10),
        "ten events a call": lambda: append(store, 10),
        f"{THREADS} threads": lambda: append_in_threads(store),
        f"{PROCESSES} processes": workers.append,
    }
    for line in describe(directory, synchronous):
        print(line)
    found = run_rounds(contenders, seconds)
    workers.close()
    report(found)
    print(f"\n{len(found['with a signature'])} rounds of {CALLS} calls a writer; {check(store)}")
    store.close()
    unsigned.close()


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=40, help="how long to measure")
    parser.add_argument("--directory", type=Path, help="where to write; else a temporary one")
    parser.add_argument("--synchronous", default="FULL", choices=["OFF", "NORMAL", "FULL", "EXTRA"])
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker, arguments.synchronous)
        return
    with tempfile.TemporaryDirectory(dir=arguments.directory, prefix="append-") as directory:
        measure(Path(directory).resolve(), arguments.synchronous, arguments.seconds)


if __name__ == "__main__":
    main()
