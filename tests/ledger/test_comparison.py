"""Two executions side by side: what counts as the same, and what cannot be told."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from ledger import events as e
from ledger.comparison import Comparison, compare
from ledger.events import UNSET, BlobName, Event
from ledger.recorded import Recorded
from tests.ledger.samples import SAMPLES

BLOBS: dict[str, bytes] = {}


def kept(data: bytes) -> BlobName:
    """Keep *data*, and return its name."""
    digest = hashlib.sha256(data).hexdigest()
    BLOBS[digest] = data
    return BlobName(digest, len(data))


def executed(data: bytes | None, *, cut: bool = False, **changes: Any) -> e.CommandExecuted:
    """Return a command that exited with 0 and printed *data*."""
    event = e.CommandExecuted(
        command="c1",
        exit_code=0,
        signal=None,
        killed_by_memory_limit=False,
        stdout=None if data is None else e.StreamFacts(len(data), len(data), truncated=cut),
        private=e.StreamsText(stdout=kept(data) if data else None),
    )
    return msgspec.structs.replace(event, **changes)


def history(stream: str, *events: Event) -> list[Recorded]:
    """Return a run with one worktree, one command that ends as *events* say, and what follows."""
    made: Any = SAMPLES["worktree created"]
    text = msgspec.structs.replace(made.private, path=f"/place/{stream}/tree")
    requested: Any = msgspec.structs.replace(SAMPLES["command requested"], command="c1")
    whole = (
        SAMPLES["run opened"],
        msgspec.structs.replace(made, private=text),
        requested,
        *events,
    )
    return [
        Recorded(
            stream=stream, version=version, position=version, topic="", id=stream * 8,
            occurred=0, recorded=0, cause=None, trace=stream * 4, via="os_user", event=event,
            private="present",
        )
        for version, event in enumerate(whole)
    ]  # fmt: skip


def compared(before: Event | None, after: Event | None) -> Comparison:
    """Compare two executions of one command."""
    old, new = ([] if event is None else [event] for event in (before, after))
    return compare(history("old", *old), history("new", *new), BLOBS.__getitem__)


def test_the_same_output_and_ending_are_identical():
    """Equal digests and endings, and no change on either side."""
    found = compared(executed(b"x\n"), executed(b"x\n"))
    assert ("identical", "same") == (found.verdict, found.changes)
    assert ["same"] == [command.likeness for command in found.commands]


def test_silence_is_compared_with_silence():
    """A stream that brought nothing is the same as one that was never there."""
    assert "identical" == compared(executed(None), executed(b"")).verdict
    assert "different" == compared(executed(None), executed(b"x")).verdict


def test_different_text_is_shown_as_a_diff():
    """Lines of both, with what surrounds them."""
    found = compared(executed(b"a\nb\n"), executed(b"a\nc\n"))
    stdout = found.commands[0].stdout
    assert ("different", "different") == (found.verdict, stdout.likeness)
    assert ["--- before", "+++ after", "@@ -1,3 +1,3 @@", " a", "-b", "+c", " "] == (
        (stdout.diff or "").split("\n")
    )


@pytest.mark.parametrize("name", ["/place/{}/tree/x", "/place/{}", "{}"])
def test_a_runs_own_names_are_no_difference(name: str):
    """Its directory, what that lies in, and its stream."""
    found = compared(*(executed(name.format(stream).encode()) for stream in ("old", "new")))
    assert ("identical", "same_but_for_names") == (
        found.verdict,
        found.commands[0].stdout.likeness,
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (executed(b"x", cut=True), executed(b"x", cut=True)),
        (executed(b"x", private=UNSET), executed(b"x")),
        (executed(b"x"), executed(b"y", cut=True)),
        (executed(None, stdout=e.StreamFacts(5, 0, truncated=True)), executed(None)),
    ],
)
def test_what_is_not_stored_whole_is_not_comparable(before: Event, after: Event):
    """A stream that was cut off, and one whose digest is gone from the record."""
    found = compared(before, after)
    assert ("not_comparable", None) == (found.verdict, found.commands[0].stdout.diff)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (executed(None, exit_code=3), "exit 3"),
        (executed(None, exit_code=None, signal=9), "signal 9"),
        (e.CommandTimedOut(command="c1"), "ended by its time limit"),
        (e.CommandCancelled(command="c1", signal=2), "cancelled"),
        (e.CommandLost(command="c1", reason="process"), "lost"),
        (e.CommandNotStarted(command="c1", reason="not_found"), "not started (not_found)"),
        (None, "not known"),
    ],
)
def test_another_ending_is_a_difference(event: Event | None, words: str):
    """Every way to end has its words."""
    found = compared(executed(None), event)
    command = found.commands[0]
    assert ("different", "exit 0", words, False) == (
        found.verdict,
        command.before,
        command.after,
        command.same_ending,
    )


def test_a_late_outcome_counts_as_the_ending():
    """What was found after a command was called lost says how it ended."""
    late = e.CommandOutcomeFound(
        command="c1", outcome="executed", exit_code=0, signal=None, killed_by_memory_limit=False
    )
    assert compared(late, executed(None)).commands[0].same_ending


def test_a_command_that_was_not_reached_is_different():
    """Fewer commands than before are not the same run."""
    new = [one for one in history("new") if not isinstance(one.event, e.CommandRequested)]
    found = compare(history("old", executed(None)), new, BLOBS.__getitem__)
    assert ("different", "not executed", None) == (
        found.verdict,
        found.commands[0].after,
        found.commands[0].again,
    )


def test_trees_that_were_left_are_compared():
    """Another tree is a difference, a missing one not comparable, none on both sides the same."""
    captured: Any = SAMPLES["patch captured"]
    text = msgspec.structs.replace(captured.private, tree="0f" * 20)
    other = msgspec.structs.replace(captured, private=text)
    gone = msgspec.structs.replace(captured, private=UNSET)
    for after, changes in ((captured, "same"), (other, "different"), (gone, "not_comparable")):
        found = compare(
            history("old", executed(None), captured),
            history("new", executed(None), after),
            BLOBS.__getitem__,
        )
        assert changes == found.changes
    found = compare(
        history("old", executed(None), captured), history("new", executed(None)), BLOBS.__getitem__
    )
    assert "not_comparable" == found.changes


@pytest.mark.parametrize("text", [b"x" * 300_000, b"\n" * 6000], ids=["bytes", "lines"])
def test_a_difference_that_is_too_long_is_not_shown(text: bytes):
    """It is known by the digests; to show it would take too long."""
    found = compared(executed(text), executed(text + b"x"))
    assert ("different", None) == (found.verdict, found.commands[0].stdout.diff)


def test_many_lines_that_differ_are_cut_with_their_number():
    """What is left out is counted."""
    before, after = (b"".join(b"%d%s\n" % (n, end) for n in range(900)) for end in (b"", b"x"))
    diff = compared(executed(before), executed(after)).commands[0].stdout.diff or ""
    assert 401 == len(diff.split("\n"))
    assert diff.endswith("more lines differ")
