"""What the ledger believes to exist against what exists.

Rule 1: a run that somebody is at work in is not looked at, and what is another home's is at most
told.
Rule 2: what becomes of a known run's things is recorded in that run, which is sealed again; what no
run accounts for is recorded in the ledger's own stream, when it is found and when it is gone.
Rule 3: nothing that may hold work is thrown away: refs, outcomes that cannot be read and what
cannot be shown to be ours are told and left.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from pathlib import Path
from typing import TYPE_CHECKING

from ledger.collection import blob_drifts
from ledger.drift import Drift, Pass, run_name
from ledger.events import PatchCaptured, PatchText
from ledger.run import Phase
from ledger.sandbox_drift import sandbox_drifts
from ledger.worktree_drift import WorktreeDrift

if TYPE_CHECKING:
    from ledger.hands import Hands
    from ledger.recorded import Provenance

__all__ = ["Drift", "reconcile"]


def reconcile(hands: Hands, who: Provenance, *, act: bool, kept: bool = False) -> Iterator[Drift]:
    """
    Yield each drift, and what was done about it.

    *act* of `False` changes nothing; with *kept* worktrees go that the policy of their run keeps.
    Runs whose process died are another matter: see `ledger.recovery`.
    """
    look = Pass(hands=hands, who=who, act=act, kept=kept)
    worktrees = WorktreeDrift(look)
    yield from worktrees.of_runs()
    yield from worktrees.orphaned()
    yield from sandbox_drifts(look)
    yield from _refs(look, worktrees.repositories.keys())
    yield from blob_drifts(look)
    yield from _spool(look)


def _refs(look: Pass, repositories: Set[Path]) -> Iterator[Drift]:
    """Yield the refs of ended runs that none of their events names; they keep commits, and stay."""
    for common_dir in repositories:
        for stream in look.hands.inventory.refs(common_dir):
            run = look.hands.journal.load(stream)
            ours = run.home == look.hands.home_id and run.phase is Phase.ENDED
            name = f"refs/gesta/{stream}"
            if ours and not _names_ref(look, stream, name):
                yield Drift(
                    what="ref",
                    name=f"{common_dir} {name}",
                    stream=stream,
                    run=run_name(run),
                    why="its run does not name it; look at its commits, and delete it",
                    done="left",
                )


def _names_ref(look: Pass, stream: str, name: str) -> bool:
    return any(
        isinstance(record.event, PatchCaptured)
        and (
            not isinstance(record.event.private, PatchText)  # erased: it cannot be told
            or record.event.private.ref == name
        )
        for record in look.hands.journal.history(stream)
    )


def _spool(look: Pass) -> Iterator[Drift]:
    hands = look.hands
    for stream in hands.inventory.rooms():
        if hands.locks.state(stream) == "free":
            if look.act:
                hands.spool.release(stream)
            yield Drift(
                what="room",
                name=stream,
                stream=stream,
                run=run_name(hands.journal.load(stream)),
                why="its process died",
                done="removed" if look.act else None,
            )
    for stream, place in hands.inventory.damaged():
        yield Drift(
            what="outcome",
            name=place,
            stream=stream,
            run=run_name(hands.journal.load(stream)),
            why="it cannot be read; look, and delete it",
            done="left",
        )
