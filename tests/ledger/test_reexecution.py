"""The plan of executing a run again: read off the record, or refused with what is missing there."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ledger import events as e
from ledger.commands import Execute
from ledger.errors import BlobMissing, ReplayRefused
from ledger.events import UNSET, BlobName, Event
from ledger.ostext import Bytes64
from ledger.recorded import Recorded
from ledger.reexecution import Plan, plan_again
from tests.ledger.samples import SAMPLES

ROOT = "/home/ann/tree"
FOUND = {"aa": b"the patch", "bb": b"the manifest", "cc": b"typed\n", "dd": b'["sh","-c","x"]'}


def changed(event: Any, private: Any = None, **facts: Any) -> Any:
    """Return *event* with other facts, and another private part, or another one in these fields."""
    if isinstance(private, dict):
        private = msgspec.structs.replace(event.private, **private)
    if private is not None:
        facts["private"] = private
    return msgspec.structs.replace(event, **facts)


OPENED: Any = changed(SAMPLES["run opened"], rules=SAMPLES["run opened"].rules)  # type: ignore[attr-defined]
WORKTREE: Any = changed(
    SAMPLES["worktree created"],
    {"path": ROOT, "patch": BlobName("aa", 9), "manifest": BlobName("bb", 12), "tree": "7a" * 20},
    kind="linked",
    redactions={},
)
SANDBOX: Any = e.SandboxCreated(
    ordinal=1,
    kind="docker",
    id="x",
    had=SAMPLES["sandbox created, and how soon"].had,  # type: ignore[attr-defined]
    lifetime="command",
    persists=("files",),
    private=e.SandboxCreatedText(image="python:3@sha256:" + "9" * 64),
)
REQUESTED: Any = changed(
    SAMPLES["command requested"],
    {
        "argv": ("sh", Bytes64("/2E=")), "argv_blob": None, "cwd": f"{ROOT}/src", "source": None,
        "env": {"PATH": "/bin"}, "language": None, "step": "build",
    },
    command="c1", form="argv", stdin="none", redactions={}, time_limit=None, may_fail=True,
)  # fmt: skip
EXECUTED = e.CommandExecuted(command="c1", exit_code=0, signal=None, killed_by_memory_limit=False)
COMPLETED: Any = SAMPLES["run completed, nothing said"]
WHOLE: tuple[Event, ...] = (OPENED, WORKTREE, SANDBOX, REQUESTED, EXECUTED, COMPLETED)


def read(digest: str) -> bytes:
    """Return a blob."""
    if digest not in FOUND:
        raise BlobMissing(f"cannot read blob {digest}: it is not in the store")
    return FOUND[digest]


def plan(*events: Event, gone: type[Event] | None = None) -> Plan:
    """Return the plan for a run of *events*; of *gone* ones the private row is missing."""
    history = [
        Recorded(
            stream="s", version=at, position=at, topic="", id="1d" * 16, occurred=0, recorded=0,
            cause=None, trace="7e" * 16, via="os_user", event=event,
            private="missing" if gone is not None and isinstance(event, gone) else "present",
        )
        for at, event in enumerate(events)
    ]  # fmt: skip
    return plan_again(history, read, parent=None)


def swapped(old: Event, *new: Event) -> tuple[Event, ...]:
    """Return the whole run with *new* in the place of *old*."""
    return tuple(one for event in WHOLE for one in (new if event is old else (event,)))


def test_a_command_is_planned_as_it_was_given():
    """Words, directory, variables and step are the recorded ones; no limit stays no limit."""
    ((name, wanted),) = plan(*WHOLE).commands
    env = {"PATH": "/bin"}
    assert "c1" == name
    assert wanted == Execute(
        argv=("sh", "\udcffa"), form="argv", step="build", may_fail=True, cwd="src", env=env,
        caller=env, time_limit=0.0,
    )  # fmt: skip


def test_the_run_is_opened_with_the_recorded_rules_and_nothing_stands_in():
    """The kind of sandbox is the one that was had, its image pinned; fallbacks are off."""
    found = plan(*WHOLE)
    facts, texts = found.wanted.profile.facts, found.wanted.profile.texts
    assert ("docker", (), "stop", False) == (
        facts.sandbox_type,
        facts.fallback,
        facts.on_lost,
        facts.worktree_fallback,
    )
    assert ("sha256:" + "9" * 64, None) == (texts.image, texts.branch)
    again = found.wanted.again
    assert again is not None
    assert (OPENED.asked, OPENED.sandbox_wanted, "s") == (
        again.asked,
        again.sandbox_wanted,
        again.stream,
    )
    assert {"sandbox.type", "sandbox.fallback", "worktree.branch"} <= set(again.overridden)
    assert (b"the patch", b"the manifest") == (again.work.patch, again.work.manifest)
    assert OPENED.limits == facts.limits if hasattr(OPENED, "limits") else True
    assert OPENED.rules.limits == facts.limits


def test_a_plain_directory_is_copied_again():
    """No repository is looked for where there was none."""
    found = plan(*swapped(WORKTREE, changed(WORKTREE, {"base_commit": None}, kind="directory")))
    assert not found.wanted.profile.facts.worktree_enabled
    assert found.base is None


def test_a_list_of_arguments_that_is_a_blob_is_read():
    """The stored words count, not the first alone."""
    asked = changed(REQUESTED, {"argv": ("sh",), "argv_blob": BlobName("dd", 14)})
    ((_, wanted),) = plan(*swapped(REQUESTED, asked)).commands
    assert ("sh", "-c", "x") == wanted.argv


@pytest.mark.parametrize(
    ("facts", "name", "expected"),
    [
        (None, None, b""),
        (e.StreamFacts(0, 0, truncated=False), None, b""),
        (e.StreamFacts(6, 6, truncated=False), BlobName("cc", 6), b"typed\n"),
    ],
)
def test_what_a_command_read_is_given_again(
    facts: e.StreamFacts | None, name: BlobName | None, expected: bytes
):
    """Whole, or nothing at all where nothing was read."""
    ended = changed(EXECUTED, stdin=facts, private=e.StreamsText(stdin=name))
    asked = changed(REQUESTED, stdin="kept")
    events = (OPENED, WORKTREE, SANDBOX, asked, ended, COMPLETED)
    ((_, wanted),) = plan(*events).commands
    assert expected == wanted.stdin


def test_a_cell_reads_its_source():
    """The source is both what is recorded and what is read."""
    asked = changed(REQUESTED, {"language": "python", "source": BlobName("cc", 6)}, form="cell")
    ((_, wanted),) = plan(*swapped(REQUESTED, asked)).commands
    assert (b"typed\n", b"typed\n", "python") == (wanted.source, wanted.stdin, wanted.language)


def test_a_command_that_did_not_start_is_tried_again():
    """That it cannot be found is an ending like others."""
    missing = e.CommandNotStarted(command="c1", reason="not_found")
    asked = changed(REQUESTED, stdin="kept")
    ((_, wanted),) = plan(OPENED, WORKTREE, asked, missing, COMPLETED).commands
    assert wanted.stdin is None


CUT = changed(EXECUTED, stdin=e.StreamFacts(9, 6, truncated=True))
TAKEN = changed(EXECUTED, stdin=e.StreamFacts(9, 6, truncated=False, redactions={"token": 1}))
UNNAMED = changed(EXECUTED, stdin=e.StreamFacts(6, 6, truncated=False))
KEPT = changed(REQUESTED, stdin="kept")


@pytest.mark.parametrize(
    ("events", "said"),
    [
        (WHOLE[:1], "it never had a worktree"),
        (WHOLE[:-1], "it has not ended"),
        ((OPENED, WORKTREE, COMPLETED), "it has no command"),
        ((*WHOLE, e.FileWritten(file="f1", size=1)), "their content is not kept"),
        (swapped(OPENED, changed(OPENED, private=UNSET)), "what was asked of it is gone"),
        (swapped(WORKTREE, changed(WORKTREE, private=UNSET)), "what its worktree held is gone"),
        (swapped(WORKTREE, changed(WORKTREE, redactions={"token": 1})), "its uncommitted work"),
        (
            swapped(WORKTREE, changed(WORKTREE, {"manifest": BlobName("ee", 1)})),
            "cannot read blob ee",
        ),
        (swapped(SANDBOX, SANDBOX, changed(SANDBOX, kind="local")), "different sandboxes"),
        (swapped(EXECUTED), "c1: how it ended is not known"),
        (swapped(EXECUTED, e.CommandLost(command="c1", reason="process")), "c1: how it ended is"),
        (swapped(EXECUTED, e.CommandCancelled(command="c1", signal=2)), "c1: it was cancelled"),
        (
            swapped(SANDBOX, SANDBOX, changed(SAMPLES["command denied"], command="c0")),
            "c0 was denied",
        ),
        (swapped(REQUESTED, changed(REQUESTED, private=UNSET)), "c1: its command line is gone"),
        (swapped(REQUESTED, changed(REQUESTED, redactions={"token": 1})), r"variables \(token\)"),
        (
            swapped(REQUESTED, changed(REQUESTED, {"env": {"A_TOKEN": "[withheld]"}})),
            "c1: a secret was taken out of its variable A_TOKEN",
        ),
        (swapped(REQUESTED, changed(REQUESTED, {"cwd": "/etc"})), "was not in the workspace"),
        (swapped(REQUESTED, changed(REQUESTED, stdin="terminal")), "it read from a terminal"),
        ((OPENED, WORKTREE, KEPT, CUT, COMPLETED), "what it read is not stored whole"),
        ((OPENED, WORKTREE, KEPT, TAKEN, COMPLETED), "what it read is not stored whole"),
        ((OPENED, WORKTREE, KEPT, UNNAMED, COMPLETED), "c1: what it read is gone"),
    ],
)
def test_what_is_not_on_record_whole_is_refused(events: tuple[Event, ...], said: str):
    """The reason names what is missing, and the command where it is one's."""
    with pytest.raises(ReplayRefused, match=f"^cannot replay .*{said}"):
        plan(*events)


def test_an_image_that_was_erased_is_not_guessed():
    """A sandbox of which the private row is gone may have had any image."""
    erased = swapped(SANDBOX, changed(SANDBOX, private=UNSET))
    with pytest.raises(ReplayRefused, match="the image of its sandbox is gone from the record"):
        plan(*erased, gone=e.SandboxCreated)
    assert plan(*erased).wanted.profile.texts.image is None
