"""One run whole, from its events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ledger import events as e
from ledger.events import Event
from projections.run_view import RunView, view_of
from tests.projections.records import (
    ending,
    executed,
    histories,
    opened,
    recorded,
    requested,
    sandboxed,
)

WORKTREE = e.WorktreeCreated(
    kind="linked",
    detached=True,
    synced=3,
    skipped=2,
    deleted=1,
    private=e.WorktreeCreatedText(
        path="/w",
        git_dir="/home/ada/project/.git/worktrees/w",
        branch=None,
        base_commit="b" * 40,
        tree="a" * 40,
        patch=e.BlobName("c" * 64, 7),
        manifest=e.BlobName("e" * 64, 70),
    ),
)


def whole(*history: Event, missing: frozenset[int] = frozenset()) -> RunView:
    """Return the view of a history."""
    view = view_of(recorded(*history, missing=missing))
    assert view is not None
    return view


def test_everything_that_a_run_made_and_used_is_in_its_view():
    """Worktree, sandbox, fallback, commands, patch, artifacts and what became of them."""
    artifact = e.ArtifactStored(
        ending=True,
        size=5,
        private=e.ArtifactText(path="report.txt", blob=e.BlobName("d" * 64, 5)),
    )
    view = whole(opened(), WORKTREE, *sandboxed(), requested(1), executed(1), artifact, *ending())
    assert view.worktree is not None
    assert ("/w", 3, 2, 1) == (
        view.worktree.path,
        view.worktree.synced,
        view.worktree.skipped,
        view.worktree.deleted,
    )
    assert [("local", "local-s1-1")] == [(row.kind, row.id) for row in view.sandboxes]
    assert [("local", ("E2B_API_KEY is not set",))] == [
        (row.used, row.messages) for row in view.fallbacks
    ]
    assert ["c1"] == [row.command for row in view.commands]
    assert view.patch is not None
    assert (190, "f" * 64) == (view.patch.size, view.patch.sha256)
    assert [("report.txt", "d" * 64)] == [(row.path, row.sha256) for row in view.artifacts]
    assert [("sandbox", True)] == [(row.resource, row.cleaned) for row in view.cleanups]


def test_the_newest_word_on_a_resource_counts():
    """What leaked and was cleaned up a day later is clean."""
    text = e.CleanupText(name="/w", message="it is in use")
    failed = e.CleanupFailed(
        ending=True, resource="worktree", ordinal=1, reason="in_use", private=text
    )
    leaked = whole(opened(), WORKTREE, failed).cleanups
    assert [(False, "in_use", "it is in use")] == [
        (row.cleaned, row.reason, row.message) for row in leaked
    ]
    cleaned = e.CleanedUp(ending=False, resource="worktree", ordinal=1)
    assert [True] == [row.cleaned for row in whole(opened(), WORKTREE, failed, cleaned).cleanups]


def test_a_refusal_is_a_fallback_that_was_not_taken():
    """With the policy's key that forbade it."""
    refused = e.FallbackRefused(
        component="sandbox",
        wanted="e2b",
        cause="unavailable",
        attempts=(),
        lost=(),
        forbidden_by="sandbox.fallback",
    )
    (row,) = whole(opened(), refused).fallbacks
    assert (False, None, "sandbox.fallback", None) == (row.taken, row.used, row.by, row.messages)


@given(histories(), st.frozensets(st.integers(0, 12)))
def test_no_history_and_no_missing_part_ever_fails(history: list[Event], missing: frozenset[int]):
    """Whatever is on record, and whatever of it is gone, there is a view."""
    view = whole(*history, missing=missing)
    assert len(history) == view.run.events
