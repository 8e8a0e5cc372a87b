"""`runs`, `show`, `audit`, `output`: what is on record, also when some of it is gone."""

from __future__ import annotations

import csv
import io
import os
import sqlite3
from pathlib import Path

import pytest

from adapters import open_ledger
from adapters.cli.harmless import harmless
from ledger.overrides import Overrides
from tests.cli.gesta import gesta, on_terminal

HOSTILE = b"\x1b]0;owned\x07 \xe2\x80\xae\xff\rend\n"

LOCAL = Overrides(sandbox="local")


@pytest.fixture
def printed(home: Path, repository: Path) -> Path:
    """Give a repository of which one run is on record; its command printed what is hostile."""
    with (
        open_ledger(home) as ledger,
        ledger.run(task="T-1", overrides=LOCAL, directory=repository) as run,
    ):
        run.execute(["printf", "%s", os.fsdecode(HOSTILE)])
        run.execute(["false", "\x1b[2J"])
    return repository


def test_output_is_exact_in_a_pipe_and_harmless_on_a_terminal(printed: Path):
    """What a command printed cannot act on the terminal of whoever looks at it."""
    stream = gesta("runs", "--json", cwd=printed).json[0]["stream"]
    assert HOSTILE == gesta("output", stream, "c1", cwd=printed).out
    assert b"\\x1b]0;owned\\x07 \\u202e\\xff\\x0dend\r\n" == on_terminal(
        "output", stream, "c1", cwd=printed
    )


def test_show_on_a_terminal_lets_nothing_recorded_act_on_it(printed: Path):
    """Every escape sequence in the tables is one of the layout's own."""
    seen = on_terminal("show", cwd=printed)
    assert b"\\x1b[2J" in seen
    assert b"\x1b[2J" not in seen
    assert b"the record was within the command's reach" in seen


def test_without_any_private_part_status_and_counts_are_still_right(printed: Path, home: Path):
    """Facts alone say what became of a run; what is missing is said to be missing."""
    before = gesta("show", "--json", cwd=printed).json
    with sqlite3.connect(home / "ledger.db") as database:
        database.execute("DELETE FROM private")
    database.close()
    assert 0 == gesta("rebuild", cwd=printed).code
    after = gesta("show", "--json", cwd=printed).json
    for name in ("status", "cleanliness", "commands", "failed", "events", "asked", "had", "lost"):
        assert before["run"][name] == after["run"][name], name
    assert after["run"]["events"] == after["run"]["missing"]
    assert [0, 1] == [command["exit_code"] for command in after["commands"]]
    shown = gesta("show", cwd=printed)
    assert (0, "") == (shown.code, shown.err)
    assert b"(missing)" in shown.out
    assert f"Missing   {after['run']['missing']} of".encode() in shown.out
    trail = gesta("audit", cwd=printed).out.decode()
    assert "c1 requested: (missing)" in trail
    refused = gesta("output", after["run"]["stream"], "c1", cwd=printed)
    assert (1, b"") == (refused.code, refused.out)


def test_runs_are_listed_newest_first_and_filtered(printed: Path, home: Path):
    """Filters narrow the list, which says in words when it is empty."""
    with open_ledger(home) as ledger:
        ledger.open(task="T-2", directory=printed)
    rows = gesta("runs", "--json", cwd=printed).json
    assert ["T-2", "T-1"] == [row["task"] for row in rows]
    here = gesta("runs", "--json", "--here", "--fell-back", "--since", "1h", cwd=printed).json
    assert ["T-1"] == [row["task"] for row in here]
    listed = gesta("runs", "--status", "failed", "--limit", "1", cwd=printed).out.decode()
    header, row = listed.splitlines()
    assert ["run", "status", "left"] == header.split()[:3]
    assert ["failed", "clean"] == row.split()[1:3]
    nothing = gesta("runs", "--leaked", cwd=printed)
    assert (0, b"", "gesta: no run on record is like that\n") == (
        nothing.code,
        nothing.out,
        nothing.err,
    )


def test_the_audit_trail_is_a_table_lines_of_json_or_csv(printed: Path):
    """All three are the same events, in the order of the log."""
    rows = gesta("audit", "--json", "--all", cwd=printed).json
    assert list(range(len(rows))) == [row["position"] for row in rows]
    assert ["LedgerCreated", "RunOpened", "WorktreeCreated"] == [row["event"] for row in rows[:3]]
    text = gesta("audit", "--csv", cwd=printed).out.decode()
    table = list(csv.DictReader(io.StringIO(text)))
    assert [harmless(row["what"]) for row in rows[1:]] == [row["what"] for row in table]
    found = gesta("audit", "--type", "command.executed", "--search", "WITH 1", cwd=printed)
    assert 2 == len(found.out.splitlines())
    assert b"c2 exited with 1" in found.out


def test_a_run_that_is_not_there_is_one_line_and_1(home: Path, repository: Path):
    """On an empty ledger and by a wrong name alike."""
    ended = gesta("show", cwd=repository)
    assert (1, b"", "gesta: cannot find a run: none is on record yet\n") == (
        ended.code,
        ended.out,
        ended.err,
    )
