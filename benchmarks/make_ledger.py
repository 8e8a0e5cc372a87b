"""Makes a ledger as agents' runs leave it: some months of work, or as many events as are wanted.

    python benchmarks/make_ledger.py --events 1000000 --directory /var/tmp/million

A run has 82 events in the middle and a long tail; some fail, fall back, time out, lose their
sandbox, leak, are denied, abandoned or still open. Runs of a day's session overlap, and their
events lie between one another's in the log.

Rule 1: everything is written by the ledger's own code (`Journal.append`), a few events of a run at
a time. Only the disk is not waited for.
Rule 2: the same seed makes the same events, but for the ids of the ledger and its
home, and what its key signs.
Rule 3: what is recorded later has the higher position.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from adapters.blobs import Blobs
from adapters.home import home_id, open_home
from adapters.profiles import PolicyProvider
from adapters.wiring import key_file
from benchmarks.made import scenes
from benchmarks.made.life import HOUR, SECOND, Life, Plan, Step
from benchmarks.made.outputs import Outputs
from benchmarks.made.run import steps
from ledger import events as e
from ledger import merkle
from ledger.codec import SignSeal
from ledger.ids import new_stream, run_name
from ledger.journal import Journal
from ledger.recorded import Provenance, Said
from ledger.sealing import sign_seal
from ledger.signing import Signer

DAYS = 90
BEGIN = 1_775_001_600 * SECOND  # 2026-04-01 in UTC
# How many events a run has: log-normal, so that the mean is 123.
MIDDLE, SPREAD, LARGEST = 82, 0.9, 20_000
MEAN = 123
# How many runs a session has, and how many events of one run are recorded together: on average.
SESSION, SLICE = 6, 8


class MadeClock:
    """The clock of the made-up machine: it shows what it was set to, and never the same twice."""

    def __init__(self, now: int) -> None:
        self._now = now

    def set(self, now: int) -> None:
        """Show *now*, or go on if that is past."""
        self._now = max(self._now, now)

    def now(self) -> int:
        """Return microseconds since 1970 in UTC."""
        self._now += 1
        return self._now

    def monotonic(self) -> int:
        """Return the same as `now`: it never goes back."""
        return self.now()


class MadeRandomness:
    """Random bytes that a seed decides."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._ahead: list[bytes] = []

    def bytes(self, count: int) -> bytes:
        """Return *count* bytes."""
        return self._ahead.pop() if self._ahead else self._rng.randbytes(count)

    def foresee_ids(self, count: int) -> list[str]:
        """
        Return the ids that the next *count* events will get.

        The journal takes 32 bytes an event, of which the first 16 are its id.
        """
        self._ahead = [self._rng.randbytes(32) for _ in range(count)]
        return [ahead[:16].hex() for ahead in reversed(self._ahead)]


class Writing:
    """One run being written: its history goes on whenever it is its turn."""

    def __init__(
        self,
        journal: Journal,
        randomness: MadeRandomness,
        plan: Plan,
        outputs: Outputs,
        signer: Signer,
    ) -> None:
        self._journal, self._randomness, self._signer = journal, randomness, signer
        self._who, self._stream = plan.who, plan.stream
        self._steps = steps(Life(plan, outputs))
        self._version = -1
        self._opened: str | None = None
        self._cause: str | None = None
        self._waiting: list[Step] = []

    def think(self, count: int) -> int | None:
        """Have the next *count* events ready; return when the last of them happens, if any does."""
        self._waiting = []
        for step in self._steps:
            self._waiting.append(step)
            # A seal is over what is on record before it: it never waits with others.
            if len(self._waiting) >= count or step.event is None:
                break
        return self._waiting[-1].at if self._waiting else None

    def write(self, limit: int) -> int:
        """Record what is ready, at most *limit* events of it; return how many those were."""
        ready = self._waiting[:limit]
        before = [step for step in ready if step.event is not None]
        self._append(before)
        if len(before) < len(ready):
            self._seal(ready[-1].at)
        return len(ready)

    def _seal(self, at: int) -> None:
        store, rows = self._journal.store, self._journal.rows(self._stream)
        root = merkle.root_of([row.leaf for row in rows]).hex()
        seal = e.RunSealed(count=len(rows), root=root, log_size=store.tree_head().size)
        sign = partial(sign_seal, ledger=store.ledger_id, rows=rows, signer=self._signer)
        self._append([Step(at, seal)], sign)

    def _append(self, steps: list[Step], sign: SignSeal | None = None) -> None:
        if not steps:
            return
        said = []
        for step, id in zip(steps, self._randomness.foresee_ids(len(steps)), strict=True):
            assert step.event is not None
            said.append(Said(event=step.event, occurred=step.at, cause=self._cause))
            self._opened = self._opened or id
            # An outcome is caused by its request, everything else by the opening.
            intent = isinstance(step.event, e.CommandRequested | e.FileWriteRequested)
            self._cause = id if intent else self._opened
        blobs = [blob for step in steps for blob in step.blobs]
        self._journal.append(self._stream, self._version, said, self._who, blobs=blobs, sign=sign)
        self._version += len(steps)


def make_ledger(
    home: Path, events: int, *, seed: int = 1, distinct_outputs: bool = False
) -> Journal:
    """
    Make a ledger of exactly *events* events in *home*, which must be empty or not there.

    Returns its open journal. With *distinct_outputs* every output is a blob of its own.
    """
    ours = open_home({"GESTA_HOME": str(home)})
    if ours.database.exists():
        raise FileExistsError(f"cannot make a ledger in {home}: there is one")
    rng = random.Random(seed)
    clock, randomness = MadeClock(BEGIN), MadeRandomness(rng)
    journal = Journal(
        {
            "PERSISTENCE_MODULE": "adapters.sqlite_store",
            "SQLITE_DBNAME": str(ours.database),
            "ORIGINATOR_ID_TYPE": "text",
            "GESTA_SYNCHRONOUS": "OFF",
        },
        clock=clock,
        randomness=randomness,
        keys=lambda origin: key_file(ours, origin),
    )
    identity, keys = home_id(ours), key_file(ours, journal.store.origin)
    journal.create_ledger(identity, _who(rng), keys.make)
    blobs = Blobs(ours.blobs, rows=journal.store.blob_row)
    outputs = Outputs(blobs, rng, distinct=distinct_outputs)
    plans = _plans(rng, PolicyProvider(ours.profiles, {}), identity, events)
    due: list[tuple[int, str, Writing]] = []
    coming, left = next(plans), events - 1
    while left:
        while not due or coming.start <= due[0][0]:
            writing = Writing(journal, randomness, coming, outputs, keys.signers()[0])
            heapq.heappush(due, (coming.start, coming.stream, writing))
            coming = next(plans)
        at, stream, writing = heapq.heappop(due)
        clock.set(at)
        left -= writing.write(left)
        then = writing.think(rng.randrange(2, 2 * SLICE - 2))
        if then is not None:
            heapq.heappush(due, (then, stream, writing))
    return journal


def _plans(rng: random.Random, profiles: PolicyProvider, home: str, events: int) -> Iterator[Plan]:
    """Yield one run after the other, by when they begin; *events* take about 90 days of them."""
    names = [name for name, often in scenes.PROFILES for _ in range(often)]
    rules = {name: profiles.load(name) for name in set(names)}
    gap = DAYS * 24 * HOUR * MEAN * SESSION / events
    tasks = max(events // 800, 3)
    at = BEGIN
    while True:
        at += int(rng.expovariate(1 / gap)) + SECOND
        first: str | None = None
        starts = sorted(at + rng.randrange(600 * SECOND) for _ in range(rng.randrange(1, 12)))
        for start in starts:
            stream = new_stream(MadeClock(start), MadeRandomness(rng))
            yield Plan(
                start=start,
                size=min(int(rng.lognormvariate(0, SPREAD) * MIDDLE), LARGEST),
                seed=rng.getrandbits(64),
                # Some tasks take many more runs than others.
                task=f"T-{1000 + int(tasks * rng.random() ** 2)}",
                run=run_name(stream),
                home=home,
                stream=stream,
                parent=first if rng.random() < 0.15 else None,
                rules=rules[rng.choice(names)],
                who=_who(rng),
            )
            first = first or stream
        at = max(at, starts[-1])


def _who(rng: random.Random) -> Provenance:
    often = [often for *_, often in scenes.ACTORS]
    actor, via, behalf, _ = rng.choices(scenes.ACTORS, often)[0]
    return Provenance(
        actor=actor,
        via=via,
        host=rng.choice(scenes.HOSTS),
        trace=rng.randbytes(16).hex(),
        on_behalf_of=behalf,
        caller_trace=rng.randbytes(16).hex() if actor.startswith("agent") else None,
    )


def main() -> None:
    """Read the arguments and make the ledger."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000, help="how many events")
    parser.add_argument("--seed", type=int, default=1, help="another one makes another history")
    parser.add_argument("--directory", type=Path, help="the home to make; else one that is removed")
    parser.add_argument(
        "--distinct-outputs", action="store_true", help="no two outputs alike: takes gigabytes"
    )
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        home = arguments.directory
        if home is None:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ledger-")))
        _measure(home, arguments.events, arguments.seed, arguments.distinct_outputs)


def _measure(home: Path, events: int, seed: int, distinct_outputs: bool) -> None:
    began = time.perf_counter()
    make_ledger(home, events, seed=seed, distinct_outputs=distinct_outputs).close()
    seconds = time.perf_counter() - began
    size = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    print(
        f"{events:,} events in {seconds:.1f} s ({events / seconds:,.0f} a second), "
        f"{size / 1e6:,.0f} MB in {home}"
    )


if __name__ == "__main__":
    main()
