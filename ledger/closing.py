"""How a run ends, on every path: captured, cleaned up, completed, sealed.

Rule 1: what the run made is on record before its worktree goes; if that cannot be had, the
worktree stays and is reported as a leak.
Rule 2: cleaning up goes on when the ledger cannot be written; what could not be recorded then is
found by recovery, because removing twice is removing once.
Rule 3: closing again goes on where an earlier close stopped.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Literal

import msgspec

from ledger import decide, merkle
from ledger import events as e
from ledger.capture import store_clean
from ledger.errors import GestaError, StoreError, WorkspaceError
from ledger.ostext import to_os
from ledger.outcomes import (
    Blob,
    PatchMade,
    RemovalFailed,
    Removed,
    Unavailable,
    WorktreeMade,
)
from ledger.run import Holding, Phase, Run
from ledger.sealing import sign_seal
from ledger.session import Session


class CloseRun(msgspec.Struct, frozen=True, kw_only=True):
    """The end that somebody wants for a run; without an *outcome* it is as its commands went."""

    outcome: e.RunOutcome | None = None
    reason: Literal["asked", "error", "signal"] = "asked"
    message: str | None = None


def settle(session: Session) -> None:
    """Call a command lost whose process cannot have outlived the lock that we now hold."""
    session.record(decide.lose_command)


def close_run(session: Session, wanted: CloseRun) -> None:
    """
    End the run and clean up after it.

    Raises `MoveIllegal` if it has ended; `StoreError` after cleaning up as far as is safe.
    """
    decide.begin_ending(session.run)
    if session.run.mode == "detached":
        # Other processes gave its commands their secrets; ours are the best guess at them.
        session.redactor = session.redactor.knowing(session.hands.environment)
    trouble: StoreError | None = None
    kept: RemovalFailed | None = None
    try:
        kept = _capture(session)
    except StoreError as error:
        # The patch exists and no event names it: the worktree is all that holds the work.
        trouble = error
        kept = RemovalFailed(reason="not_captured", message=str(error))
    outcome = wanted.outcome or ("failed" if session.run.failures else "succeeded")
    cleanups = _clean_up(session, kept, outcome)
    if trouble is not None:
        raise trouble
    session.record(lambda run: _complete(run, cleanups, wanted))
    seal_run(session)
    session.hands.ended(session.stream)
    session.hands.files.remove_empty(session.run_path, below=session.hands.workspaces)


def seal_run(session: Session) -> None:
    """
    Record count and root of the run's records, signed, if a later seal is due.

    Raises `VersionConflict` if somebody recorded something meanwhile, `KeyRefused`.
    """
    hands = session.hands
    rows = hands.journal.rows(session.stream)
    root = merkle.root_of([row.leaf for row in rows])
    log_size = hands.journal.store.tree_head().size
    seal = decide.seal_run(session.run, count=len(rows), root=root, log_size=log_size)
    if seal is None:
        return
    # What covers `rows` goes to the version after them; if that is taken, nothing is recorded.
    session.append(
        [seal],
        sign=partial(
            sign_seal,
            ledger=hands.journal.store.ledger_id,
            rows=rows,
            signer=hands.keys.signers()[0],
        ),
    )


def _complete(
    run: Run, cleanups: list[tuple[Holding, Removed | RemovalFailed, str]], wanted: CloseRun
) -> list[e.RunEvent]:
    return [
        *(decide.record_cleanup(h, result, name=name, ending=True) for h, result, name in cleanups),
        decide.complete_run(
            run, asked=wanted.outcome, reason=wanted.reason, message=wanted.message
        ),
    ]


def capture_between(session: Session) -> None:
    """
    Capture what a command changed where that cannot wait for the run's end.

    That is where a lost sandbox may be replaced, and where the process that closes a detached run
    will no longer know the secrets that its commands were given. What was captured last counts. A
    capture that fails leaves the earlier one, and the run goes on.
    """
    made = worktree_made(session)
    forgotten = session.run.mode == "detached" and session.knows_secrets
    if made is None or not (forgotten or session.intent.rules.on_lost == "fallback"):
        return
    with contextlib.suppress(WorkspaceError):
        captured = session.hands.workspace(made.kind).capture(session.worktree_intent(), made)
        earlier = session.patch_text
        if captured.tree != (earlier.tree if earlier else made.tree):
            patch, redactions = session.store(captured.patch)
            session.record(
                lambda run: [decide.record_patch(captured, patch, redactions, ending=False)],
                blobs=[patch],
            )


def _store_patch(session: Session, captured: PatchMade) -> tuple[Blob, dict[str, int]]:
    """Store a patch, unless it is on record: cleaned by whoever knew what to look for."""
    earlier = session.patch_text
    if session.patch is None or earlier is None or earlier.tree != captured.tree:
        return session.store(captured.patch)
    return Blob(earlier.patch.sha256, earlier.patch.size), session.patch.redactions


def _capture(session: Session) -> RemovalFailed | None:
    if session.run.phase is Phase.ENDING or not (session.run.commands or session.run.files):
        return None
    made = worktree_made(session)
    if made is None:
        return RemovalFailed(reason="not_captured", message="where the worktree is was erased")
    try:
        captured = session.hands.workspace(made.kind).capture(session.worktree_intent(), made)
        artifacts = _store_artifacts(session)
    except WorkspaceError as error:
        return RemovalFailed(reason="not_captured", message=str(error))
    patch, redactions = _store_patch(session, captured)
    events = [
        decide.record_patch(captured, patch, redactions, ending=True),
        *(decide.record_artifact(*artifact) for artifact in artifacts),
    ]
    session.record(lambda run: events, blobs=[patch, *(blob for _, blob, _ in artifacts)])
    return None


def _store_artifacts(session: Session) -> list[tuple[str, Blob, dict[str, int]]]:
    texts, files, root = session.rule_texts, session.hands.files, session.root
    return [
        (path, *store_clean(session.hands.blobs, session.redactor, files.chunks(root, path)))
        for path in files.find(root, texts.artifacts if texts else ())
    ]


def _clean_up(
    session: Session, kept: RemovalFailed | None, outcome: e.RunOutcome
) -> list[tuple[Holding, Removed | RemovalFailed, str]]:
    results: list[tuple[Holding, Removed | RemovalFailed, str]] = []
    sandbox = session.run.holding("sandbox")
    closed = close_sandbox(session, sandbox)
    if sandbox is not None:
        results.append((sandbox, closed, sandbox.id))
    results += _close_unclear(session)
    worktree = session.run.holding("worktree")
    if worktree is None or (kept is None and session.run.keeps_worktree(outcome)):
        return results
    removed = kept or _remove_worktree(session)
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
    if holding is None:
        return Removed()
    found = session.hands.sandboxes(holding.kind)
    if isinstance(found, Unavailable):
        return RemovalFailed(reason="failed", message=found.message)
    return found.remove(holding.id)


def _close_unclear(session: Session) -> list[tuple[Holding, Removed | RemovalFailed, str]]:
    """End what may have come to be though its making was not answered; return the failures."""
    ordinal = session.run.made("sandbox") + 1
    results = [(hand.kind, hand.close()) for hand in session.unclear]
    session.unclear.clear()
    return [
        (Holding("sandbox", ordinal, kind, "", "live"), result, "made without an answer")
        for kind, result in results
        if isinstance(result, RemovalFailed)
    ]


def _remove_worktree(session: Session) -> Removed | RemovalFailed:
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
