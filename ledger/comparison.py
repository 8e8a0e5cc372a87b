"""Two executions of one run held side by side: command by command, stream by stream.

Rule 1: streams are compared by the digests of what is stored; one that was cut off is not
comparable, and neither is one whose digest is gone from the record.
Rule 2: a run's directory and ids are its own. Output that differs in nothing else is the same but
for names, and is said to be so.
Rule 3: a run is identical only if everything in it was compared and found the same.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Literal

import msgspec

from ledger import events as e
from ledger.ostext import to_os
from ledger.recorded import Recorded

Likeness = Literal["same", "same_but_for_names", "different", "not_comparable"]
Verdict = Literal["identical", "different", "not_comparable"]
Read = Callable[[str], bytes]

# Of a longer stream the difference is not shown; it is known all the same, by the digests.
_LONGEST: Final = 256 * 1024
_MOST_LINES: Final = 5000
_LONGEST_DIFF: Final = 400

_WORDS = {
    e.CommandTimedOut: "ended by its time limit",
    e.CommandCancelled: "cancelled",
    e.CommandLost: "lost",
    e.CommandOutcomeFound: "found later",
}


class StreamComparison(msgspec.Struct, frozen=True, kw_only=True):
    """One stream of both executions; *diff* is a unified diff of the text, where they differ."""

    likeness: Likeness
    before: str | None
    after: str | None
    diff: str | None = None


class CommandComparison(msgspec.Struct, frozen=True, kw_only=True):
    """One command; *before* and *after* say how it ended then and now."""

    command: str
    again: str | None
    before: str
    after: str
    same_ending: bool
    stdout: StreamComparison
    stderr: StreamComparison

    @property
    def likeness(self) -> Likeness:
        """What the command comes to as a whole."""
        ending: Likeness = "same" if self.same_ending else "different"
        return _worst((ending, self.stdout.likeness, self.stderr.likeness))


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Both executions whole; *changes* compares the trees that they left."""

    stream: str
    again: str
    verdict: Verdict
    commands: tuple[CommandComparison, ...]
    changes: Likeness


class _Side(msgspec.Struct, frozen=True):
    """What one execution says: its stream, its commands with their endings, and its tree."""

    stream: str
    commands: tuple[tuple[str, e.Event | None], ...]
    tree: str | None
    captured: bool
    names: tuple[bytes, ...]


def compare(before: Sequence[Recorded], after: Sequence[Recorded], read: Read) -> Comparison:
    """Return how the run recorded in *after* compares with the one that it repeats, *before*."""
    old, new = _side(before), _side(after)
    names = tuple(zip(new.names, old.names, strict=False))
    commands = tuple(_commands(old, new, names, read))
    changes: Likeness = "not_comparable"
    if old.captured == new.captured and (not old.captured or None not in (old.tree, new.tree)):
        changes = "same" if old.tree == new.tree else "different"
    worst = _worst([changes, *(command.likeness for command in commands)])
    verdicts: dict[Likeness, Verdict] = {
        "different": "different",
        "not_comparable": "not_comparable",
    }
    return Comparison(
        stream=old.stream,
        again=new.stream,
        verdict=verdicts.get(worst, "identical"),
        commands=commands,
        changes=changes,
    )


def _side(history: Sequence[Recorded]) -> _Side:
    endings: dict[str, e.Event | None] = {}
    patch: e.PatchCaptured | None = None
    names: tuple[bytes, ...] = ()
    stream, opened = history[0].stream, history[0]
    for record in history:
        event = record.event
        if isinstance(event, e.CommandRequested):
            endings[event.command] = None
        elif isinstance(event, e.CommandEnding | e.CommandNotStarted):
            endings[event.command] = event
        elif isinstance(event, e.PatchCaptured):
            patch = event
        elif isinstance(event, e.WorktreeCreated):
            names = _names(event, stream, opened)
    text = patch.private if patch else None
    return _Side(
        stream=stream,
        commands=tuple(endings.items()),
        tree=text.tree if isinstance(text, e.PatchText) else None,
        captured=patch is not None,
        names=names,
    )


def _names(event: e.WorktreeCreated, stream: str, opened: Recorded) -> tuple[bytes, ...]:
    """Return what is a run's own, the longest first: one may be part of another."""
    if not isinstance(event.private, e.WorktreeCreatedText):
        return ()
    root = to_os(event.private.path).encode("utf-8", "surrogateescape")
    trace = f"{opened.trace}-{opened.id[:16]}".encode()
    return (root, root.rpartition(b"/")[0], trace, stream.encode())


def _commands(
    old: _Side, new: _Side, names: tuple[tuple[bytes, bytes], ...], read: Read
) -> Iterator[CommandComparison]:
    for number, (command, ended) in enumerate(old.commands):
        again, other = new.commands[number] if number < len(new.commands) else (None, None)
        streams = (
            _compare_streams(name, ended, other, names, read) for name in ("stdout", "stderr")
        )
        stdout, stderr = streams
        yield CommandComparison(
            command=command,
            again=again,
            before=_ending(ended),
            after=_ending(other) if again else "not executed",
            same_ending=again is not None and _ending(ended) == _ending(other),
            stdout=stdout,
            stderr=stderr,
        )


def _ending(event: e.Event | None) -> str:
    match event:
        case e.CommandExecuted(exit_code=int(code)) | e.CommandOutcomeFound(exit_code=int(code)):
            return f"exit {code}"
        case e.CommandExecuted(signal=signal) | e.CommandOutcomeFound(signal=int(signal)):
            return f"signal {signal}"
        case e.CommandNotStarted(reason=reason):
            return f"not started ({reason})"
        case None:
            return "not known"
        case _:
            return _WORDS.get(type(event), "not known")


def _compare_streams(
    name: Literal["stdout", "stderr"],
    before: e.Event | None,
    after: e.Event | None,
    names: tuple[tuple[bytes, bytes], ...],
    read: Read,
) -> StreamComparison:
    (old, was_whole), (new, is_whole) = _stored(before, name), _stored(after, name)
    if not (was_whole and is_whole):
        return StreamComparison(likeness="not_comparable", before=old, after=new)
    if old == new:
        return StreamComparison(likeness="same", before=old, after=new)
    data, other = (b"" if digest is None else read(digest) for digest in (old, new))
    for own, its in names:
        other = other.replace(own, its)
    if data == other:
        return StreamComparison(likeness="same_but_for_names", before=old, after=new)
    diff = _difference(data, other)
    return StreamComparison(likeness="different", before=old, after=new, diff=diff)


def _stored(event: e.Event | None, name: Literal["stdout", "stderr"]) -> tuple[str | None, bool]:
    """Return the digest of what a command printed, and whether that is all that it printed."""
    if not isinstance(event, e.CommandEnding):
        return None, True
    facts: e.StreamFacts | None = getattr(event, name)
    if facts is None or not facts.stored:
        return None, facts is None or not facts.truncated
    text = event.private
    blob = getattr(text, name) if isinstance(text, e.StreamsText) else None
    return (None, False) if blob is None else (blob.sha256, not facts.truncated)


def _difference(before: bytes, after: bytes) -> str | None:
    if max(len(before), len(after)) > _LONGEST:
        return None
    old, new = (data.decode("utf-8", "backslashreplace").split("\n") for data in (before, after))
    if max(len(old), len(new)) > _MOST_LINES:
        return None
    lines = list(difflib.unified_diff(old, new, "before", "after", lineterm=""))
    if len(lines) > _LONGEST_DIFF:
        lines = [*lines[:_LONGEST_DIFF], f"… {len(lines) - _LONGEST_DIFF} more lines differ"]
    return "\n".join(lines)


def _worst(found: Iterable[Likeness]) -> Likeness:
    order: tuple[Likeness, ...] = ("same", "same_but_for_names", "not_comparable", "different")
    return max(found, key=order.index)
