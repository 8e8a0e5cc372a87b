"""A run in the form of the replaced system's journal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.legacy_journal import parse_line
from ledger import events as e
from ledger.events import BlobName, Event
from ledger.legacy import LegacyLine
from ledger.ostext import Bytes64
from projections.legacy_journal import fold_legacy_journal
from tests.ledger.stories import changed
from tests.projections.records import (
    ending,
    executed,
    histories,
    opened,
    recorded,
    requested,
    sandboxed,
)

PRINTED = "naïve " * 100
WORKTREE = e.WorktreeCreated(
    kind="linked",
    detached=False,
    synced=2,
    skipped=0,
    deleted=0,
    private=e.WorktreeCreatedText(
        path="/w/s1",
        git_dir=None,
        branch="task-T-1-run-R-1",
        base_commit="b" * 40,
        tree="a" * 40,
        patch=None,
        manifest=BlobName("e" * 64, 2),
    ),
)
BLOBS = {
    "d" * 64: PRINTED.encode(),
    "e" * 64: b'{"version":1,"synced":[{"path":"a.txt","size":1},{"path":{"b64":"/w=="}}]}',
}


DAMAGED = (b"", b"[]", b"[" * 20_000, b'{"version":1,"synced":[{"path":"\xff"}]}')


def peek(blob: BlobName, count: int) -> bytes:
    """Return the first bytes of a blob."""
    return BLOBS.get(blob.sha256, b"")[:count]


def lines(*history: Event, missing: frozenset[int] = frozenset()) -> list[dict[str, Any]]:
    """Return the journal of a run with this *history*."""
    records = recorded(*history, missing=missing)
    return [json.loads(line) for line in fold_legacy_journal(records, peek)]


def said(*history: Event, missing: frozenset[int] = frozenset()) -> list[tuple[str, Any]]:
    """Return types and payloads of the journal's lines."""
    return [(line["event_type"], line["payload"]) for line in lines(*history, missing=missing)]


def boxed(kind: str = "docker") -> Any:
    """Return the creation of a sandbox that is not local."""
    return changed(sandboxed()[1], kind=kind, id="box-1")


def test_an_ordinary_run_reads_as_it_did_there() -> None:
    """Names and payload keys are the replaced system's, and a sandboxed command has two lines."""
    ran = requested(1, "python", "-m", "pytest", "a b")
    counts = {"stdout_length": 4, "stderr_length": 0}
    command = {"command": "python -m pytest a b", "exit_code": 3, **counts}
    names = {"task_id": "T-1", "run_id": "R-1"}
    assert [
        (
            "GIT_WORKTREE_CREATED",
            {"branch_name": "task-T-1-run-R-1", "worktree_path": "/w/s1", **names},
        ),
        ("WORKTREE_FILES_SYNCED", {"synced_count": 2, "files": ["a.txt", "\\xff"]}),
        ("SANDBOX_CREATED", {"sandbox_type": "docker", "sandbox_id": "box-1"}),
        ("SANDBOX_COMMAND_EXEC", command),
        (
            "COMMAND_EXEC",
            {
                **command,
                "stdout_summary": PRINTED[:200],
                "stderr_summary": "",
                "sandbox_used": True,
            },
        ),
        ("SANDBOX_CLOSED", {"sandbox_type": "docker"}),
        ("RUN_FAILED", {**names, "status": "failed"}),
    ] == said(opened(), WORKTREE, boxed(), ran, executed(1, 3), *ending("failed"))


@pytest.mark.parametrize("manifest", DAMAGED)
def test_a_damaged_list_of_files_costs_their_names_alone(manifest: bytes) -> None:
    """How many there were is in the event."""
    records = recorded(opened(), WORKTREE)
    made = [json.loads(line) for line in fold_legacy_journal(records, lambda blob, count: manifest)]
    assert {"synced_count": 2, "files": []} == made[-1]["payload"]


def test_the_envelope_has_its_four_members_in_utc() -> None:
    """Its order is theirs; the trace is the caller's own where there is one."""
    record = changed(recorded(opened(), WORKTREE)[1], occurred=1_764_000_000_000_007)
    (line, _) = fold_legacy_journal([record], peek)
    assert line.startswith(
        b'{"timestamp":"2025-11-24T16:00:00.000007+00:00","event_type":"GIT_WORKTREE_CREATED",'
        b'"trace_id":"%s","payload":{' % (b"a" * 32)
    )
    assert line.endswith(b"}}\n")
    (line, _) = fold_legacy_journal([changed(record, caller_trace="trace-abc")], peek)
    assert "trace-abc" == json.loads(line)["trace_id"]


def test_a_fallback_is_told_with_what_was_tried() -> None:
    """Each attempt that failed has its line, and what was used in its place one more."""
    assert [
        ("SANDBOX_CREATE_FAILED", {"sandbox_type": "e2b", "error": "E2B_API_KEY is not set"}),
        (
            "SANDBOX_FALLBACK",
            {"reason": "E2B_API_KEY is not set", "fallback": "local_subprocess"},
        ),
        ("SANDBOX_CREATED", {"sandbox_type": "local", "sandbox_id": "local-s1-1"}),
    ] == said(opened(), *sandboxed())


def test_a_command_that_did_not_exit_is_an_error_there() -> None:
    """A time limit, a loss and a missing program are -1, as that system had them."""
    endings = (
        (e.CommandTimedOut(command="c1"), "ended by its time limit"),
        (e.CommandLost(command="c1", reason="sandbox"), "lost with its sandbox"),
        (e.CommandCancelled(command="c1", signal=2), "cancelled"),
        (
            e.CommandNotStarted(
                command="c1", reason="not_found", private=e.MessageText(message="no such file")
            ),
            "no such file",
        ),
    )
    for event, error in endings:
        *_, failed, ran = said(opened(), boxed(), requested(1, "x"), event)
        assert ("SANDBOX_COMMAND_ERROR", {"command": "x", "error": error}) == failed
        assert ("COMMAND_EXEC", -1) == (ran[0], ran[1]["exit_code"])
    assert -9 == said(opened(), requested(1), executed(1, None, 9))[-1][1]["exit_code"]


def test_a_late_outcome_knows_its_command() -> None:
    """What is found after the loss has the words of the command that was lost."""
    found = e.CommandOutcomeFound(
        command="c1", outcome="executed", exit_code=0, signal=None, killed_by_memory_limit=False
    )
    gone = e.CommandLost(command="c1", reason="sandbox")
    *_, last = said(opened(), boxed(), requested(1, "make"), gone, found)
    assert ("COMMAND_EXEC", "make", 0) == (last[0], last[1]["command"], last[1]["exit_code"])


def test_files_and_what_is_left_behind_have_their_lines() -> None:
    """Written, read and denied files, and what could not be cleaned up."""
    text = e.FileText(path="notes.txt", before=None, after="0123456789abcdef" * 4)
    denied = e.FileDeniedText(path="docs/a", rule="paths.protected: docs")
    busy = e.CleanupText(name="/w/s1", message="it is busy")
    failed: dict[str, Any] = {"ending": True, "ordinal": 1, "reason": "in_use", "private": busy}
    plain = changed(WORKTREE, synced=0)
    assert [
        (
            "FILE_WRITE",
            {"path": "notes.txt", "content_length": 5, "content_hash": "0123456789abcdef"},
        ),
        ("SANDBOX_FILE_READ", {"path": "notes.txt", "content_length": 5}),
        ("SANDBOX_FILE_WRITE_ERROR", {"path": "docs/a", "error": "protected"}),
        ("SANDBOX_CLOSE_ERROR", {"sandbox_type": "docker", "error": "it is busy"}),
        (
            "GIT_WORKTREE_REMOVE_FAILED",
            {"worktree_path": "/w/s1", "error": "it is busy", "fallback": None},
        ),
    ] == said(
        opened(),
        plain,
        boxed(),
        e.FileWritten(file="f1", size=5, private=text),
        e.FileRead(file="f2", size=5, private=text),
        e.FileDenied(file="f3", action="write", reason="protected", private=denied),
        e.CleanupFailed(resource="sandbox", **failed),
        e.CleanupFailed(resource="worktree", **failed),
    )[2:]


def test_a_plain_directory_is_no_worktree_of_git() -> None:
    """Why there is none is said, and nothing of it is said to be removed."""
    taken = e.FallbackTaken(
        component="worktree",
        wanted="linked",
        cause="unavailable",
        attempts=(e.Attempt("linked", "not_a_repository", "none"),),
        used="directory",
        lost=(),
        allowed_by="worktree.fallback",
        private=e.FallbackText(messages=("it is no repository",)),
    )
    error = {"error": "it is no repository", "fallback": "regular_directory"}
    gone = e.CleanedUp(ending=True, resource="worktree", ordinal=1)
    made = changed(WORKTREE, kind="directory", synced=0)
    assert [("GIT_WORKTREE_ERROR", error)] == said(opened(), taken, made, gone)
    skipped = changed(taken, cause="override", attempts=())
    assert ["GIT_WORKTREE_SKIPPED"] == [name for name, _ in said(opened(), skipped, made)]


def test_what_is_missing_is_null() -> None:
    """Without the private parts, the lines are the same ones, and say less."""
    history = (opened(), WORKTREE, boxed(), requested(1, "ls"), executed(1), *ending())
    everything = frozenset(range(len(history)))
    assert [name for name, _ in said(*history)] == [
        name for name, _ in said(*history, missing=everything)
    ]
    command = dict(said(*history, missing=everything))["COMMAND_EXEC"]
    assert (None, "", 4) == (
        command["command"],
        command["stdout_summary"],
        command["stdout_length"],
    )


def test_words_that_are_no_unicode_are_written_as_escapes() -> None:
    """A line is UTF-8, whatever the command was."""
    asked = requested(1)
    asked = changed(asked, private=changed(asked.private, argv=("ls", Bytes64("/w=="))))
    assert "ls \\xff" == said(opened(), asked, executed(1))[0][1]["command"]


@given(history=histories(), missing=st.frozensets(st.integers(0, 10)))
def test_any_history_is_a_journal_that_can_be_imported(
    history: list[Event], missing: frozenset[int]
) -> None:
    """Whatever is on record gives lines that our own import takes, all of types that it knows."""
    for number, line in enumerate(fold_legacy_journal(recorded(*history, missing=missing), peek)):
        read = parse_line(number, line)
        assert isinstance(read, LegacyLine)
        assert read.is_known, read.type
        assert ("payload", None) == (read.spelling, read.others)
