"""Everything outside the ledger that the walk of a run uses, handed in as one.

Rule: the walk knows ports only; `adapters.wiring` alone puts concrete ones here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from ledger.files import Files
from ledger.inventory import Inventory
from ledger.journal import Journal
from ledger.liveness import RunLock, Survivors
from ledger.outcomes import Unavailable
from ledger.ports import BlobStore, Clock, Randomness, Sandbox, Workspace
from ledger.redaction import Redactor
from ledger.signing import LogKeys
from ledger.spool import Spool


class Hands(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a run is done with.

    *redactor* makes one for a policy's patterns. *sandboxes* makes a sandbox of a kind, or says
    why there is none of that kind here; *unfinished* names the streams of runs that may need
    recovery, all of them or those that a glance finds; *room* says how many bytes are free in the
    home. *environment* is the caller's own; *told* is what commands within the ledger's reach are
    told of it, so that a `gesta` of theirs finds it. *ended* is called with the stream of a run
    that has ended and been sealed; it never raises.
    """

    journal: Journal
    keys: LogKeys
    blobs: BlobStore
    git: Workspace
    plain: Workspace
    files: Files
    locks: RunLock
    survivors: Survivors
    spool: Spool
    redactor: Callable[[tuple[str, ...]], Redactor]
    sandboxes: Callable[[str], Sandbox | Unavailable]
    inventory: Inventory
    unfinished: Callable[[bool], Iterable[str]]
    room: Callable[[], int]
    clock: Clock
    randomness: Randomness
    environment: Mapping[str, str]
    told: Mapping[str, str]
    workspaces: Path
    home_id: str
    uid: int
    ended: Callable[[str], None] = lambda stream: None

    def workspace(self, kind: str) -> Workspace:
        """Return the hand that makes and removes workspaces of this *kind*."""
        return self.plain if kind == "directory" else self.git
