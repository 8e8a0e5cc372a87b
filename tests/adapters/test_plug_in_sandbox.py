"""A sandbox that somebody else wrote: installed as a distribution, found by its entry point.

What is installed is what an installer leaves behind: a module, and a `.dist-info` that names it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters import open_ledger
from ledger import events as e
from tests.cli.gesta import ROOT, Ended, gesta, profile

TINY = '''
"""A sandbox that is none: the command as a process, its output read when it has ended."""

import shutil
import subprocess
import time

from ledger.isolation import Isolation, Limits
from ledger.outcomes import Executed, NotStarted, Removed, SandboxMade, TimedOut, Usage


class TinySandbox:
    kind = "tiny"

    def prepare(self):
        pass

    def offer(self, wish):
        return Isolation(
            boundary="process",
            filesystem="host",
            network="host",
            processes="host",
            limits=Limits(),
            record="reachable",
        )

    def create(self, wish):
        return SandboxMade(
            kind=self.kind,
            id=f"tiny-{wish.ordinal}",
            isolation=self.offer(wish),
            lifetime="command",
            persists=("files",),
        )

    def attach(self, wish, id):
        return self.create(wish)

    def remove(self, id):
        return Removed()

    def resolve(self, name, cwd, env):
        return shutil.which(name, path=env.get("PATH"))

    def execute(self, command, cancellation):
        begun = time.monotonic_ns()
        env = {**command.env, "PLUGGED_IN": "yes"}
        try:
            done = subprocess.run(
                command.argv,
                executable=command.executable,
                cwd=command.cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=command.time_limit_s,
            )
        except subprocess.TimeoutExpired:
            return TimedOut(usage=Usage(duration_us=(time.monotonic_ns() - begun) // 1000))
        except OSError as error:
            return NotStarted(reason="failed", message=str(error))
        command.stdout(done.stdout)
        command.stderr(done.stderr)
        usage = Usage(duration_us=(time.monotonic_ns() - begun) // 1000)
        if done.returncode < 0:
            return Executed(usage=usage, signal=-done.returncode)
        return Executed(usage=usage, exit_code=done.returncode)

    def close(self):
        return Removed()


def refuse():
    raise RuntimeError("the licence is over")
'''
BROKEN = 'raise ImportError("its library is missing")\n'
ENTRIES = """[gesta.sandboxes]
tiny = tiny_sandbox:TinySandbox
refusing = tiny_sandbox:refuse
missing = tiny_sandbox:NoSuchThing
broken = tiny_broken
absent = tiny_absent:Sandbox
local = tiny_sandbox:refuse
"""
ALL = "[boundary, filesystem, network, processes, limits, record]"
ANYTHING = ["sh", "-c", "echo plugged in: $PLUGGED_IN; echo made >made.txt; exit 3"]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The directory that the distribution is installed in."""
    site = tmp_path / "site"
    information = site / "tiny_sandbox-1.0.dist-info"
    information.mkdir(parents=True)
    (site / "tiny_sandbox.py").write_text(TINY)
    (site / "tiny_broken.py").write_text(BROKEN)
    metadata = "Metadata-Version: 2.1\nName: tiny-sandbox\nVersion: 1.0\n"
    (information / "METADATA").write_text(metadata)
    (information / "entry_points.txt").write_text(ENTRIES)
    return site


def run(site: Path, repository: Path, *flags: str) -> Ended:
    """Run the command with *flags*, with what is installed in *site*."""
    return gesta("run", *flags, "--", *ANYTHING, cwd=repository, PYTHONPATH=f"{ROOT}:{site}")


def recorded(kind: type[e.Event]) -> list[e.Event]:
    """Return the newest run's events of one kind."""
    with open_ledger() as ledger:
        return [record.event for record in ledger.events() if isinstance(record.event, kind)]


def test_a_plug_in_s_sandbox_runs_the_command(home: Path, site: Path, repository: Path) -> None:
    """It is chosen by its kind like any other; what it gives is on record, and so is the patch."""
    ended = run(site, repository, "--sandbox", "tiny")

    assert (3, b"plugged in: yes\n") == (ended.code, ended.out), ended.err
    (created,) = recorded(e.SandboxCreated)
    assert isinstance(created, e.SandboxCreated)
    assert ("tiny", "tiny-1", "host") == (created.kind, created.id, created.had.network)
    (taken,) = recorded(e.FallbackTaken)
    assert isinstance(taken, e.FallbackTaken)
    assert ("tiny", "override") == (taken.used, taken.cause)
    assert {"boundary", "network", "record"} <= set(taken.lost)
    assert b"+made\n" in gesta("diff", cwd=repository).out


def test_a_plug_in_stands_in_where_the_policy_names_it(
    home: Path, site: Path, repository: Path
) -> None:
    """It takes its turn in the chain of fallbacks, after what could not be had."""
    profile(home, "chain", f"sandbox: {{type: e2b, fallback: [tiny, local], may_lose: {ALL}}}\n")
    ended = run(site, repository, "--profile", "chain")

    assert (3, b"plugged in: yes\n") == (ended.code, ended.out), ended.err
    (taken,) = recorded(e.FallbackTaken)
    assert isinstance(taken, e.FallbackTaken)
    assert ("e2b", "tiny", "unavailable") == (taken.wanted, taken.used, taken.cause)
    assert (e.Attempt(kind="e2b", reason="no_key", effect="none"),) == taken.attempts


def test_a_plug_in_that_loses_too_much_is_passed_over(
    home: Path, site: Path, repository: Path
) -> None:
    """Its word on what it gives is held against `may_lose` like everybody's."""
    profile(home, "chain", "sandbox: {type: tiny, network: false, fallback: [], may_lose: []}\n")
    ended = run(site, repository, "--profile", "chain")

    assert (125, b"", 1) == (ended.code, ended.out, len(ended.err.splitlines()))
    (refused,) = recorded(e.FallbackRefused)
    assert isinstance(refused, e.FallbackRefused)
    assert [("tiny", "not_permitted")] == [(x.kind, x.reason) for x in refused.attempts]
    assert [] == recorded(e.CommandRequested)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("refusing", "the licence is over"),
        ("missing", "NoSuchThing"),
        ("broken", "its library is missing"),
        ("absent", "No module named 'tiny_absent'"),
    ],
)
def test_a_plug_in_that_cannot_be_loaded_is_an_attempt_with_a_reason(
    home: Path, site: Path, repository: Path, kind: str, why: str
) -> None:
    """What it raised is the reason on record, and the next in the chain takes its turn."""
    chain = f"sandbox: {{type: {kind}, fallback: [tiny], may_lose: {ALL}}}\n"
    profile(home, "chain", chain)
    ended = run(site, repository, "--profile", "chain")

    assert (3, b"plugged in: yes\n") == (ended.code, ended.out), ended.err
    assert "Traceback" not in ended.err
    (taken,) = recorded(e.FallbackTaken)
    assert isinstance(taken, e.FallbackTaken)
    assert isinstance(taken.private, e.FallbackText)
    assert (e.Attempt(kind=kind, reason="failed", effect="none"),) == taken.attempts
    assert why in taken.private.messages[0]


def test_a_kind_of_ours_is_never_a_plug_in_s(home: Path, site: Path, repository: Path) -> None:
    """An entry point that is called like a kind of ours is not even loaded."""
    ended = run(site, repository, "--sandbox", "local")

    assert (3, b"plugged in:\n") == (ended.code, ended.out), ended.err
