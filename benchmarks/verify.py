"""How fast a whole log is verified, beside reading every row and hashing it.

    python benchmarks/verify.py [--events N] [--rounds N] [--directory DIR]

Rule 1: the ledger is made of a real run, recorded by our own code: its rows are appended again and
again by the store itself, under new streams, sealed and signed anew, each run's end with its kept
checkpoint. Only that many runs share one append is not how they come.
Rule 2: the floor reads the same rows by the same statement, and hashes the stored facts once.
Rule 3: everything is measured in one run, in interleaved rounds; a ratio is the median of those
within the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import msgspec
from eventsourcing.persistence import StoredEvent

from adapters import open_ledger
from adapters.ed25519_signer import check_ed25519
from adapters.key_file import KeyFile
from adapters.sqlite.append import Batch
from adapters.sqlite_store import SQLiteStore, open_store
from adapters.verify_workers import parts_of
from ledger import merkle
from ledger.codec import Envelope, decode_facts, encode, encode_facts
from ledger.events import LedgerCreated
from ledger.note import format_vkey
from ledger.recorded import Provenance, Said
from ledger.sealing import SEALED, leaf_of, sign_seal
from ledger.store import Row
from ledger.verify import Verified, Verifier, Wanted

GROUP = 500
# With these a run has some 82 events, which is the median of agents' runs.
COMMANDS = 36
WHO = Provenance(actor="ada", via="os_user", host="build-1", trace="e4" * 16)


class Copies:
    """Appends a recorded run to *store* again and again, each time as a run of its own."""

    def __init__(self, store: SQLiteStore, keys: KeyFile, run: list[Row]) -> None:
        self._store = store
        self._keys = keys
        self._run = run
        self._appender = store.connections.writer()
        self.head = merkle.EMPTY

    def begin(self) -> None:
        """Append the ledger's own first event."""
        event = LedgerCreated(
            ledger=self._store.ledger_id, home="h", key=format_vkey(self._keys.signers()[0].key)
        )
        said = Said(event=event, occurred=1)
        topic, facts, private = encode(said, WHO, id="0" * 32, recorded=1, salt=b"s" * 16)
        stream = self._store.ledger_id
        stored = StoredEvent(stream, 0, topic, facts)
        self._append([Batch([stored], [leaf_of(stream, 0, topic, facts)], [private], ())])

    def append(self, count: int) -> None:
        """Append *count* copies of the run in one transaction, and keep the head of each end."""
        size = self.head.size
        self._append([self._copy(size + number * len(self._run)) for number in range(count)])

    def _append(self, batches: list[Batch]) -> None:
        for outcome in self._appender.append(batches, self._keys.sign):
            if isinstance(outcome, Exception):
                raise SystemExit(f"cannot measure: {outcome}")
        for batch in batches:
            self.head = merkle.extend(self.head, batch.leaves)
            self._appender.keep(self.head.size, self._keys.sign(self.head), None)

    def _copy(self, position: int) -> Batch:
        stream, rows = str(uuid.uuid4()), list[Row]()
        for row in self._run:
            facts = row.facts
            if row.topic == SEALED:
                facts = self._seal(facts, rows, position + len(rows))
            leaf = leaf_of(stream, row.version, row.topic, facts)
            at = position + len(rows)
            rows.append(
                msgspec.structs.replace(row, stream=stream, facts=facts, leaf=leaf, position=at)
            )
        return Batch(
            [StoredEvent(stream, row.version, row.topic, row.facts) for row in rows],
            [row.leaf for row in rows],
            [row.private for row in rows],
            (),
        )

    def _seal(self, facts: bytes, rows: list[Row], position: int) -> bytes:
        stored = decode_facts(SEALED, facts)
        envelope = Envelope(**{name: getattr(stored, name) for name in Envelope.__struct_fields__})
        root = merkle.root_of([row.leaf for row in rows]).hex()
        seal = msgspec.structs.replace(stored.event, root=root, log_size=position, signed=None)
        signer, ledger = self._keys.signers()[0], self._store.ledger_id
        signed = sign_seal(seal, envelope, ledger=ledger, rows=rows, signer=signer)
        return encode_facts(msgspec.structs.replace(stored, event=signed))


def make_ledger(directory: Path, events: int) -> SQLiteStore:
    """Return a ledger of about so many *events*."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory)}
    work = directory / "work"
    work.mkdir()
    with open_ledger(directory / "home", environment=environment) as ledger:
        with ledger.run(profile="local", directory=work) as run:
            for _ in range(COMMANDS):
                run.execute(["true"])
        recorded = list(ledger.journal.store.stream_rows(ledger.find()))
    store = open_store(directory / "large.db", synchronous="OFF")
    keys = KeyFile(directory / "log.key", store.origin)
    keys.ensure()
    copies = Copies(store, keys, recorded)
    copies.begin()
    while copies.head.size < events:
        left = (events - copies.head.size) // len(recorded) + 1
        copies.append(min(left, GROUP))
    return store


def read_and_hash(store: SQLiteStore) -> None:
    """Do the least that anybody has to."""
    with store.snapshot() as snapshot:
        for row in snapshot.rows():
            sha256(row[4]).digest()


def verify(store: SQLiteStore, *, processes: bool) -> Verified:
    """Verify the whole log, here or in several processes."""
    opened = partial(open_store, store.connections.path, create=False)
    with store.snapshot() as snapshot:
        verified = Verifier(
            snapshot,
            Wanted(),
            ledger=store.ledger_id,
            origin=store.origin,
            check=check_ed25519,
            parts=parts_of(opened) if processes else None,
        ).verify()
    if verified.report.integrity != "INTACT":
        raise SystemExit(f"cannot measure: {verified.report.findings[:3]}")
    return verified


def goes_on(store: SQLiteStore) -> Callable[[], object]:
    """Return what verifies the last thousand events from a state that was saved before them."""
    with store.snapshot() as snapshot:
        size = snapshot.head()[0] - 1000
        leaves = (leaf for at, leaf in snapshot.leaves() if at < size)
        head = merkle.extend(merkle.EMPTY, leaves)
    epochs = verify(store, processes=False).epochs

    def run() -> None:
        with store.snapshot() as snapshot:
            wanted = Wanted(since=head, epochs=epochs)
            Verifier(
                snapshot,
                wanted,
                ledger=store.ledger_id,
                origin=store.origin,
                check=check_ed25519,
            ).verify()

    return run


def measure(store: SQLiteStore, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each contender, round by round."""
    contenders: dict[str, Callable[[], object]] = {
        "read every row and hash it": lambda: read_and_hash(store),
        "verify, one process": lambda: verify(store, processes=False),
        "verify": lambda: verify(store, processes=True),
        "verify the last 1000": goes_on(store),
    }
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            began = time.perf_counter()
            contender()
            found[name].append(time.perf_counter() - began)
    return found


def report(found: dict[str, list[float]], size: int) -> None:
    """Print the table: medians, and ratios beside what is owed."""
    floor = found["read every row and hash it"]
    print(f"\n{'':28}{'seconds':>9}{'events/s':>11}{'of the floor':>14}")
    for name, times in found.items():
        seconds = statistics.median(times)
        if name == "verify the last 1000":
            print(f"{name:28}{seconds:>9.3f}")
            continue
        ratio = statistics.median(least / mine for least, mine in zip(floor, times, strict=True))
        line = f"{name:28}{seconds:>9.2f}{size / seconds:>11,.0f}{ratio:>14.2f}"
        if name == "verify":
            kept = ratio >= 0.5 and size / seconds >= 150_000
            line += f"   ≥ 150,000 and ≥ 0.5: {'kept' if kept else 'MISSED'}"
        print(line)


def memory() -> Iterator[int]:
    """Yield the largest memory so far, in mebibytes: of this process, and of one of its own."""
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        yield resource.getrusage(who).ru_maxrss // 1024


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000, help="how many there are")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--directory", type=Path, help="where to write; else a temporary one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory, prefix="verify-") as directory:
        began = time.perf_counter()
        with contextlib.closing(make_ledger(Path(directory).resolve(), arguments.events)) as store:
            size = store.tree_head().size
            print(f"machine   {os.cpu_count()} processors, Python {platform.python_version()}")
            rows = store.page(limit=1000)
            facts = statistics.mean(len(row.facts) for row in rows)
            print(f"ledger    {size:,} events, {facts:.0f} bytes of facts each, made in "
                  f"{time.perf_counter() - began:.0f} s")  # fmt: skip
            before = next(memory())
            report(measure(store, arguments.rounds), size)
            ours, workers = memory()
            print(f"\nmemory    {before} MiB before, {ours} MiB at most; {workers} MiB a worker")


if __name__ == "__main__":
    main()
