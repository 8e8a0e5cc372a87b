"""`gesta verify`, `key` and `checkpoint` as a person or a script uses them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from adapters.key_file import KeyFile
from tests.cli.gesta import gesta, on_terminal
from tests.cli.test_json_shapes import differences, documented

RUN = ("run", "--profile", "local", "--no-worktree", "--", "true")


@pytest.fixture
def work(home: Path, tmp_path: Path) -> Path:
    """A directory to work in, and a ledger with one run."""
    place = tmp_path / "work"
    place.mkdir()
    assert 0 == gesta(*RUN, cwd=place).code
    return place


def key_of(work: Path) -> str:
    """Return the newest key of the log."""
    return gesta("key", "show", cwd=work).out.decode().splitlines()[0]


def test_integrity_and_assurance_are_two_lines(work: Path) -> None:
    """And what cannot be told is always said."""
    done = gesta("verify", cwd=work)
    lines = done.out.decode().splitlines()
    assert 0 == done.code, done.err
    assert ["integrity  INTACT", "assurance  SELF-CHECKED"] == [
        line.partition(":")[0] for line in lines[:2]
    ]
    assert "record     within the reach of the commands of 1 of 1 runs" in lines
    assert any("was never recorded" in line for line in lines)
    one = gesta("verify", "--key", key_of(work), "--blobs", "T-none/R-none", cwd=work)
    assert 1 == one.code


def test_one_run_says_whether_the_record_was_within_reach(work: Path) -> None:
    """And that other runs were not looked at."""
    runs = gesta("runs", "--json", cwd=work).json
    said = gesta("verify", f"{runs[0]['task']}/{runs[0]['run']}", cwd=work).out.decode()
    assert "the record was within the reach of the run's commands" in said
    assert "anything about other runs" in said


def test_what_verify_prints_has_the_documented_shape(work: Path, tmp_path: Path) -> None:
    """Keys and types are those of docs/json.md."""
    shapes = documented()
    done = gesta("verify", "--json", "--blobs", cwd=work)
    assert [] == differences(shapes["gesta verify --json"], done.json)
    with_key = gesta("key", "show", "--json", cwd=work).json
    assert [] == differences(shapes["gesta key show --json"], with_key)
    (policy := tmp_path / "policy").write_text("quorum none\n")
    done = gesta("verify", "--json", "--policy", str(policy), cwd=work)
    assert [] == differences(shapes["gesta verify --json"], done.json)


def test_wrong_usage_is_2(work: Path, tmp_path: Path) -> None:
    """Keys, policies, heads and states that are none, or are of another log."""
    (other := tmp_path / "other").mkdir()
    elsewhere = str(tmp_path / "elsewhere")
    gesta("checkpoint", "--out", elsewhere, cwd=other, GESTA_HOME=str(tmp_path / "second"))
    (broken := tmp_path / "broken").write_text("broken\n")
    for arguments in (
        ("--key", "x"),
        ("--policy", str(broken)),
        ("--policy", "missing"),
        ("--known-checkpoint", str(broken)),
        ("--known-checkpoint", "missing"),
        ("--known-checkpoint", elsewhere),
        ("--since", str(broken)),
        ("--since", "missing"),
        ("--save", "s", "some run"),
        ("--nonsense",),
    ):
        done = gesta("verify", *arguments, cwd=work)
        assert 2 == done.code, (arguments, done)
        assert 1 == len(done.err.splitlines())


def test_verification_goes_on_from_where_it_was(work: Path) -> None:
    """Only what is new is read, and the keys from before are remembered."""
    key = key_of(work)
    assert 0 == gesta("verify", "--save", "state", cwd=work).code
    assert 0 == gesta(*RUN, cwd=work).code
    first = gesta("runs", "--json", cwd=work).json[0]["events"]
    report = gesta("verify", "--json", "--since", "state", "--key", key, cwd=work).json
    assert ("INTACT", "SIGNED") == (report["integrity"], report["assurance"])
    assert first == report["checked"]
    assert report["known"] == report["since"] == report["size"] - first


def test_a_head_is_printed_and_written_whole(work: Path) -> None:
    """It is kept in the ledger, too; one that is written has nothing beside it."""
    printed = gesta("checkpoint", cwd=work)
    assert printed.out.decode().startswith("gesta/")
    assert 0 == gesta("checkpoint", "--out", "head", cwd=work).code
    assert printed.out == (work / "head").read_bytes()
    assert ["head"] == os.listdir(work)
    assert 0 == gesta("verify", "--known-checkpoint", "head", cwd=work).code
    assert 2 == gesta("checkpoint", "--out", "no/such/place", cwd=work).code


def test_a_key_is_changed_and_old_heads_stay_good(work: Path, home: Path) -> None:
    """Both sign in between; who kept the old key trusts the new one because of it."""
    old = key_of(work)
    gesta("checkpoint", "--out", "before", cwd=work)
    assert 1 == gesta("key", "rotate", "--finish", cwd=work).code
    rotated = gesta("key", "rotate", cwd=work)
    new = rotated.out.decode().strip()
    assert [new, old] == gesta("key", "show", cwd=work).out.decode().split()
    assert 1 == gesta("key", "rotate", cwd=work).code
    signatures = gesta("checkpoint", cwd=work).out.decode().partition("\n\n")[2]
    assert 2 == len(signatures.splitlines())
    assert new == gesta("key", "rotate", "--finish", cwd=work).out.decode().strip()
    assert 0 == gesta(*RUN, cwd=work).code
    for key in (old, new):
        arguments = ("--key", key, "--known-checkpoint", "before", "--signatures", "--json")
        report = gesta("verify", *arguments, cwd=work).json
        assert ("INTACT", "SIGNED", 12) == (
            report["integrity"],
            report["assurance"],
            report["known"],
        )
    (path,) = (home / "keys").iterdir()
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)


def test_a_lost_key_stops_recording_until_that_is_said(work: Path, home: Path) -> None:
    """Nothing runs unsigned, nobody makes another key silently, and the old key's word ends."""
    old = key_of(work)
    assert 1 == gesta("key", "rotate", "--lost", cwd=work).code
    (path,) = (home / "keys").iterdir()
    path.unlink()
    refused = gesta(*RUN, cwd=work)
    assert 125 == refused.code
    assert "gesta key rotate --lost" in refused.err
    assert 0 == gesta("verify", cwd=work).code
    new = gesta("key", "rotate", "--lost", cwd=work).out.decode().strip()
    assert 0 == gesta(*RUN, cwd=work).code
    assert 0 == gesta("verify", "--key", new, cwd=work).code
    assert 1 == gesta("verify", "--key", old, cwd=work).code


def test_a_lost_key_is_replaced_by_who_tries_again_after_a_kill(work: Path, home: Path) -> None:
    """A key file that has not signed the log yet is taken up, and put on record."""
    (path,) = (home / "keys").iterdir()
    name = key_of(work).partition("+")[0]
    path.unlink()
    # As a killed `rotate --lost` leaves it: the file is there, and the log does not know it.
    KeyFile(path, name).ensure()
    refused = gesta(*RUN, cwd=work)
    assert 125 == refused.code
    assert "no key of its own signed its head" in refused.err
    new = gesta("key", "rotate", "--lost", cwd=work).out.decode().strip()
    assert 1 == gesta("key", "rotate", "--lost", cwd=work).code
    assert 0 == gesta(*RUN, cwd=work).code
    assert 0 == gesta("verify", "--key", new, cwd=work).code


def test_a_key_that_others_may_read_signs_nothing(work: Path, home: Path) -> None:
    """They may have read it."""
    (path,) = (home / "keys").iterdir()
    path.chmod(0o644)
    done = gesta(*RUN, cwd=work)
    assert 125 == done.code
    assert "others may read it" in done.err
    path.chmod(0o600)
    assert 0 == gesta(*RUN, cwd=work).code


def test_progress_is_shown_on_a_terminal_alone(work: Path) -> None:
    """It is gone before the answer is printed."""
    assert "" == gesta("verify", cwd=work).err
    shown = on_terminal("verify", cwd=work)
    assert b"INTACT" in shown
