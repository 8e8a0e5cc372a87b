"""The history of one made-up run, as an agent's run goes: an event after the other, in time.

Rule 1: every history is one that the ledger's law allows; so is every prefix of it.
Rule 2: events of runs are made in this directory and nowhere else in `benchmarks/`; seals, which
need the store, in `make_ledger.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.made.closing import be_abandoned, close
from benchmarks.made.life import Life, Step
from benchmarks.made.opening import find_sandbox, open_run
from benchmarks.made.work import lose_sandbox, work

STILL_OPEN, ABANDONED, CANCELLED = 0.02, 0.04, 0.03
LOSES_SANDBOX = 0.0008  # at each step
_ENDING = 6  # events that an end takes, about


def steps(life: Life) -> Iterator[Step]:
    """Yield what happens in the run, from its opening on; it need not come to an end."""
    fate = life.rng.random()
    yield from open_run(life)
    if (yield from find_sandbox(life)):
        while life.events < life.plan.size - _ENDING:
            if life.rng.random() >= LOSES_SANDBOX:
                yield from work(life)
            elif not (yield from lose_sandbox(life)):
                break
    if fate < STILL_OPEN:
        return
    if fate < STILL_OPEN + ABANDONED:
        yield from be_abandoned(life)
    else:
        yield from close(life, cancelled=fate < STILL_OPEN + ABANDONED + CANCELLED)
