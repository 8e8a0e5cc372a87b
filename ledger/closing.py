"""How a run ends, on every path: captured, cleaned up, completed, sealed.

Rule 1: what the run made is on record before its worktree goes; if that cannot be had, the
worktree stays and is reported as a leak.
Rule 2: cleaning up goes on when the ledger cannot be written; what could not be recorded then is
found by recovery, because removing twice is removing once.
Rule 3: closing again goes on where an earlier close stopped.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import msgspec

from ledger import decide, merkle
from ledger import events as e
from ledger.capture import store_clean
from ledger.cleaning import Cleanup, clean_up, clear_workspace, sweep_sandboxes, worktree_made
from ledger.errors import RunBusy, StoreError, WorkspaceError
from ledger.outcomes import Blob, PatchMade, RemovalFailed
from ledger.run import Phase, Run
from ledger.sealing import sign_seal
from ledger.session import Session
from ledger.spool import drain


class CloseRun(msgspec.Struct, frozen=True, kw_only=True):
    """The end that somebody wants for a run; without an *outcome* it is as its commands went."""

    outcome: e.RunOutcome | None = None
    reason: Literal["asked", "error", "signal"] = "asked"
    message: str | None = None


def settle(session: Session) -> None:
    """
    Put in order what an earlier process left unfinished; the run's lock is ours.

    What it saw and could not record is recorded, what it ran is ended, and a command that has no
    outcome by then is called lost. Raises `RunBusy` if something of it cannot be ended.
    """
    drain(session)
    if session.hold is not None:
        left = session.hands.survivors.end(session.stream, session.hold.left)
        if left:
            raise RunBusy(
                f"cannot work in run {session.run.run}: {left} of its processes cannot be ended; "
                "end them"
            )
    session.record(decide.lose_command)


def close_run(session: Session, wanted: CloseRun) -> None:
    """
    End the run and clean up after it.

    Raises `MoveIllegal` if it has ended; `StoreError` after cleaning up as far as is safe.
    """
    decide.begin_ending(session.run)
    outcome = wanted.outcome or ("failed" if session.run.failures else "succeeded")
    _end(session, outcome, lambda run: _completed(run, wanted))


def abandon_run(session: Session) -> None:
    """
    End the run of a process that died, as `close_run` ends any other.

    Raises `StoreError` after cleaning up as far as is safe.
    """
    _end(session, "abandoned", decide.abandon_run)


def _end(session: Session, outcome: str, last: Callable[[Run], e.RunEvent]) -> None:
    more: Sequence[Cleanup] = ()
    if session.run.mode == "detached" or outcome == "abandoned":
        # Other processes gave its commands their secrets; ours are the best guess at them.
        session.redactor = session.redactor.knowing(session.hands.environment)
        # And they may have made what they did not live to record: it is found by its mark.
        more = sweep_sandboxes(session)
    if session.worktree is None:
        clear_workspace(session)
    trouble: StoreError | None = None
    kept: RemovalFailed | None = None
    try:
        with session.hands.blobs.keeping():
            kept = _capture(session)
    except StoreError as error:
        # The patch exists and no event names it: the worktree is all that holds the work.
        trouble = error
        kept = RemovalFailed(reason="not_captured", message=str(error))
    cleanups = [*clean_up(session, kept, outcome), *more]
    session.hands.files.remove_empty(session.run_path, below=session.hands.workspaces)
    if trouble is not None:
        raise trouble
    session.record(
        lambda run: [
            *(decide.record_cleanup(h, how, name=name, ending=True) for h, how, name in cleanups),
            last(run),
        ]
    )
    seal_run(session)
    session.hands.ended(session.stream)


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


def _completed(run: Run, wanted: CloseRun) -> e.RunEvent:
    return decide.complete_run(
        run, asked=wanted.outcome, reason=wanted.reason, message=wanted.message
    )


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
            with session.hands.blobs.keeping():
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
    return _capture_all(session, ending=True)


def capture_late(session: Session) -> RemovalFailed | None:
    """Capture what could not be captured when the run ended; return why it cannot be still."""
    session.redactor = session.redactor.knowing(session.hands.environment)
    with session.hands.blobs.keeping():
        return _capture_all(session, ending=False)


def _capture_all(session: Session, *, ending: bool) -> RemovalFailed | None:
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
        decide.record_patch(captured, patch, redactions, ending=ending),
        *(decide.record_artifact(*artifact, ending=ending) for artifact in artifacts),
    ]
    session.record(lambda run: events, blobs=[patch, *(blob for _, blob, _ in artifacts)])
    return None


def _store_artifacts(session: Session) -> list[tuple[str, Blob, dict[str, int]]]:
    texts, files, root = session.rule_texts, session.hands.files, session.root
    return [
        (path, *store_clean(session.hands.blobs, session.redactor, files.chunks(root, path)))
        for path in files.find(root, texts.artifacts if texts else ())
    ]
