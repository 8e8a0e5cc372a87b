"""`gesta import`, as somebody with an old journal meets it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.gesta import gesta
from tests.cli.test_json_shapes import differences, documented

JOURNAL = """\
{"timestamp":"2026-11-23T00:25:45.381078","event_type":"GIT_WORKTREE_CREATED",\
"trace_id":"trace-abc","payload":{"branch_name":"task-T-1-run-R-1"}}
{"timestamp":"2026-11-23T00:25:46.000001","event_type":"COMMAND_EXEC",\
"data":{"command":"ls","exit_code":0}}
{"timestamp":"2026-11-23T00:25:46.000001","event_type":"COMMAND_EXEC",\
"data":{"command":"ls","exit_code":0}}
{"timestamp":"2026-11-23T00:25:47","event_type":"MADE_UP","payload":{}}
{"timestamp":"2026-11-23T00:25:48","event_type":"GATE_DEC"""


def test_a_torn_repeated_and_unknown_line_are_reported_and_the_rest_imported(
    home: Path, tmp_path: Path
) -> None:
    """Nothing is dropped silently, the code is 1, and the audit trail shows what was imported."""
    (tmp_path / "events.jsonl").write_text(JOURNAL)
    done = gesta("import", "events.jsonl", "--task", "T-1", cwd=tmp_path)
    assert 1 == done.code
    assert [
        "gesta: line 3 not imported (duplicate): it is line 2 once more",
        "gesta: line 5 not imported (torn): the file ends in the middle of it",
        "gesta: 1 line of the unknown type MADE_UP imported as they are, first line 4",
    ] == done.err.splitlines()
    assert (
        "3 of 5 lines imported (1 with data, 2 with payload)" == done.out.decode().splitlines()[0]
    )
    rows = gesta("audit", "--task", "T-1", "--json", cwd=tmp_path).json
    assert [("LegacyEventImported", "T-1", None)] * 3 == [
        (row["event"], row["task"], row["run"]) for row in rows
    ]
    imported = "of another system's journal imported:"
    day = "2026-11-23T00:25"
    assert [
        f"line 1 {imported} GIT_WORKTREE_CREATED at {day}:45.381078, 34 bytes of payload",
        f"line 2 {imported} COMMAND_EXEC at {day}:46.000001, 30 bytes of payload",
        f"line 4 {imported} MADE_UP at {day}:47, 2 bytes of payload",
    ] == [row["what"] for row in rows]
    found = gesta("audit", "--all", "--search", "GIT_WORKTREE_CREATED", "--json", cwd=tmp_path).json
    assert rows[:1] == found
    assert rows == gesta("audit", rows[0]["stream"], "--json", cwd=tmp_path).json


def test_a_clean_journal_is_imported_with_code_0_and_only_once(home: Path, tmp_path: Path) -> None:
    """The second time there is one line that says so, and code 1."""
    (tmp_path / "events.jsonl").write_text("\n".join(JOURNAL.splitlines()[:2]))
    assert 0 == gesta("import", "events.jsonl", "--task", "T-1", cwd=tmp_path).code
    again = gesta("import", "events.jsonl", "--task", "T-1", cwd=tmp_path)
    assert (1, b"") == (again.code, again.out)
    assert again.err.startswith(
        "gesta: cannot import events.jsonl for task T-1: it was imported before, as stream "
    )
    assert 1 == again.err.count("\n")


def test_an_import_adds_no_run(home: Path, tmp_path: Path) -> None:
    """Lists of runs show our own alone, and what is for runs refuses the import in one line."""
    (tmp_path / "events.jsonl").write_text(JOURNAL)
    done = gesta("import", "events.jsonl", "--task", "T-1", "--run", "R-1", "--json", cwd=tmp_path)
    assert [] == gesta("runs", "--json", cwd=tmp_path).json
    for command in ("show", "output", "diff", "close"):
        ended = gesta(command, done.json["stream"], cwd=tmp_path)
        assert (1, 1) == (ended.code, ended.err.count("\n"))
        assert "it is an imported journal" in ended.err


def test_the_answer_has_the_documented_shape(home: Path, tmp_path: Path) -> None:
    """Keys and types are those of docs/json.md."""
    (tmp_path / "events.jsonl").write_text(JOURNAL)
    done = gesta("import", "events.jsonl", "--task", "T-1", "--json", cwd=tmp_path)
    assert 1 == done.code
    shape = documented()["gesta import --json"]
    assert [] == differences({**shape, "spelled": {}}, done.json, "import")
    assert {"data": 1, "payload": 2} == done.json["spelled"]
    assert "" == done.err
    assert json.loads(done.out) == done.json


def test_a_wrong_file_or_task_is_refused_before_anything_is_written(
    home: Path, tmp_path: Path
) -> None:
    """That is code 2, one line, and no event."""
    (tmp_path / "events.jsonl").write_text(JOURNAL)
    missing = gesta("import", "nowhere.jsonl", "--task", "T-1", cwd=tmp_path)
    assert (2, "gesta: cannot import nowhere.jsonl: No such file or directory\n") == (
        missing.code,
        missing.err,
    )
    assert 2 == gesta("import", "events.jsonl", "--task", "a/b", cwd=tmp_path).code
    assert 1 == len(gesta("audit", "--all", "--json", cwd=tmp_path).json)
