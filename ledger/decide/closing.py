"""How a run ends: captured, cleaned up, completed, sealed.

Rule: cleaning up is never refused; what could not be cleaned is an event too.
"""

from __future__ import annotations

from typing import Literal

from ledger import events as e
from ledger.decide.blobs import blob_name
from ledger.events import UNSET, BlobName, RunEvent
from ledger.ostext import from_os
from ledger.outcomes import Blob, PatchMade, RemovalFailed, Removed
from ledger.run import Holding, Phase, Run, check_legal


def begin_ending(run: Run) -> None:
    """Raise `MoveIllegal` unless the run can be closed, or an earlier close can go on."""
    check_legal(run, e.RunCompleted, "close it")


def record_patch(
    made: PatchMade, patch: Blob, redactions: dict[str, int], *, ending: bool
) -> RunEvent:
    """Return the capture of what the run did, with its patch as stored."""
    return e.PatchCaptured(
        ending=ending,
        size=patch.size,
        files=made.files,
        insertions=made.insertions,
        deletions=made.deletions,
        untracked=made.untracked,
        commits=len(made.commits),
        redactions=redactions,
        private=e.PatchText(
            patch=BlobName(patch.digest, patch.size),
            tree=made.tree,
            commits=made.commits,
            ref=made.kept_ref,
        ),
    )


def record_artifact(path: str, blob: Blob, redactions: dict[str, int], *, ending: bool) -> RunEvent:
    """Return the storing of a declared output."""
    name = blob_name(blob)
    assert name is not None
    text = e.ArtifactText(path=from_os(path), blob=name)
    return e.ArtifactStored(ending=ending, size=blob.size, redactions=redactions, private=text)


def record_cleanup(
    holding: Holding, result: Removed | RemovalFailed, *, name: str, ending: bool
) -> RunEvent:
    """Return what has become of a worktree or sandbox; *name* is its path or id."""
    if isinstance(result, Removed):
        return e.CleanedUp(ending=ending, resource=holding.resource, ordinal=holding.ordinal)
    return e.CleanupFailed(
        ending=ending,
        resource=holding.resource,
        ordinal=holding.ordinal,
        reason=result.reason,
        private=e.CleanupText(name=from_os(name), message=result.message),
    )


def complete_run(
    run: Run,
    *,
    asked: e.RunOutcome | None,
    reason: Literal["asked", "error", "signal"] = "asked",
    message: str | None = None,
) -> e.RunCompleted:
    """
    Return the run's end: as *asked*, else as its commands went.

    It failed if a command that may not fail did, or was refused; without commands it succeeded.
    """
    by_commands: e.RunOutcome = "failed" if run.failures else "succeeded"
    event = e.RunCompleted(
        outcome=asked or by_commands,
        reason="commands" if asked is None else reason,
        private=UNSET if message is None else e.ReasonText(message=message),
    )
    check_legal(run, type(event), "close it")
    return event


def abandon_run(run: Run) -> e.RunAbandoned:
    """Return the end of a run whose process died, with the commands whose end nobody saw."""
    check_legal(run, e.RunAbandoned, "end it")
    return e.RunAbandoned(lost=lost_commands(run))


def lost_commands(run: Run) -> tuple[str, ...]:
    """Return the commands whose end nobody saw, in order."""
    return tuple(sorted(run.lost_commands, key=lambda command: int(command.removeprefix("c"))))


def seal_run(run: Run, *, count: int, root: bytes, log_size: int) -> RunEvent | None:
    """Return the seal over the run's *count* records, or `None` if the last one covers them."""
    if run.phase is not Phase.ENDED or (run.sealed and run.sealed + 1 >= count):
        return None
    return e.RunSealed(count=count, root=root.hex(), log_size=log_size)
