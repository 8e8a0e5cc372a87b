"""Reading journals of the replaced system: every line is accounted for."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.legacy_journal import LONGEST_LINE, LONGEST_WORD, JournalFile, parse_line
from ledger.errors import InputInvalid
from ledger.legacy import BadLine, LegacyLine

WORKTREE = (
    '{"timestamp":"2026-11-23T00:25:45.381078","event_type":"GIT_WORKTREE_CREATED",'
    '"trace_id":"trace-abc","payload":{"branch_name":"task-T-1-run-R-1","café":[1, 2]}}'
)


def read(tmp_path: Path, *lines: str | bytes) -> list[LegacyLine | BadLine]:
    """Return what is read of a journal with these *lines*, each ended by a line feed."""
    file = tmp_path / "events.jsonl"
    whole = [line.encode() if isinstance(line, str) else line for line in lines]
    file.write_bytes(b"".join(line + b"\n" for line in whole))
    return list(JournalFile(file).lines())


def reason(data: bytes) -> str | None:
    """Return why *data* is a bad line; `None` if it is a good one."""
    found = parse_line(1, data)
    return found.reason if isinstance(found, BadLine) else None


def test_a_line_is_read_as_it_stands(tmp_path: Path) -> None:
    """Time and trace stay text, and the payload is the very bytes of its JSON."""
    assert [
        LegacyLine(
            number=1,
            type="GIT_WORKTREE_CREATED",
            is_known=True,
            time="2026-11-23T00:25:45.381078",
            trace="trace-abc",
            spelling="payload",
            payload='{"branch_name":"task-T-1-run-R-1","café":[1, 2]}'.encode(),
            others=None,
        )
    ] == read(tmp_path, WORKTREE)


def test_both_spellings_of_the_payload_are_read() -> None:
    """`data` is what its documents call the payload; where both stand nothing is dropped."""
    one = parse_line(1, b'{"event_type":"NODE_START","data":{"node":"plan"}}\n')
    assert isinstance(one, LegacyLine)
    assert ("data", b'{"node":"plan"}', None) == (one.spelling, one.payload, one.others)
    both = parse_line(1, b'{"event_type":"NODE_START","data":1,"payload":2}\n')
    assert isinstance(both, LegacyLine)
    assert ("payload", b"2", b'{"data":1}') == (both.spelling, both.payload, both.others)


def test_what_a_line_does_not_say_is_missing_and_no_reason_to_refuse_it() -> None:
    """A line needs nothing but its type: some of the replaced system's had no trace_id."""
    line = parse_line(1, b'{"event_type":"MCP_ARTIFACT_CREATE","timestamp":null}\n')
    assert isinstance(line, LegacyLine)
    assert (None, None, None, "neither") == (line.time, line.trace, line.payload, line.spelling)


def test_members_that_no_journal_has_are_kept() -> None:
    """What else is in the object is kept beside the payload, and a time that is no text as JSON."""
    line = parse_line(1, b'{"event_type":"COMMAND_EXEC","level":3,"timestamp":17.5}\n')
    assert isinstance(line, LegacyLine)
    assert (b'{"level":3}', "17.5") == (line.others, line.time)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\n", "empty"),
        (b"  \r\n", "empty"),
        (b"[1]\n", "not_an_object"),
        (b'"GIT_COMMIT"\n', "not_an_object"),
        (b"not JSON\n", "not_json"),
        (b'{"event_type":"A"}{}\n', "not_json"),
        (b'{"event_type":"COMMAND_EX', "torn"),
        (b'{"event_type":"\xff"}\n', "not_utf8"),
        (b'{"payload":{}}\n', "no_event_type"),
        (b'{"event_type":""}\n', "no_event_type"),
        (b'{"event_type":["A"]}\n', "no_event_type"),
        (b'{"event_type":7}\n', "no_event_type"),
        (b'{"event_type":"%s"}\n' % (b"A" * (LONGEST_WORD + 1)), "too_long"),
        (b'{"event_type":"A","payload":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", "not_json"),
        (b'{"event_type":"A"}', None),
    ],
)
def test_a_bad_line_is_reported_with_its_reason(data: bytes, expected: str | None) -> None:
    """Each defect has a word of its own; a last line that lacks only its line feed is none."""
    assert expected == reason(data)


def test_a_line_that_is_too_long_is_passed_over_and_counted(tmp_path: Path) -> None:
    """The lines after it keep their numbers."""
    long = '{"event_type":"A","payload":"' + "x" * LONGEST_LINE + '"}'
    just = '{"event_type":"B","payload":"' + "x" * (LONGEST_LINE - 31) + '"}'
    assert LONGEST_LINE == len(just)
    found = read(tmp_path, long, WORKTREE, just)
    assert [1, 2, 3] == [line.number for line in found]
    assert [True, False, False] == [isinstance(line, BadLine) for line in found]


def test_a_duplicate_is_reported_with_the_line_that_it_repeats(tmp_path: Path) -> None:
    """Bytes that came before are not imported again; empty lines are no duplicates."""
    found = read(tmp_path, WORKTREE, "", WORKTREE, "")
    assert [None, "empty", "duplicate", "empty"] == [getattr(one, "reason", None) for one in found]
    assert "it is line 1 once more" == getattr(found[2], "message", None)


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    """Anybody can compute it with sha256sum."""
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"anything\r\n\xff")
    assert hashlib.sha256(b"anything\r\n\xff").hexdigest() == JournalFile(file).digest


def test_a_journal_that_is_written_to_meanwhile_is_noticed(tmp_path: Path) -> None:
    """What was read is not what the digest says, which is an error, at the end."""
    file = tmp_path / "events.jsonl"
    file.write_text(WORKTREE + "\n")
    journal = JournalFile(file)
    with file.open("a") as more:
        more.write(WORKTREE.replace("R-1", "R-2") + "\n")
    with pytest.raises(InputInvalid, match="it changed while it was read"):
        list(journal.lines())


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A pipe is not waited for, nor is a directory read."""
    os.mkfifo(tmp_path / "pipe")
    for name, why in (("pipe", "not a regular file"), (".", "Is a directory"), ("no", "No such")):
        with pytest.raises(InputInvalid, match=why):
            JournalFile(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "known"),
    [("COMMAND_EXEC", True), ("LLM_CACHE_HIT", True), ("FOO", False), ("command_exec", False)],
)
def test_types_of_the_replaced_system_are_told_from_others(name: str, known: bool) -> None:
    """Its catalogue is known, with the families whose names it made up."""
    line = parse_line(1, json.dumps({"event_type": name}).encode())
    assert isinstance(line, LegacyLine)
    assert known == line.is_known


@given(data=st.binary(max_size=60) | st.text(max_size=30).map(str.encode))
def test_any_bytes_are_a_line_or_a_bad_one(data: bytes) -> None:
    """Nothing raises, and nothing is neither."""
    assert isinstance(parse_line(1, data), LegacyLine | BadLine)


members = st.dictionaries(
    st.sampled_from(["payload", "data", "timestamp", "trace_id", "level"]),
    st.none() | st.integers(-(10**9), 10**9) | st.text(max_size=10) | st.lists(st.booleans()),
)


@given(rest=members, name=st.text(min_size=1, max_size=10))
def test_everything_that_a_line_says_is_kept(rest: dict[str, Any], name: str) -> None:
    """From what was read the object can be put together again."""
    line = parse_line(1, json.dumps({**rest, "event_type": name}).encode() + b"\n")
    assert isinstance(line, LegacyLine)
    again = json.loads(line.others or b"{}")
    for key, value in (("timestamp", line.time), ("trace_id", line.trace)):
        if rest.get(key) is not None:
            text = rest[key] if isinstance(rest[key], str) else json.dumps(rest[key])
            assert text.replace(" ", "") == str(value).replace(" ", "")
    if line.payload is not None:
        again[line.spelling] = json.loads(line.payload)
    kept = {key: value for key, value in rest.items() if key not in ("timestamp", "trace_id")}
    assert (kept, name) == (again, line.type)
