"""Deciding how a run begins, and whether the policy consents to something less."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import events as e
from ledger.decide import Attempted, create_sandbox, create_worktree, fall_back, open_run
from ledger.errors import MoveIllegal
from ledger.events import UNSET, BlobName
from ledger.isolation import Axis
from ledger.ostext import Bytes64
from ledger.outcomes import Blob, SandboxMade, Unavailable, UnavailableReason, WorktreeMade
from ledger.run import Run
from tests.ledger.samples import HAD
from tests.ledger.stories import (
    CAPTURED,
    COMPLETED,
    OPENED,
    READY,
    SANDBOX,
    WORKTREE,
    given_that,
    governed,
    requested,
)
from tests.strategies import axes

MADE = WorktreeMade(
    kind="linked",
    path="/w/\udcff",
    git_dir=None,
    branch="task-1",
    base_commit="c0",
    tree="d0",
    synced=3,
    skipped=2,
    deleted=1,
    patch=None,
    manifest=b"manifest",
)
MANIFEST = Blob("ab", 12, b"x")
NO_KEY = Unavailable(reason="no_key", message="E2B_API_KEY is not set")
BROKE = Unavailable(reason="outage", message="it broke", unknown_effect=True)
TOO_WEAK = Unavailable(reason="not_permitted", message="it would lose network")
causes = st.sampled_from(get_args(e.Cause))
attempts = st.lists(
    st.builds(
        Attempted,
        st.sampled_from(["e2b", "docker"]),
        st.builds(
            Unavailable,
            reason=st.sampled_from(get_args(UnavailableReason)),
            message=st.text(max_size=5),
            unknown_effect=st.booleans(),
        ),
    ),
    max_size=3,
).map(tuple)


def test_a_run_is_opened_by_the_event_as_given() -> None:
    """Given nothing, opening is the event that was put together for it."""
    assert OPENED is open_run(Run(), OPENED)


def test_a_run_cannot_be_opened_twice() -> None:
    """Given an opened run, another opening is refused."""
    with pytest.raises(MoveIllegal, match="cannot open it again in run T-1/R-1: it is open"):
        open_run(given_that(OPENED), OPENED)


def test_a_worktree_is_recorded_as_it_was_reported() -> None:
    """Counts are facts; path, branch and digests are private; bytes that are not UTF-8 survive."""
    expected = e.WorktreeCreated(
        kind="linked",
        detached=False,
        synced=3,
        skipped=2,
        deleted=1,
        private=e.WorktreeCreatedText(
            path=Bytes64("L3cv/w=="),
            git_dir=None,
            branch="task-1",
            base_commit="c0",
            tree="d0",
            patch=None,
            manifest=BlobName("ab", 12),
        ),
    )
    assert expected == create_worktree(
        given_that(OPENED), MADE, patch=None, manifest=MANIFEST, redactions={}
    )


def test_a_sandbox_is_numbered_after_those_before_it() -> None:
    """Given one sandbox, the next is number 2; an image is private, none is unset."""
    made = SandboxMade(
        kind="local", id="x", isolation=HAD, lifetime="run", persists=("files",), image="i"
    )
    expected = e.SandboxCreated(
        ordinal=2,
        kind="local",
        id="x",
        had=HAD,
        lifetime="run",
        persists=("files",),
        private=e.SandboxCreatedText(image="i"),
    )
    assert expected == create_sandbox(given_that(OPENED, WORKTREE, SANDBOX), made)
    bare = SandboxMade(kind="local", id="x", isolation=HAD, lifetime="run", persists=())
    assert UNSET is create_sandbox(given_that(OPENED), bare).private  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "run",
    [Run(), given_that(*READY, requested(1)), given_that(*READY, CAPTURED),
     given_that(*READY, COMPLETED)],
)  # fmt: skip
def test_nothing_is_made_but_in_an_open_run(run: Run) -> None:
    """Before the opening, under a command and from the ending on, nothing new is made."""
    made = SandboxMade(kind="local", id="x", isolation=HAD, lifetime="run", persists=())
    with pytest.raises(MoveIllegal):
        create_worktree(run, MADE, patch=None, manifest=MANIFEST, redactions={})
    with pytest.raises(MoveIllegal):
        create_sandbox(run, made)


@given(lost=axes, may_lose=axes, cause=causes, tried=attempts)
def test_a_sandbox_is_used_only_with_consent_to_all_it_loses(
    lost: tuple[Axis, ...],
    may_lose: tuple[Axis, ...],
    cause: e.Cause,
    tried: tuple[Attempted, ...],
) -> None:
    """Whatever the cause, a fallback is taken if and only if `may_lose` has every axis lost."""
    run = governed(given_that(OPENED, WORKTREE), may_lose=may_lose)
    decided = fall_back(
        run, "sandbox", wanted="e2b", used="local", cause=cause, attempts=tried, lost=lost
    )
    told = tuple(
        e.Attempt(a.kind, a.why.reason, "unknown" if a.why.unknown_effect else "none")
        for a in tried
    )
    text = e.FallbackText(messages=tuple(a.why.message for a in tried))
    if set(lost) <= set(may_lose):
        expected: e.RunEvent = e.FallbackTaken(
            component="sandbox",
            wanted="e2b",
            cause=cause,
            attempts=told,
            used="local",
            lost=lost,
            allowed_by="sandbox.may_lose",
            private=text,
        )
    else:
        permitted = all(a.why.reason != "not_permitted" for a in tried)
        expected = e.FallbackRefused(
            component="sandbox",
            wanted="e2b",
            cause=cause,
            attempts=told,
            lost=lost,
            forbidden_by="sandbox.fallback" if permitted else "sandbox.may_lose",
            private=text,
        )
    assert expected == decided


@given(lost=axes, may_lose=axes, cause=causes, tried=attempts)
def test_nothing_left_to_use_is_always_a_refusal(
    lost: tuple[Axis, ...],
    may_lose: tuple[Axis, ...],
    cause: e.Cause,
    tried: tuple[Attempted, ...],
) -> None:
    """However much may be lost, without anything to use there is no fallback."""
    run = governed(given_that(OPENED, WORKTREE), may_lose=may_lose)
    decided = fall_back(
        run, "sandbox", wanted="e2b", used=None, cause=cause, attempts=tried, lost=lost
    )
    assert isinstance(decided, e.FallbackRefused)


@pytest.mark.parametrize(
    ("tried", "key"),
    [((), "sandbox.fallback"), ((NO_KEY,), "sandbox.fallback"),
     ((NO_KEY, TOO_WEAK), "sandbox.may_lose")],
)  # fmt: skip
def test_a_refusal_names_the_key_that_forbids(tried: tuple[Unavailable, ...], key: str) -> None:
    """Where something was there and too weak it is `may_lose`, else there is no more fallback."""
    decided = fall_back(
        given_that(OPENED),
        "sandbox",
        wanted="e2b",
        used=None,
        cause="unavailable",
        attempts=tuple(Attempted("e2b", why) for why in tried),
        lost=(),
    )
    assert isinstance(decided, e.FallbackRefused)
    assert key == decided.forbidden_by


def test_an_attempt_of_unknown_effect_is_told_as_such() -> None:
    """What may have been left behind by an attempt is a fact, to be swept at the end."""
    decided = fall_back(
        given_that(OPENED),
        "sandbox",
        wanted="e2b",
        used="local",
        cause="unavailable",
        attempts=(Attempted("e2b", BROKE), Attempted("docker", NO_KEY)),
        lost=(),
    )
    assert (e.Attempt("e2b", "outage", "unknown"), e.Attempt("docker", "no_key", "none")) == (
        decided.attempts
    )


@pytest.mark.parametrize("cause", ["unavailable", "override"])
@pytest.mark.parametrize(("allowed", "kind"), [(True, e.FallbackTaken), (False, e.FallbackRefused)])
def test_a_directory_stands_in_only_where_the_policy_lets_it(
    allowed: bool, kind: type, cause: e.Cause
) -> None:
    """For a worktree the consent is `worktree.fallback`, whatever `may_lose` says."""
    run = governed(given_that(OPENED), worktree_fallback=allowed, may_lose=())
    decided = fall_back(
        run, "worktree", wanted="linked", used="directory", cause=cause, attempts=(), lost=()
    )
    assert kind is type(decided)
    key = decided.allowed_by if isinstance(decided, e.FallbackTaken) else decided.forbidden_by
    assert "worktree.fallback" == key


def test_no_fallback_is_taken_in_a_run_that_ends() -> None:
    """From the ending on nothing is used any more."""
    with pytest.raises(MoveIllegal, match="cannot fall back to local"):
        fall_back(
            given_that(*READY, CAPTURED),
            "sandbox",
            wanted="e2b",
            used="local",
            cause="lost",
            attempts=(),
            lost=(),
        )
