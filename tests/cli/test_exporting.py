"""`gesta export`, as other tools meet it."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import stat
from pathlib import Path

from adapters import open_ledger
from adapters.cli.exporting import _all_rows, _rows_of
from ledger.checkpoint import read_checkpoint
from ledger.merkle import root_of
from tests.cli.gesta import LOCAL, gesta, on_terminal, profile
from tests.cli.test_json_shapes import differences, documented


def a_run(home: Path, repository: Path, *command: str) -> None:
    """Record a run of one command."""
    if not home.exists():
        profile(home, "default", LOCAL)
    done = gesta(
        "run", "--task", "T-1", "--run", "R-1", "--actor", "=1+1", "--", *command, cwd=repository
    )
    assert 0 == done.code, done.err


def test_every_event_of_a_run_is_a_line_of_the_documented_shape(home: Path, repository: Path):
    """In their order, with facts and private parts, and no event of anything else."""
    a_run(home, repository, "echo", "hello")
    lines = gesta("export", "T-1/R-1", cwd=repository).out.splitlines()
    events = [json.loads(line) for line in lines]
    with open_ledger() as ledger:
        history = ledger.events("T-1/R-1")
    assert [(r.position, r.topic, r.id) for r in history] == [
        (event["position"], event["topic"], event["facts"]["id"]) for event in events
    ]
    # An event that says nothing private of itself has no `event` there.
    shape = {**documented()["gesta export --format jsonl"], "private": {}}
    assert [] == [found for event in events for found in differences(shape, event, "export")]


def test_the_whole_ledger_is_exported_in_the_order_of_its_log(home: Path, repository: Path):
    """With `--all` there is every event, the ledger's own among them."""
    a_run(home, repository, "true")
    events = [
        json.loads(line) for line in gesta("export", "--all", cwd=repository).out.splitlines()
    ]
    assert list(range(len(events))) == [event["position"] for event in events]
    assert "LedgerCreated" == events[0]["event"]


def test_csv_is_flat_and_no_spreadsheet_computes_it(home: Path, repository: Path):
    """Lines end as RFC 4180 has them, and a name that is a formula is made a text."""
    a_run(home, repository, "echo", "hello")
    out = gesta("export", "T-1/R-1", "--format", "csv", cwd=repository).out
    assert out.endswith(b"\r\n")
    rows = list(csv.DictReader(io.StringIO(out.decode(), newline="")))
    assert {"'=1+1"} == {row["actor"] for row in rows}
    asked = next(row for row in rows if row["event"] == "CommandRequested")
    assert ["echo", "hello"] == json.loads(asked["private"])["argv"]


def test_the_log_is_exported_as_tiles(home: Path, repository: Path, tmp_path: Path):
    """They hash to the head that stands beside them, and nothing private is in them."""
    a_run(home, repository, "echo", "hello of ours")
    done = gesta("export", "--format", "tlog-tiles", "-o", "tiles", cwd=tmp_path)
    assert 0 == done.code, done.err
    note = (tmp_path / "tiles" / "checkpoint").read_bytes()
    assert note == gesta("checkpoint", cwd=tmp_path).out
    head = read_checkpoint(note)
    assert f"tiles of {head.size} events in tiles\n" == done.out.decode()
    leaves = (tmp_path / "tiles" / f"tile/0/000.p/{head.size}").read_bytes()
    assert head.root == root_of([leaves[at : at + 32] for at in range(0, len(leaves), 32)])
    entries = (tmp_path / "tiles" / f"tile/entries/000.p/{head.size}").read_bytes()
    assert b"hello of ours" not in entries
    again = gesta("export", "--format", "tlog-tiles", "-o", "tiles", cwd=tmp_path)
    assert (2, "it is there already") == (again.code, again.err.strip().rpartition(": ")[2])


def test_tiles_are_of_the_whole_log_and_need_a_directory(home: Path, repository: Path):
    """A run has no tree of its own, and tiles are many files."""
    a_run(home, repository, "true")
    for more in (("-o", "tiles", "T-1/R-1"), ("--all",)):
        done = gesta("export", "--format", "tlog-tiles", *more, cwd=repository)
        assert 2 == done.code
        assert "tiles are of the whole log and need a directory" in done.err


def test_an_event_of_an_unknown_type_is_exported_with_the_others(home: Path, repository: Path):
    """A newer version's event stops nothing, whichever run or form is asked for."""
    a_run(home, repository, "true")
    with sqlite3.connect(home / "ledger.db") as database:
        database.execute(
            "UPDATE stored_events SET topic = 'moon.landed.9' WHERE topic = 'command.executed.1'"
        )
    database.close()
    for form in ("jsonl", "csv"):
        for which in ("--all", "T-1/R-1"):
            done = gesta("export", which, "--format", form, cwd=repository)
            assert (0, "") == (done.code, done.err)
            assert 1 == done.out.count(b"moon.landed.9")


def test_a_file_is_written_whole_and_for_its_owner_alone(home: Path, repository: Path, tmp_path):
    """What was there is replaced, a link is not followed, and a failure leaves what was there."""
    a_run(home, repository, "true")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("kept")
    file = tmp_path / "out.jsonl"
    file.symlink_to(elsewhere)
    done = gesta("export", "--all", "-o", str(file), cwd=repository)
    count = len(file.read_bytes().splitlines())
    assert f"{count} events in {file}\n" == done.out.decode()
    assert ("kept", False, 0o600) == (
        elsewhere.read_text(),
        file.is_symlink(),
        stat.S_IMODE(file.stat().st_mode),
    )
    before = file.read_bytes()
    database = sqlite3.connect(home / "ledger.db")
    database.execute("UPDATE stored_events SET leaf = 'text' WHERE position = 3")
    database.commit()
    database.close()
    assert 1 == gesta("export", "--all", "-o", str(file), cwd=repository).code
    assert before == file.read_bytes()
    assert [] == [path for path in tmp_path.iterdir() if path.name.startswith(".out")]


def test_what_is_no_file_is_not_written_to(home: Path, repository: Path, tmp_path: Path):
    """A directory, a pipe and a place that is not there are refused in one line."""
    a_run(home, repository, "true")
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", ".", "no/where"):
        done = gesta("export", "--all", "-o", str(tmp_path / name), cwd=repository)
        assert (2, 1) == (done.code, done.err.count("\n"))
        assert done.err.startswith("gesta: cannot write ")


def test_a_run_or_all_has_to_be_named(home: Path, repository: Path):
    """Nothing is exported by accident: neither is wrong usage, and so are both."""
    assert 2 == gesta("export", cwd=repository).code
    assert 2 == gesta("export", "T-1/R-1", "--all", cwd=repository).code


def test_a_terminal_gets_nothing_that_it_would_act_on(home: Path, repository: Path):
    """Elsewhere the bytes are the stored ones; at a terminal the JSON says the same in ASCII."""
    a_run(home, repository, "echo", "\N{RIGHT-TO-LEFT OVERRIDE}")
    assert "\N{RIGHT-TO-LEFT OVERRIDE}".encode() in gesta("export", "--all", cwd=repository).out
    seen = on_terminal("export", "--all", cwd=repository)
    assert b"\\u202e" in seen
    assert "\N{RIGHT-TO-LEFT OVERRIDE}".encode() not in seen


def test_rows_come_a_page_at_a_time(home: Path, repository: Path):
    """Whoever takes one row has not had the whole log read."""
    a_run(home, repository, "true")
    with open_ledger() as ledger:
        store, asked = ledger.journal.store, []

        class Counting:
            """A store that notes how much it is asked for."""

            tree_head = store.tree_head

            def page(self, **wanted):
                """Note the limit and return the page."""
                asked.append(wanted["limit"])
                return store.page(**wanted)

            def stream_rows(self, stream, *, after, through):
                """Note the number of versions and return the rows."""
                asked.append(through - after)
                return store.stream_rows(stream, after=after, through=through)

        next(_all_rows(Counting()))  # type: ignore[arg-type]
        next(_rows_of(Counting(), ledger.find("T-1/R-1")))  # type: ignore[arg-type]
    assert 2 == len(asked)
    assert max(asked) <= 1000
