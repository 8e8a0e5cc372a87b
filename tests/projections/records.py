"""Runs as they are on record, made by hand and by Hypothesis."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from ledger import events as e
from ledger.codec import TOPIC_OF
from ledger.events import Event
from ledger.recorded import Recorded
from tests.ledger.samples import ASKED, FACTS, HAD, TEXTS
from tests.strategies import erased, events

SECOND = 1_000_000


def recorded(
    *history: Event, stream: str = "s1", first: int = 0, missing: frozenset[int] = frozenset()
) -> list[Recorded]:
    """
    Return *history* as one stream's records, a second apart; positions begin at *first*.

    The events with a version in *missing* have lost their private parts.
    """
    return [
        _record(event, stream, version, first + version, is_missing=version in missing)
        for version, event in enumerate(history)
    ]


def _record(
    event: Event, stream: str, version: int, position: int, *, is_missing: bool
) -> Recorded:
    return Recorded(
        stream=stream,
        version=version,
        position=position,
        topic=TOPIC_OF[type(event)],
        id=f"{position:032x}",
        occurred=position * SECOND,
        recorded=position * SECOND + 1,
        cause=None,
        trace="a" * 32,
        via="os_user",
        event=erased(event) if is_missing else event,
        private="missing" if is_missing else "present",
        actor=None if is_missing else "ada",
        host=None if is_missing else "here",
    )


def opened(**fields: Any) -> e.RunOpened:
    """Return the opening of a run."""
    text = e.RunOpenedText(
        rules=TEXTS,
        directory="/home/ada/project/src",
        run_path="/home/ada/.local/state/gesta/workspaces/T-1/runs/R-1",
        repository=e.RepositoryText(
            root="/home/ada/project",
            common_dir="/home/ada/project/.git",
            prefix="src",
            base_commit="b" * 40,
        ),
        labels={"ticket": "7"},
    )
    event = e.RunOpened(
        task="T-1",
        run="R-1",
        mode="held",
        home="h1",
        rules=FACTS,
        overridden=(),
        asked=ASKED,
        sandbox_wanted="e2b",
        private=text,
    )
    return msgspec.structs.replace(event, **fields)


def sandboxed() -> tuple[Event, Event]:
    """Return a fallback to the local sandbox, and its creation."""
    taken = e.FallbackTaken(
        component="sandbox",
        wanted="e2b",
        cause="unavailable",
        attempts=(e.Attempt("e2b", "no_key", "none"),),
        used="local",
        lost=("boundary", "network"),
        allowed_by="sandbox.may_lose",
        private=e.FallbackText(messages=("E2B_API_KEY is not set",)),
    )
    made = e.SandboxCreated(
        ordinal=1, kind="local", id="local-s1-1", had=HAD, lifetime="command", persists=("files",)
    )
    return taken, made


def requested(number: int, *argv: str, may_fail: bool = False) -> e.CommandRequested:
    """Return the request of command *number*."""
    return e.CommandRequested(
        command=f"c{number}",
        form="argv",
        sandbox=1,
        may_fail=may_fail,
        uid=1000,
        stdin="none",
        time_limit=600.0,
        asked=ASKED,
        had=HAD,
        private=e.CommandText(argv=argv or ("true",), cwd="/w", step="build"),
    )


def executed(number: int, exit_code: int | None = 0, signal: int | None = None) -> Event:
    """Return the ending of command *number*, which printed four bytes."""
    return e.CommandExecuted(
        command=f"c{number}",
        exit_code=exit_code,
        signal=signal,
        killed_by_memory_limit=False,
        duration_us=2_500,
        cpu_us=1_000,
        peak_memory_kb=6_000,
        stdout=e.StreamFacts(total=4, stored=4, truncated=False),
        stderr=e.StreamFacts(total=0, stored=0, truncated=False),
        private=e.StreamsText(stdout=e.BlobName("d" * 64, 4)),
    )


def ending(outcome: e.RunOutcome = "succeeded") -> tuple[Event, ...]:
    """Return the rest of a run that leaves nothing behind."""
    patch = e.PatchCaptured(
        ending=True,
        size=190,
        files=1,
        insertions=2,
        deletions=3,
        untracked=1,
        commits=0,
        private=e.PatchText(patch=e.BlobName("f" * 64, 190), tree="a" * 40),
    )
    return (
        patch,
        e.CleanedUp(ending=True, resource="sandbox", ordinal=1),
        e.RunCompleted(outcome=outcome, reason="commands"),
        e.RunSealed(count=8, root="0" * 64, log_size=8),
    )


# Built once: a strategy for every event is made of many.
_bodies = st.lists(events(), max_size=10)
_openings = events(e.RunOpened)


def histories() -> st.SearchStrategy[list[Event]]:
    """Return a strategy for anything at all that could stand in a run's stream."""
    return st.builds(lambda opening, body: [opening, *body], _openings, _bodies)
