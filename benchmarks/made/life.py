"""A made-up run in the making: what was planned, and what has come of it so far."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.made.outputs import Outputs
from ledger import events as e
from ledger.events import RunEvent
from ledger.isolation import Isolation
from ledger.outcomes import Blob
from ledger.overrides import asked_isolation
from ledger.recorded import Provenance
from ledger.rules import Rules

SECOND = 1_000_000
HOUR = 3600 * SECOND


class Step(NamedTuple):
    """What happens next in a run: *event*, or its sealing where there is none."""

    at: int
    event: RunEvent | None
    blobs: tuple[Blob, ...] = ()


class Plan(NamedTuple):
    """A run before it begins; *size* is about how many events it is to have."""

    start: int
    size: int
    seed: int
    task: str
    run: str
    home: str
    stream: str
    parent: str | None
    rules: Rules
    who: Provenance


class Life:
    """The state of one made-up run. Counts are those that the ledger's own state has."""

    def __init__(self, plan: Plan, outputs: Outputs) -> None:
        self.plan, self.outputs = plan, outputs
        self.rng = random.Random(plan.seed)
        self.asked = asked_isolation(plan.rules.facts)
        self.had: Isolation | None = None
        self.at, self.events = plan.start, 0
        self.requests = self.commands = self.files = self.failures = self.sandboxes = 0
        self.root = f"/home/{self.rng.choice(('ann', 'boris', 'ci'))}/code"
        self.path = f"/var/lib/gesta/workspaces/{plan.task}/runs/{plan.run}/{plan.stream}"

    def say(self, event: RunEvent | None, seconds: float = 0.0, *blobs: Blob) -> Step:
        """Return the step in which *event* happens, *seconds* after the one before."""
        self.at += int(seconds * SECOND) + self.rng.randrange(200, 4000)
        self.events += 1
        return Step(self.at, event, blobs)

    def fail(self, requested: e.CommandRequested) -> None:
        """Count a command that failed, unless it may."""
        self.failures += not requested.may_fail

    def digest(self) -> str:
        """Return the digest of something that nobody will look at."""
        return self.rng.randbytes(32).hex()
