"""What a run used is removed: its sandbox, its worktree, and what is not on record of either.

Rule 1: nothing here records anything or is stopped by the ledger; what came of it is returned.
Rule 2: removing twice is removing once, whoever did it first.
"""

from __future__ import annotations

from ledger.errors import GestaError
from ledger.liveness import MarkingSandbox
from ledger.ostext import to_os
from ledger.outcomes import RemovalFailed, Removed, Unavailable, WorktreeMade
from ledger.overrides import wanted_kinds
from ledger.run import Holding
from ledger.session import Session

# What was to be cleaned up, what came of it, and its path or id.
Cleanup = tuple[Holding, Removed | RemovalFailed, str]


def clean_up(session: Session, kept: RemovalFailed | None, outcome: str) -> list[Cleanup]:
    """
    Remove what the run has, and return what came of it.

    The worktree stays if it is *kept* for a reason, or if the policy wants that for a run with
    this *outcome*.
    """
    results: list[Cleanup] = []
    sandbox = session.run.holding("sandbox")
    closed = close_sandbox(session, sandbox)
    if sandbox is not None:
        results.append((sandbox, closed, sandbox.id))
    results += _close_unclear(session)
    worktree = session.run.holding("worktree")
    if worktree is None or (kept is None and session.run.keeps_worktree(outcome)):
        return results
    removed = kept or remove_worktree(session)
    results.append((worktree, removed, str(session.root)))
    return results


def close_sandbox(session: Session, holding: Holding | None) -> Removed | RemovalFailed:
    """End the run's sandbox: the one in hand, else the one that *holding* says there is."""
    for prepared in session.prepared.values():
        prepared.close()
    session.prepared.clear()
    hand, session.sandbox = session.sandbox, None
    if hand is not None:
        return hand.close()
    return Removed() if holding is None else remove_sandbox(session, holding)


def remove_sandbox(session: Session, holding: Holding) -> Removed | RemovalFailed:
    """End a sandbox that another process made; what stood in the way is returned."""
    found = session.hands.sandboxes(holding.kind)
    if isinstance(found, Unavailable):
        return RemovalFailed(reason="failed", message=found.message)
    return found.remove(holding.id)


def sweep_sandboxes(session: Session) -> list[Cleanup]:
    """End what carries the run's mark and is not on record, where its kind can be asked."""
    known = {holding.id for holding in session.run.holdings}
    swept: list[Cleanup] = []
    for kind in wanted_kinds(session.intent.rules):
        sandbox = session.hands.sandboxes(kind)
        if not isinstance(sandbox, MarkingSandbox):
            continue
        found = sandbox.marked(session.intent.home)
        for one in () if isinstance(found, Unavailable) else found:
            if one.stream == session.stream and one.id not in known and one.ordinal.isdecimal():
                holding = Holding("sandbox", int(one.ordinal), kind, one.id, "live")
                swept.append((holding, remove_sandbox(session, holding), one.id))
    return swept


def clear_workspace(session: Session) -> Removed | RemovalFailed:
    """Remove what a making that did not come to its end may have left; often nothing."""
    for hand in (session.hands.git, session.hands.plain):
        cleared = hand.clear(session.worktree_intent())
        if isinstance(cleared, RemovalFailed):
            return cleared
    return Removed()


def _close_unclear(session: Session) -> list[Cleanup]:
    """End what may have come to be though its making was not answered; return the failures."""
    ordinal = session.run.made("sandbox") + 1
    results = [(hand.kind, hand.close()) for hand in session.unclear]
    session.unclear.clear()
    return [
        (Holding("sandbox", ordinal, kind, "", "live"), result, "made without an answer")
        for kind, result in results
        if isinstance(result, RemovalFailed)
    ]


def remove_worktree(session: Session) -> Removed | RemovalFailed:
    """Remove the worktree that is on record; what stood in the way is returned."""
    made = worktree_made(session)
    if made is None:
        return RemovalFailed(reason="failed", message="where the worktree is was erased")
    try:
        return session.hands.workspace(made.kind).remove(session.worktree_intent(), made)
    except GestaError as error:
        return RemovalFailed(reason="failed", message=str(error))


def worktree_made(session: Session) -> WorktreeMade | None:
    """Return the worktree as its adapter reported it, or `None` if its private part is gone."""
    event, text = session.worktree, session.worktree_text
    if event is None or text is None:
        return None
    return WorktreeMade(
        kind=event.kind,
        path=to_os(text.path),
        git_dir=None if text.git_dir is None else to_os(text.git_dir),
        branch=text.branch,
        base_commit=text.base_commit,
        tree=text.tree,
        synced=event.synced,
        skipped=event.skipped,
        deleted=event.deleted,
    )
