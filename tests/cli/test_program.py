"""The program itself: what it imports, how it reads its words, how it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ledger
from adapters.cli import program
from tests.cli.gesta import MODULE, environment, gesta

HEAVY = {
    "docker", "e2b", "fastapi", "httpx", "jinja2", "procrastinate", "psycopg",
    "pydantic", "requests", "rich", "sqlalchemy", "starlette", "yaml",
}  # fmt: skip
MOST_MODULES = 450


def test_gesta_run_true_imports_nothing_heavy(home: Path, repository: Path):
    """A run pays for what it does: no model, YAML, terminal layout or SDK, and few modules."""
    # The first one makes the ledger and compiles the profile, for which it needs more.
    assert 0 == gesta("run", "--", "true", cwd=repository).code
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *MODULE[1:], "run", "--", "true"],
        cwd=repository,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    names = {line.rpartition("|")[2].strip() for line in lines}
    assert "adapters.cli.walk" in names
    assert set() == {name.partition(".")[0] for name in names} & HEAVY
    # Every append is signed; of the library that does it, only what signs.
    assert not {
        name for name in names if name.startswith(("cryptography.x509", "cryptography.fernet"))
    }
    assert len(names) <= MOST_MODULES


def test_the_group_imports_click_and_no_command(tmp_path: Path):
    """Asking for help costs neither the ledger nor any command's module."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *MODULE[1:], "--help"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    names = {line.rpartition("|")[2].strip() for line in lines}
    ours = {name for name in names if name.startswith(("adapters.", "ledger.", "projections."))}
    assert {"adapters.cli", "adapters.cli.harmless", "adapters.cli.printing"} | {
        "adapters.cli.program"
    } == ours
    assert "msgspec" not in names
    assert "gesta" in done.stdout
    for name in ("run", "doctor"):
        assert f"\n  {name} " in done.stdout


def test_a_word_that_is_no_command_is_one_line_and_2(home: Path, tmp_path: Path):
    """What is not understood is said with where help is, and without the terminal's own escapes."""
    ended = gesta("frob\x1b[2J", cwd=tmp_path)
    assert (2, b"") == (ended.code, ended.out)
    assert (
        "gesta: cannot understand the command line: no such command 'frob\\x1b[2J'; "
        "see `gesta --help`\n"
    ) == ended.err


def test_closed_standard_descriptors_never_become_files_of_ours(home: Path, repository: Path):
    """With standard input and output closed a run works, and the ledger stays whole."""
    shell = '"$@" <&- >&-'
    done = subprocess.run(
        ["sh", "-c", shell, "sh", *MODULE, "run", "--", "sh", "-c", "echo lost; cat"],
        cwd=repository,
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    assert b"lost\n" == gesta("output", cwd=repository).out


def test_an_answer_that_nobody_reads_is_quiet(home: Path, repository: Path):
    """A reader that has gone is no error worth a line."""
    gesta("run", "--", "true", cwd=repository)
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [*MODULE, "audit", "--json"],
        cwd=repository,
        env=environment(),
        stdout=theirs,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(theirs)
    assert (141, b"") == (done.returncode, done.stderr)


def test_another_distribution_s_package_in_place_of_ours_is_named(monkeypatch: pytest.MonkeyPatch):
    """Ours are recognised; one from elsewhere is said to be another's."""
    assert program.strange_package() is None
    monkeypatch.setattr(ledger, "__file__", "/usr/lib/python3/dist-packages/ledger/__init__.py")
    said = program.strange_package()
    assert said is not None
    assert said.startswith("cannot run: package ledger in /usr/lib/python3/dist-packages/ledger")


def test_what_nobody_foresaw_is_one_line_with_a_hint(home: Path, tmp_path: Path):
    """A defect of ours shows its type; GESTA_DEBUG=1 shows where."""
    gone = tmp_path / "gone"
    script = f'mkdir -p {gone} && cd {gone} && rmdir {gone} && exec "$@"'
    command = ["sh", "-c", script, "sh", sys.executable, "-m", "adapters.cli", "runs"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert 1 == done.returncode
    assert done.stderr.startswith("gesta: cannot go on: FileNotFoundError: ")
    assert done.stderr.endswith("; set GESTA_DEBUG=1 to see where\n")
    traced = subprocess.run(
        command, env=environment(GESTA_DEBUG="1"), capture_output=True, text=True, check=False
    )
    assert "Traceback" in traced.stderr
