"""Runs whose process died, found and brought to their end.

Rule 1: liveness is the lock. A run whose lock is held is never touched, and of two recoveries at
once the one that gets the lock acts.
Rule 2: a run is judged twice: to find it, and again when its lock is ours.
Rule 3: only runs of our own home are judged; whose home is another's, so are its worktree, its
sandbox and its dead processes.
Rule 4: what the run had made is not lost: it is captured before anything is removed, and what
cannot be captured stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from ledger import decide
from ledger.cleaning import remove_sandbox, remove_worktree
from ledger.closing import abandon_run, capture_late, seal_run, settle
from ledger.errors import GestaError, RunBusy
from ledger.events import CleanupFailed
from ledger.liveness import holding
from ledger.outcomes import RemovalFailed, Removed
from ledger.run import Cleanliness, Phase, Status
from ledger.session import Session

if TYPE_CHECKING:
    from ledger.hands import Hands
    from ledger.recorded import Provenance, Recorded
    from ledger.run import Holding, Run

Need = Literal["dead", "idle", "unrecorded", "unsealed", "leaked", "stale"]


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """
    A run that needs recovery, or what it came to.

    *need* is why: its process is *dead*, it was left open and *idle* for too long, an outcome of it
    is *unrecorded*, it ended *unsealed*, something of it *leaked*, or only a *stale* lock is left.
    *trouble* is what stood in the way, if something did.
    """

    stream: str
    task: str
    run: str
    need: Need
    status: Status
    cleanliness: Cleanliness | None
    lost: tuple[str, ...] = ()
    trouble: str | None = None


def find_unfinished(hands: Hands, *, thorough: bool) -> Iterator[Recovery]:
    """Yield the runs that need recovery, and change nothing; see `Hands.unfinished`."""
    for stream in hands.unfinished(thorough):
        if hands.locks.state(stream) == "free":
            history = hands.journal.history(stream)
            run = _fold(history)
            need = judge(hands, stream, run, history)
            if need is not None:
                yield _told(stream, run, need)


def recover(hands: Hands, who: Provenance, *, thorough: bool) -> Iterator[Recovery]:
    """
    Bring each run that needs it to its end, and yield what it came to.

    What stands in the way of one does not keep it from the others.
    """
    for found in find_unfinished(hands, thorough=thorough):
        try:
            with holding(hands, found.stream) as hold:
                history = hands.journal.history(found.stream)
                need = judge(hands, found.stream, _fold(history), history)
                if need in (None, "stale"):
                    # Letting go of the lock removes its file, all that a stale one has left.
                    continue
                session = Session(hands, found.stream, history, who, hold=hold)
                _bring_to_end(session, need, history)
                yield _told(found.stream, session.run, need)
        except RunBusy as busy:
            if hands.locks.state(found.stream) == "free":
                yield msgspec.structs.replace(found, trouble=str(busy))
        except GestaError as error:
            yield msgspec.structs.replace(found, trouble=str(error))


def judge(hands: Hands, stream: str, run: Run, history: Sequence[Recorded]) -> Need | None:
    """Say why a run whose lock is free needs recovery, or `None` if it needs none from us."""
    if not history:
        return "stale" if stream in hands.locks.known() else None
    if run.home != hands.home_id:
        return None
    if run.phase is not Phase.ENDED:
        if run.mode == "held":
            return "dead"
        idle = hands.clock.now() - history[-1].recorded
        if run.rules is not None and idle > run.rules.idle_limit * 1_000_000:
            return "idle"
    if stream in hands.spool.streams():
        return "unrecorded"
    if run.phase is not Phase.ENDED:
        return None
    if run.is_settled:
        return "stale" if stream in hands.locks.known() else None
    return "leaked" if run.cleanliness == "leaked" else "unsealed"


def _fold(history: Sequence[Recorded]) -> Run:
    from ledger.replay import fold

    return fold(record.event for record in history)


def _told(stream: str, run: Run, need: Need) -> Recovery:
    lost = decide.lost_commands(run)
    return Recovery(
        stream=stream,
        task=run.task,
        run=run.run,
        need=need,
        status=run.status,
        cleanliness=run.cleanliness,
        lost=lost if need in ("dead", "idle") else (),
    )


def _bring_to_end(session: Session, need: Need, history: Sequence[Recorded]) -> None:
    settle(session)
    if need in ("dead", "idle"):
        abandon_run(session)
    elif session.run.phase is Phase.ENDED:
        clean_again(session, history)
        seal_run(session)


def clean_again(
    session: Session, history: Sequence[Recorded], *, kept: bool = False
) -> list[RemovalFailed]:
    """
    Try again to remove what is left of a run that has ended.

    With *kept* also what its policy keeps. What is gone by now is on record; what is not is
    returned, and nothing new is said of it.
    """
    failures = []
    for held in session.run.holdings:
        wanted = held.state == "leaked" or (kept and held.state == "live")
        if not wanted:
            continue
        result = _remove(session, held, history)
        if isinstance(result, Removed):
            session.hands.files.remove_empty(session.run_path, below=session.hands.workspaces)
            session.record(
                lambda run, held=held, result=result: [  # type: ignore[misc]  # defaults bind early
                    decide.record_cleanup(held, result, name=held.id, ending=False)
                ]
            )
        else:
            failures.append(result)
    return failures


def _remove(
    session: Session, held: Holding, history: Sequence[Recorded]
) -> Removed | RemovalFailed:
    if held.resource == "sandbox":
        return remove_sandbox(session, held)
    stands = session.hands.files.stands(session.root)
    if stands and _is_uncaptured(history):
        kept = capture_late(session)
        if kept is not None:
            return kept
    return remove_worktree(session)


def _is_uncaptured(history: Sequence[Recorded]) -> bool:
    """Say whether the worktree stayed because what is in it could not be had."""
    failures = [
        record.event
        for record in history
        if isinstance(record.event, CleanupFailed) and record.event.resource == "worktree"
    ]
    return bool(failures) and failures[-1].reason == "not_captured"
