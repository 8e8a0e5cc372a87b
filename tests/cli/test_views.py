"""`rebuild`, `project`, `replay` and `python -m projections`: views as their readers see them."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters import open_ledger
from ledger.overrides import Overrides
from tests.cli.gesta import ROOT, Ended, environment, gesta, start
from tests.cli.test_json_shapes import differences, documented

LOCAL = Overrides(sandbox="local")
VIEWS = {
    "audit_trail",
    "commands",
    "dashboard",
    "run_details",
    "run_status",
    "sandbox_metrics",
    "workspaces",
}


@pytest.fixture
def recorded(home: Path, repository: Path) -> Path:
    """Give a repository of which two runs are on record, one that succeeded and one that failed."""
    with open_ledger(home) as ledger:
        for task, command in (("T-1", ["true"]), ("T-2", ["sh", "-c", "exit 3"])):
            with ledger.run(task=task, overrides=LOCAL, directory=repository) as run:
                run.execute(command)
    return repository


def script(*arguments: str, cwd: Path) -> Ended:
    """Run `python -m projections` to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "projections", *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    return Ended(done.returncode, done.stdout, os.fsdecode(done.stderr))


def digests(cwd: Path) -> dict[str, str]:
    """Return the digest of each view, rebuilt."""
    return {row["name"]: row["sha256"] for row in gesta("rebuild", "--json", cwd=cwd).json}


def test_removed_views_are_made_again_the_same(recorded: Path, home: Path):
    """Nothing is in them that is not in the ledger, and whoever asks finds them made."""
    before = digests(recorded)
    rows = gesta("runs", "--json", cwd=recorded).json
    for name in ("views.db", "views.db-wal", "views.db-shm"):
        (home / name).unlink(missing_ok=True)
    assert rows == gesta("runs", "--json", cwd=recorded).json
    assert before == digests(recorded)
    assert set(before) == VIEWS


def test_a_view_that_was_edited_is_found_by_its_first_row(recorded: Path, home: Path):
    """`rebuild --check` exits with 1, says what stands there and what should, and mends nothing."""
    assert 0 == gesta("runs", cwd=recorded).code
    with sqlite3.connect(home / "views.db") as database:
        database.execute("UPDATE run_status SET status = 'succeeded' WHERE task = 'T-2'")
    database.close()
    for _ in range(2):
        checked = gesta("rebuild", "--check", "--json", "run_status", "commands", cwd=recorded)
        assert 1 == checked.code
        by_name = {one["digest"]["name"]: one["difference"] for one in checked.json}
        assert by_name["commands"] is None
        assert "succeeded" in by_name["run_status"]["live"]
        assert "failed" in by_name["run_status"]["rebuilt"]
    said = gesta("rebuild", "--check", cwd=recorded)
    assert "view run_status differs first in table run_status: has (" in said.err
    replayed = gesta("replay", "T-2/" + _run(recorded, "T-2"), cwd=recorded)
    assert 1 == replayed.code
    assert "table run_status has" in replayed.err
    assert 0 == gesta("replay", "T-1/" + _run(recorded, "T-1"), cwd=recorded).code
    assert 0 == gesta("rebuild", "run_status", cwd=recorded).code
    assert 0 == gesta("rebuild", "--check", cwd=recorded).code


def _run(cwd: Path, task: str) -> str:
    name: str = gesta("runs", "--task", task, "--json", cwd=cwd).json[0]["run"]
    return name


def test_journals_are_written_anew_to_the_same_bytes(recorded: Path, home: Path):
    """They are projections too: of every run that has ended, and from nothing but its events."""
    files = sorted(home.glob("workspaces/*/runs/*/journal/events.jsonl"))
    before = [file.read_bytes() for file in files]
    assert 2 == len(files)
    for file in files:
        file.unlink()
    rebuilt = gesta("rebuild", "journals", "--json", cwd=recorded)
    assert (0, {"written": 2, "failed": 0}) == (rebuilt.code, rebuilt.json)
    assert before == [file.read_bytes() for file in files]


def test_a_name_that_is_no_view_is_one_line_and_2(recorded: Path):
    """With the names that there are."""
    ended = gesta("rebuild", "frob", cwd=recorded)
    assert (2, b"") == (ended.code, ended.out)
    assert ended.err.startswith("gesta: cannot find view frob: there are run_status, ")


@pytest.fixture
def readme_projection(tmp_path: Path) -> Path:
    """Give the README's own projection in a file."""
    text = (ROOT / "README.md").read_text()
    (example,) = re.findall(r"```python\n(# exits\.py\n.*?)```", text, re.DOTALL)
    file = tmp_path / "exits.py"
    file.write_text(example)
    return file


def test_the_readmes_projection_is_kept_checked_rebuilt_and_dropped(
    recorded: Path, home: Path, readme_projection: Path
):
    """A projection of one's own is a table beside the built-in ones, brought up to date."""
    name = str(readme_projection)
    expected = [{"code": 0, "times": 1}, {"code": 3, "times": 1}]
    assert expected == gesta("project", name, "--json", cwd=recorded).json
    with open_ledger(home) as ledger, ledger.run(overrides=LOCAL, directory=recorded) as run:
        run.execute(["false"])
    table = list(
        csv.reader(io.StringIO(gesta("project", name, "--csv", cwd=recorded).out.decode()))
    )
    assert [["code", "times"], ["0", "1"], ["1", "1"], ["3", "1"]] == table
    assert 0 == gesta("project", name, "--check", cwd=recorded).code
    with sqlite3.connect(home / "views.db") as database:
        assert [(0, 1), (1, 1), (3, 1)] == database.execute("SELECT * FROM exits").fetchall()
        database.execute("UPDATE exits SET times = 7 WHERE code = 3")
    database.close()
    assert 1 == gesta("project", name, "--check", cwd=recorded).code
    rebuilt = gesta("project", name, "--rebuild", "--json", cwd=recorded).json
    assert [("exits", 3)] == [(one["name"], one["rows"]) for one in rebuilt]
    assert 0 == gesta("project", name, "--check", cwd=recorded).code
    assert 0 == gesta("project", name, "--drop", cwd=recorded).code
    with sqlite3.connect(home / "views.db") as database:
        tables = database.execute("SELECT name FROM sqlite_schema WHERE name = 'exits'").fetchall()
    database.close()
    assert [] == tables


def test_a_projection_that_raises_stops_alone_and_doctor_names_the_event(
    recorded: Path, home: Path, tmp_path: Path
):
    """The line says view, position, event, run and what was said; mended, it goes on."""
    file = tmp_path / "fragile.py"
    text = """
from msgspec import Struct
from ledger.events import CommandExecuted
from projections import Projection, Table, on

class Row(Struct, frozen=True):
    position: int

ROWS = Table("fragile", Row, key=("position",))

class Fragile(Projection):
    name, version, tables = "fragile", 1, (ROWS,)

    @on(CommandExecuted)
    def executed(self, record, rows):
        rows.put(ROWS, Row(record.position))
        if record.event.exit_code and BROKEN:
            raise ValueError("three is too many")
"""
    file.write_text("BROKEN = True\n" + text)
    ended = gesta("project", str(file), "--json", cwd=recorded)
    event = next(
        row
        for row in gesta("audit", "--all", "--json", cwd=recorded).json
        if row["event"] == "CommandExecuted" and row["task"] == "T-2"
    )
    said = (
        f"view fragile stops before event {event['position']} (command.executed.1, version "
        f"{event['version']} of {event['stream']}): ValueError: three is too many"
    )
    assert (1, f"gesta: {said}\n") == (ended.code, ended.err)
    assert 1 == len(ended.json)
    found = {row["name"]: row for row in gesta("doctor", "--json", cwd=recorded).json}
    assert ("wrong", said) == (found["view fragile"]["state"], found["view fragile"]["said"])
    assert "ok" == found["view run_status"]["state"]
    file.write_text("BROKEN = False\n" + text)
    mended = gesta("project", str(file), "--json", cwd=recorded)
    assert (0, "", 2) == (mended.code, mended.err, len(mended.json))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "it has 0 projections; give it one"),
        ("import nothing_such\n", "ModuleNotFoundError"),
        (
            "from projections import Projection\nclass P(Projection):\n    name = 'p'\n",
            "cannot use projection P: it has no version",
        ),
        (
            (
                "import msgspec\nfrom projections import Projection, Table\n"
                "class R(msgspec.Struct):\n    a: int\n"
                "class P(Projection):\n    name, version = 'run_status', 1\n"
                "    tables = (Table('mine', R, key=('b',)),)\n"
            ),
            "table mine has no column b",
        ),
    ],
)
def test_a_file_that_is_no_projection_is_one_line_and_2(
    recorded: Path, tmp_path: Path, text: str, said: str
):
    """It names the file or the class and what is wrong; no view was touched."""
    file = tmp_path / "mine.py"
    file.write_text(text)
    ended = gesta("project", str(file), cwd=recorded)
    assert (2, b"", 1) == (ended.code, ended.out, ended.err.count("\n"))
    assert said in ended.err


def test_every_built_in_view_is_printed_by_its_script(recorded: Path):
    """As a table, JSON or CSV, of a task or since a time where the view has these."""
    for name in sorted(VIEWS - {"run_details", "dashboard"}):
        rows = script(name, "--json", cwd=recorded).json
        assert rows, name
        table = list(csv.DictReader(io.StringIO(script(name, "--csv", cwd=recorded).out.decode())))
        assert len(rows) == len(table)
        assert list(rows[0]) == list(table[0])
        assert 0 == script(name, "--since", "1h", cwd=recorded).code
    assert ["T-2"] == [
        row["task"] for row in script("run_status", "--task", "T-2", "--json", cwd=recorded).json
    ]
    figures = script("dashboard", "--json", cwd=recorded).json
    shape = documented()["python -m projections dashboard --json"]
    assert [] == differences(shape, figures, "dashboard")
    assert (2, 1, 1, 0.5) == (
        figures["runs"],
        figures["succeeded"],
        figures["failed"],
        figures["success_rate"],
    )
    assert [["sh", "-c", "exit 3"]] == [one["argv"] for one in figures["most_failing"]]
    assert b"50.0% of those that have ended" in script("dashboard", cwd=recorded).out
    refused = script("dashboard", "--task", "T-1", cwd=recorded)
    assert (2, b"") == (refused.code, refused.out)


def test_a_run_is_shown_as_of_an_event_or_a_time(recorded: Path):
    """The longest beginning of the log that is not later: open then, and ended now."""
    trail = gesta("audit", "--all", "--json", cwd=recorded).json
    stream = trail[-1]["stream"]
    executed = next(
        row for row in trail if (row["stream"], row["event"]) == (stream, "CommandRequested")
    )
    for flags in (("--at", str(executed["position"])), ("--as-of", executed["recorded_at"])):
        then = gesta("show", stream, *flags, "--json", cwd=recorded).json
        assert ("running", executed["position"]) == (
            then["run"]["status"],
            then["run"]["last_position"],
        )
        assert "no_recorded_outcome" == then["commands"][0]["status"]
        rows = gesta("runs", *flags, "--json", cwd=recorded).json
        assert [("T-2", "running"), ("T-1", "succeeded")] == [
            (row["task"], row["status"]) for row in rows
        ]
        seen = gesta("audit", "--all", *flags, "--json", cwd=recorded).json
        assert trail[: executed["position"] + 1] == seen
    assert "failed" == gesta("show", stream, "--json", cwd=recorded).json["run"]["status"]
    early = gesta("show", stream, "--at", "0", cwd=recorded)
    assert (1, b"") == (early.code, early.out)
    assert "it was opened later" in early.err
    both = gesta("runs", "--at", "1", "--as-of", "1h", cwd=recorded)
    assert 2 == both.code


def _lines(stream: Any) -> Iterator[dict[str, Any]]:
    for line in stream:
        yield json.loads(line)


def test_an_audit_that_follows_prints_every_event_once_and_in_order(recorded: Path, home: Path):
    """What was there, and what comes while it waits; nothing twice."""
    follower = start("audit", "--all", "--follow", "--jsonl", cwd=recorded)
    try:
        events = _lines(follower.stdout)
        there = gesta("audit", "--all", "--json", cwd=recorded).json
        assert there == [next(events) for _ in there]
        with open_ledger(home) as ledger, ledger.run(overrides=LOCAL, directory=recorded) as run:
            run.execute(["true"])
        seen = [next(events)]
        while seen[-1]["event"] != "RunSealed":
            seen.append(next(events))
        positions = [row["position"] for row in seen]
        assert list(range(len(there), len(there) + len(seen))) == positions
    finally:
        follower.kill()
        follower.communicate()


def test_a_watched_run_is_shown_again_until_it_has_ended(home: Path, repository: Path):
    """The last thing shown is the end."""
    with open_ledger(home) as ledger:
        name = ledger.open(task="T-9", directory=repository, overrides=LOCAL).stream
    watcher = start("show", name, "--watch", cwd=repository)
    try:
        assert watcher.stdout is not None
        first = watcher.stdout.readline()
        assert b"Run " in first
        assert 0 == gesta("exec", name, "--", "true", cwd=repository).code
        assert 0 == gesta("close", name, cwd=repository).code
        rest = watcher.stdout.read()
        assert 0 == watcher.wait(30)
        assert b"succeeded, clean" in rest
        assert b"c1" in rest
    finally:
        watcher.kill()
        watcher.communicate()
