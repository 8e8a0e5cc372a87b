"""Deciding how a run ends."""

from __future__ import annotations

import pytest

from ledger import events as e
from ledger.decide import (
    begin_ending,
    blob_name,
    complete_run,
    record_artifact,
    record_cleanup,
    record_patch,
    seal_run,
)
from ledger.errors import MoveIllegal
from ledger.events import UNSET, BlobName, Event
from ledger.outcomes import Blob, PatchMade, RemovalFailed, Removed
from ledger.run import Holding, Run
from tests.ledger.stories import (
    CAPTURED,
    COMPLETED,
    READY,
    cleaned,
    executed,
    given_that,
    lost,
    requested,
)

STORED = Blob("aa", 20)
PATCH = PatchMade(
    patch=b"patch",
    tree="d1",
    files=3,
    insertions=2,
    deletions=1,
    untracked=1,
    commits=("c1", "c2"),
    kept_ref="refs/gesta/x",
)
WORKTREE = Holding("worktree", 1, "linked", "", "live")
DENIED = e.CommandDenied(command="c1", form="argv", may_fail=False, reason="not_listed")
REFUSED = e.FallbackRefused(
    component="sandbox",
    wanted="e2b",
    cause="unavailable",
    attempts=(),
    lost=(),
    forbidden_by="sandbox.fallback",
)


def test_a_patch_is_recorded_as_it_was_reported() -> None:
    """Sizes and counts are facts; digest, tree, commits and their ref are private."""
    expected = e.PatchCaptured(
        ending=True,
        size=20,
        files=3,
        insertions=2,
        deletions=1,
        untracked=1,
        commits=2,
        redactions={"jwt": 1},
        private=e.PatchText(
            patch=BlobName("aa", 20), tree="d1", commits=("c1", "c2"), ref="refs/gesta/x"
        ),
    )
    assert expected == record_patch(PATCH, STORED, {"jwt": 1}, ending=True)


def test_an_artifact_is_recorded_with_its_path() -> None:
    """The size is a fact, path and digest are private."""
    expected = e.ArtifactStored(
        ending=True,
        size=7,
        private=e.ArtifactText(path="out.log", blob=BlobName("ab", 7)),
    )
    assert expected == record_artifact("out.log", Blob("ab", 7), {}, ending=True)


def test_what_is_gone_is_recorded_as_cleaned_up() -> None:
    """A removal that was checked names the resource and its number."""
    expected = e.CleanedUp(ending=True, resource="worktree", ordinal=1)
    assert expected == record_cleanup(WORKTREE, Removed(), name="/w", ending=True)


def test_what_may_still_be_there_is_recorded_with_the_reason() -> None:
    """A removal that failed says why; where the thing is, is private."""
    expected = e.CleanupFailed(
        ending=False,
        resource="worktree",
        ordinal=1,
        reason="in_use",
        private=e.CleanupText(name="/w", message="busy"),
    )
    result = RemovalFailed(reason="in_use", message="busy")
    assert expected == record_cleanup(WORKTREE, result, name="/w", ending=False)


@pytest.mark.parametrize(
    ("history", "outcome"),
    [
        ([], "succeeded"),
        ([requested(1), executed(1)], "succeeded"),
        ([requested(1), executed(1, 1)], "failed"),
        ([requested(1, may_fail=True), executed(1, 1)], "succeeded"),
        ([requested(1), lost(1)], "failed"),
        ([requested(1), executed(1, 1), requested(2), executed(2)], "failed"),
        ([DENIED], "failed"),
        ([REFUSED], "failed"),
    ],
)
def test_a_run_ends_as_its_commands_went(history: list[Event], outcome: e.RunOutcome) -> None:
    """It failed if one that may not fail did, was denied, or found no sandbox; else succeeded."""
    run = given_that(*READY, *history)
    expected = e.RunCompleted(outcome=outcome, reason="commands")
    assert expected == complete_run(run, asked=None)
    assert UNSET is complete_run(run, asked=None).private


@pytest.mark.parametrize("asked", ["succeeded", "failed", "cancelled"])
def test_an_outcome_that_is_asked_for_wins(asked: e.RunOutcome) -> None:
    """Who closes a run may say how it ended, and why; what they say is private."""
    expected = e.RunCompleted(
        outcome=asked, reason="error", private=e.ReasonText(message="ValueError: no")
    )
    run = given_that(*READY, requested(1), executed(1, 1))
    assert expected == complete_run(run, asked=asked, reason="error", message="ValueError: no")


def test_a_reason_belongs_to_an_outcome_that_was_asked_for() -> None:
    """Where the commands decide, they are the reason."""
    assert "commands" == complete_run(given_that(*READY), asked=None, reason="signal").reason


@pytest.mark.parametrize(
    "run",
    [Run(), given_that(*READY, requested(1)), given_that(*READY, COMPLETED)],
    ids=["never opened", "running", "ended"],
)
def test_a_run_is_not_closed_before_or_twice_or_under_a_command(run: Run) -> None:
    """Closing is refused where nothing is open, where a command is, and after the end."""
    with pytest.raises(MoveIllegal, match="cannot close it"):
        begin_ending(run)
    with pytest.raises(MoveIllegal, match="cannot close it"):
        complete_run(run, asked="failed")


def test_a_close_goes_on_where_an_earlier_one_stopped() -> None:
    """Given a run whose ending has begun, closing is accepted."""
    run = given_that(*READY, CAPTURED)
    begin_ending(run)
    assert "succeeded" == complete_run(run, asked=None).outcome


def test_a_seal_covers_the_whole_run() -> None:
    """Given an ended run, its seal says count, root and size of the log."""
    expected = e.RunSealed(count=4, root="0a0b", log_size=9)
    assert expected == seal_run(
        given_that(*READY, COMPLETED), count=4, root=b"\x0a\x0b", log_size=9
    )


def test_a_seal_that_covers_everything_is_not_repeated() -> None:
    """Given a seal, another is due only once something has followed it."""
    seal = e.RunSealed(count=4, root="00", log_size=9)
    sealed = (*READY, COMPLETED, seal)
    assert seal_run(given_that(*sealed), count=5, root=b"", log_size=9) is None
    later = given_that(*sealed, cleaned("worktree", ending=False))
    again = seal_run(later, count=6, root=b"\x01", log_size=12)
    assert e.RunSealed(count=6, root="01", log_size=12) == again


@pytest.mark.parametrize(
    "run", [Run(), given_that(*READY), given_that(*READY, requested(1)),
            given_that(*READY, CAPTURED)],
)  # fmt: skip
def test_only_what_has_ended_is_sealed(run: Run) -> None:
    """Before its end a run has no seal."""
    assert seal_run(run, count=9, root=b"", log_size=9) is None


def test_no_blob_has_no_name() -> None:
    """An event says of a blob its digest and size, and nothing of none."""
    assert blob_name(None) is None
    assert BlobName("aa", 3) == blob_name(Blob("aa", 3, b"abc"))
