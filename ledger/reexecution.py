"""What it takes to execute a recorded run again, read off the record; or why that cannot be done.

Rule 1: nothing is guessed. What is not on record whole (a secret taken out, a stream cut off, a
private part gone) is a reason to refuse, named with its command.
Rule 2: commands, their order, standard input, variables and time limits are the recorded ones, and
so are the rules; what has to differ (fallbacks are off, the branch is not made again) is on record
as overridden.
Rule 3: the kind of sandbox is the one that the commands had, not the one that was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import msgspec

from ledger import events as e
from ledger.commands import Execute
from ledger.errors import BlobMissing, ReplayRefused
from ledger.events import BlobName, Event, UnsetType
from ledger.opening import Again, OpenRun
from ledger.ostext import OsText, to_os
from ledger.recorded import Recorded
from ledger.recorded_work import RecordedWork
from ledger.rules import RuleFacts, Rules, RuleTexts
from ledger.secret_names import WITHHELD

_Text = TypeVar("_Text", bound=e.Text)
_E = TypeVar("_E", bound=Event)
# Returns the bytes of a blob by its digest; raises `BlobMissing`.
Read = Callable[[str], bytes]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """
    A run as it is to be opened, and its commands in their order, by the ids that they had.

    *base* is the commit that its repository must have, `None` where there was no repository.
    """

    wanted: OpenRun
    base: str | None
    commands: tuple[tuple[str, Execute], ...]


def plan_again(history: Sequence[Recorded], read: Read, *, parent: str | None) -> Plan:
    """
    Return what is to be done to execute the run of this *history* again.

    *parent* is the run that the new one is opened from. Raises `ReplayRefused` with the reason.
    """
    opened, worktree = _one(history, e.RunOpened), _one(history, e.WorktreeCreated)
    if opened is None or worktree is None:
        raise ReplayRefused("cannot replay the run: it never had a worktree")
    name = f"{opened.task}/{opened.run}"
    try:
        return _plan(history, opened, worktree, read, parent)
    except ReplayRefused as error:
        raise ReplayRefused(f"cannot replay run {name}: {error}") from None
    except BlobMissing as error:
        raise ReplayRefused(f"cannot replay run {name}: {error}") from error


def _plan(
    history: Sequence[Recorded],
    opened: e.RunOpened,
    worktree: e.WorktreeCreated,
    read: Read,
    parent: str | None,
) -> Plan:
    events = [record.event for record in history]
    if not any(isinstance(event, e.RunCompleted | e.RunAbandoned) for event in events):
        raise ReplayRefused("it has not ended")
    if any(isinstance(event, e.FileWritten | e.FileWriteRequested) for event in events):
        raise ReplayRefused("files were written into its workspace, and their content is not kept")
    text = _said(opened, e.RunOpenedText, "what was asked of it")
    made = _said(worktree, e.WorktreeCreatedText, "what its worktree held")
    commands = _commands(events, to_os(made.path), read)
    rules, changed = _rules(Rules(opened.rules, text.rules), worktree.kind, history)
    again = Again(
        stream=history[0].stream,
        asked=opened.asked,
        sandbox_wanted=opened.sandbox_wanted,
        overridden=tuple(sorted({*opened.overridden, *changed})),
        work=_work(worktree, made, read),
    )
    wanted = OpenRun(
        profile=rules,
        directory=Path(to_os(text.directory)),
        task=opened.task,
        base=made.base_commit,
        labels=text.labels,
        parent=parent,
        again=again,
    )
    return Plan(wanted=wanted, base=made.base_commit, commands=commands)


def _work(worktree: e.WorktreeCreated, made: e.WorktreeCreatedText, read: Read) -> RecordedWork:
    if worktree.redactions:
        raise ReplayRefused("a secret was taken out of its uncommitted work")
    return RecordedWork(
        patch=None if made.patch is None else read(made.patch.sha256),
        manifest=read(made.manifest.sha256),
        tree=made.tree,
    )


def _rules(rules: Rules, worktree: str, history: Sequence[Recorded]) -> tuple[Rules, set[str]]:
    """Return the rules to go by, and the policy's keys that have another value in them."""
    facts, texts = rules.facts, rules.texts
    used = {_sandbox(record.event, record.private) for record in history} - {None}
    if len(used) > 1:
        raise ReplayRefused("its commands had different sandboxes")
    for kind, image in filter(None, used):
        facts = _replace(facts, sandbox_enabled=True, sandbox_type=kind)
        texts = _replace(texts, image=_pinned(image))
    facts = _replace(facts, fallback=(), on_lost="stop", cleanup="always")
    if worktree == "directory":
        facts = _replace(facts, worktree_enabled=False)
    else:
        facts = _replace(facts, worktree_enabled=True, worktree_fallback=False)
    texts = _replace(texts, branch=None)
    return Rules(facts, texts), _changed(rules, facts, texts)


def _changed(before: Rules, facts: RuleFacts, texts: RuleTexts) -> set[str]:
    old, was = before.facts, before.texts
    differ = {
        "sandbox.fallback": old.fallback != facts.fallback,
        "sandbox.image": was.image != texts.image,
        "sandbox.on_lost": old.on_lost != facts.on_lost,
        "sandbox.type": (old.sandbox_enabled, old.sandbox_type) != (True, facts.sandbox_type),
        "worktree.branch": was.branch != texts.branch,
        "worktree.cleanup": old.cleanup != facts.cleanup,
        "worktree.fallback": old.worktree_fallback != facts.worktree_fallback,
    }
    return {key for key, is_changed in differ.items() if is_changed}


def _sandbox(event: Event, private: str) -> tuple[str, str | None] | None:
    """Return kind and image of a sandbox that was made, or `None` for any other event."""
    if not isinstance(event, e.SandboxCreated):
        return None
    if private == "missing":
        raise ReplayRefused("the image of its sandbox is gone from the record")
    # Where there is no image nothing private was said.
    return event.kind, None if isinstance(event.private, UnsetType) else event.private.image


def _pinned(image: str | None) -> str | None:
    """Return what stands for the very image: its id, where the adapter recorded that with it."""
    name, at, id = (image or "").partition("@")
    return id if at and id.startswith("sha256:") else name or None


def _commands(events: Iterable[Event], root: str, read: Read) -> tuple[tuple[str, Execute], ...]:
    requested: dict[str, e.CommandRequested] = {}
    endings: dict[str, Event] = {}
    for event in events:
        if isinstance(event, e.CommandDenied):
            raise ReplayRefused(f"{event.command} was denied, and what followed may rest on that")
        if isinstance(event, e.CommandRequested):
            requested[event.command] = event
        elif isinstance(event, e.CommandEnding | e.CommandNotStarted):
            endings[event.command] = event
    if not requested:
        raise ReplayRefused("it has no command")
    return tuple(
        (name, _again(event, endings.get(name), root, read)) for name, event in requested.items()
    )


def _again(request: e.CommandRequested, ending: Event | None, root: str, read: Read) -> Execute:
    name = request.command
    if ending is None or isinstance(ending, e.CommandLost):
        raise ReplayRefused(f"{name}: how it ended is not known")
    if isinstance(ending, e.CommandCancelled):
        raise ReplayRefused(f"{name}: it was cancelled")
    if request.redactions:
        rules = ", ".join(sorted(request.redactions))
        raise ReplayRefused(f"{name}: a secret was taken out of its words or variables ({rules})")
    text = _said(request, e.CommandText, f"{name}: its command line")
    env = {key: to_os(value) for key, value in text.env.items()}
    if withheld := [key for key, value in env.items() if value == WITHHELD]:
        raise ReplayRefused(f"{name}: a secret was taken out of its variable {withheld[0]}")
    source = None if text.source is None else read(text.source.sha256)
    return Execute(
        argv=_argv(text, read),
        form=request.form,
        language=text.language,
        source=source,
        step=text.step,
        may_fail=request.may_fail,
        cwd=_inside(name, text.cwd, root),
        env=env,
        caller=env,
        # Of `None` the policy's would come.
        time_limit=request.time_limit or 0.0,
        stdin=source if request.form == "cell" else _stdin(request, ending, read),
    )


def _argv(text: e.CommandText, read: Read) -> tuple[str, ...]:
    words: tuple[OsText, ...] = text.argv
    if text.argv_blob is not None:
        words = msgspec.json.decode(read(text.argv_blob.sha256), type=tuple[OsText, ...])
    return tuple(map(to_os, words))


def _inside(name: str, cwd: OsText, root: str) -> str:
    try:
        return str(PurePosixPath(to_os(cwd)).relative_to(root))
    except ValueError:
        raise ReplayRefused(f"{name}: its directory was not in the workspace") from None


def _stdin(request: e.CommandRequested, ending: Event, read: Read) -> bytes | None:
    name = request.command
    if request.stdin == "none" or not isinstance(ending, e.CommandEnding):
        return None
    if request.stdin == "terminal":
        raise ReplayRefused(f"{name}: it read from a terminal, of which nothing is kept")
    if ending.stdin is None:
        return b""
    if ending.stdin.truncated or ending.stdin.redactions:
        raise ReplayRefused(f"{name}: what it read is not stored whole")
    if not ending.stdin.stored:
        return b""
    kept: BlobName | None = _said(ending, e.StreamsText, f"{name}: what it read").stdin
    return b"" if kept is None else read(kept.sha256)


def _said(event: Any, kind: type[_Text], what: str) -> _Text:
    private: _Text | UnsetType = event.private
    if not isinstance(private, kind):
        raise ReplayRefused(f"{what} is gone from the record")
    return private


def _one(history: Sequence[Recorded], kind: type[_E]) -> _E | None:
    return next((record.event for record in history if isinstance(record.event, kind)), None)


def _replace(struct: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(struct, **changes)
