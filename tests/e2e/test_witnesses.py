"""Witnesses as a user meets them: hosted by somebody else, asked in the background, relied on."""

from __future__ import annotations

import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.ed25519_signer import make_signer
from ledger.note import format_vkey
from ledger.signing import COSIGNATURE
from tests.cli.gesta import gesta, start
from tests.e2e.forgery import database, rewrite, stolen_key
from tests.e2e.test_attacks import exit_with_one

RUN = ("run", "--profile", "local", "--no-worktree", "--", "echo", "hello")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """An empty directory to work in."""
    place = tmp_path / "work"
    place.mkdir()
    return place


class Auditor:
    """Somebody who hosts a witness of ours, and keeps its memory in a place of their own."""

    def __init__(self, directory: Path, log: str) -> None:
        self.process = start(
            "witness", "serve", "--port", "0", "--directory", str(directory), "--log", log,
            "--name", "auditor.example/w1", cwd=directory.parent,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.url, self.key = self.process.stdout.readline().decode().split()

    def end(self) -> None:
        """End the witness as whoever hosts it does."""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=20)


@pytest.fixture
def auditor(home: Path, work: Path, tmp_path: Path) -> Iterator[Auditor]:
    """A witness that knows the log of this test's home."""
    log = gesta("key", "show", cwd=work)
    found = Auditor(tmp_path / "auditor", log.out.decode().strip())
    yield found
    found.end()


def policy_of(auditor: Auditor, work: Path) -> str:
    """Write the verifier's own policy: the log's key, and the witness as the quorum."""
    log = gesta("key", "show", cwd=work).out.decode().strip()
    path = work.parent / "policy"
    path.write_text(f"log {log}\nwitness w1 {auditor.key}\nquorum w1\n")
    return str(path)


def test_a_witnessed_log_is_witnessed(auditor: Auditor, home: Path, work: Path) -> None:
    """Whoever brings the policy is told how many witnesses there are, and up to where."""
    assert 0 == gesta("witness", "add", auditor.url, auditor.key, cwd=work).code
    assert 0 == gesta(*RUN, cwd=work).code
    synced = gesta("witness", "sync", "--json", cwd=work)
    assert 0 == synced.code, synced.out
    assert {"cosigned", "already"} >= {one["state"] for one in synced.json}
    done = gesta("verify", "--json", "--policy", policy_of(auditor, work), cwd=work)
    report = done.json
    assert ("INTACT", "WITNESSED", 0) == (report["integrity"], report["assurance"], done.code)
    assert (1, 1) == (report["cosigned"]["witnesses"], report["cosigned"]["known"])
    assert report["size"] == report["cosigned"]["size"]
    assert (
        "WITNESSED 1/1"
        in gesta("verify", "--policy", policy_of(auditor, work), cwd=work).out.decode()
    )


def test_a_policy_of_the_home_is_not_relied_on(auditor: Auditor, home: Path, work: Path) -> None:
    """Whoever can write there can name witnesses of their own."""
    gesta("witness", "add", auditor.url, auditor.key, cwd=work)
    gesta("witness", "sync", cwd=work)
    done = gesta("verify", "--json", cwd=work)
    assert ("SELF-CHECKED", 0) == (done.json["assurance"], done.code)
    assert not done.json["cosigned"]["brought"]
    assert "1 of 1 witnesses of this home's policy" in gesta("verify", cwd=work).out.decode()


def test_a_policy_that_is_not_content_is_a_bad_answer(
    auditor: Auditor, home: Path, work: Path
) -> None:
    """Its author asked for a witness, and none has seen the log."""
    done = gesta("verify", "--json", "--policy", policy_of(auditor, work), cwd=work)
    assert ("INTACT", "SIGNED", 1) == (done.json["integrity"], done.json["assurance"], done.code)


def test_a_rewriting_with_the_stolen_key_is_no_longer_witnessed(
    auditor: Auditor, home: Path, work: Path
) -> None:
    """It cannot be cosigned again: the witness has seen the log as it was."""
    gesta(*RUN, cwd=work)
    gesta("witness", "add", auditor.url, auditor.key, cwd=work)
    assert 0 == gesta("witness", "sync", cwd=work).code
    rewrite(home, exit_with_one, stolen_key(home))
    policy = policy_of(auditor, work)
    done = gesta("verify", "--json", "--policy", policy, cwd=work)
    assert ("INTACT", "SIGNED", 1) == (done.json["integrity"], done.json["assurance"], done.code)
    asked = gesta("witness", "sync", "--json", cwd=work)
    assert (["diverged"], 3) == ([one["state"] for one in asked.json], asked.code)


def test_of_two_branches_a_witness_cosigns_one(
    auditor: Auditor, home: Path, work: Path, tmp_path: Path
) -> None:
    """A copy that goes on by itself is another history."""
    gesta("witness", "add", auditor.url, auditor.key, cwd=work)
    other = tmp_path / "other"
    shutil.copytree(home, other)
    for place, code in ((home, 0), (other, 3)):
        assert 0 == gesta(*RUN, cwd=work, GESTA_HOME=str(place)).code
        assert code == gesta("witness", "sync", cwd=work, GESTA_HOME=str(place)).code


def test_a_run_has_its_end_witnessed_by_itself(auditor: Auditor, home: Path, work: Path) -> None:
    """In the background, soon after."""
    gesta("witness", "add", auditor.url, auditor.key, cwd=work)
    assert 0 == gesta(*RUN, cwd=work).code
    deadline = time.monotonic() + 30
    while b"auditor.example/w1" not in newest_kept(home):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def newest_kept(home: Path) -> bytes:
    """Return the kept head of the largest size."""
    with database(home) as db:
        rows = db.execute("SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1").fetchall()
    return bytes(rows[0][0]) if rows else b""


def test_a_witness_that_is_down_or_silent_costs_a_run_nothing(home: Path, work: Path) -> None:
    """The run ends as it would, and says nothing of it; asking oneself says so."""
    key = "down.example/w1+" + "00000000+AAAA"
    assert 2 == gesta("witness", "add", "http://127.0.0.1:1", key, cwd=work).code
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for number, url in enumerate(("http://127.0.0.1:1", f"http://127.0.0.1:{port}")):
            vkey = witness_key(number)
            assert 0 == gesta("witness", "add", url, vkey, cwd=work).code
        done = gesta(*RUN, cwd=work)
        assert (0, b"hello\n") == (done.code, done.out)
        assert "witness" not in done.err
        asked = gesta("witness", "sync", "--timeout", "0.2", "--json", cwd=work)
        assert ["unreachable"] * 2 == [one["state"] for one in asked.json]
        assert 1 == asked.code


def witness_key(number: int) -> str:
    """Return the key of a witness that nobody has."""
    return format_vkey(make_signer(f"example/w{number}", COSIGNATURE).key)


def test_a_witness_keeps_its_key_and_its_memory(auditor: Auditor, home: Path, work: Path) -> None:
    """Started again, it is the same witness, and has forgotten nothing."""
    gesta("witness", "add", auditor.url, auditor.key, cwd=work)
    assert 0 == gesta("witness", "sync", cwd=work).code
    auditor.end()
    arguments = ["witness", "serve", "--port", auditor.url.rpartition(":")[2], "--directory"]
    again = start(*arguments, str(work.parent / "auditor"), cwd=work)
    assert again.stdout is not None
    assert f"{auditor.url} {auditor.key}\n" == again.stdout.readline().decode()
    with database(home) as db:
        db.execute("DELETE FROM checkpoints")
    assert 0 == gesta("witness", "sync", cwd=work).code
    again.send_signal(signal.SIGINT)
    again.communicate(timeout=20)
