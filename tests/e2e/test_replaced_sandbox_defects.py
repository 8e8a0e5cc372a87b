"""What the replaced system's sandboxes did wrong, each right here: S1, S2, S5, S14, S15, S17.

The other rows, which are E2B's, stand in `test_replaced_e2b_defects.py`. Every test goes through
what people use (`gesta` as a process, the Python API, `adapters.syscalls`), with real processes.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from adapters import open_ledger, syscalls
from ledger import RunContext
from ledger import events as e
from ledger.errors import IsolationRefused
from ledger.overrides import Overrides
from tests.cli.gesta import environment, gesta, profile
from tests.e2e.newest_run import order, recorded

RETURNED = """
import subprocess, sys
from pathlib import Path
from adapters.syscalls import run_command
from ledger import RunContext
context = RunContext(task_id="T-1", run_id="R-1", run_path=Path(sys.argv[1]), trace_id="trace-1")
words = ["sh", "-c", "echo out; echo err >&2; exit 3"]
done = run_command(words, context)
assert isinstance(done, subprocess.CompletedProcess), done
assert (words, 3, "out\\n", "err\\n") == (done.args, done.returncode, done.stdout, done.stderr)
try:
    done.check_returncode()
except subprocess.CalledProcessError as error:
    print(error.returncode)
"""


@pytest.mark.parametrize(
    ("name", "wanted", "code"),
    [("default", "e2b", 0), ("strict", "e2b", 125), ("docker", "docker", 125)],
)
def test_no_shipped_profile_runs_elsewhere_without_a_word(
    home: Path, repository: Path, canary: Path, name: str, wanted: str, code: int
) -> None:
    """S1: what a shipped profile cannot have is on record first, or nothing runs."""
    nobody = f"unix://{canary}.socket"
    command = ["run", "--profile", name, "--", "touch", str(canary)]
    ended = gesta(*command, cwd=repository, DOCKER_HOST=nobody)
    kinds = order()

    assert code == ended.code, ended.err
    if code == 0:
        (taken,) = recorded(e.FallbackTaken)
        assert (wanted, wanted) == (taken.wanted, taken.attempts[0].kind)
        assert kinds.index("FallbackTaken") < kinds.index("CommandRequested")
    else:
        (refused,) = recorded(e.FallbackRefused)
        assert [wanted] == [attempt.kind for attempt in refused.attempts]
        assert "CommandRequested" not in kinds
        assert not canary.exists()


def test_a_sandbox_that_is_misspelt_runs_nothing(
    home: Path, repository: Path, canary: Path
) -> None:
    """S2: an unknown kind is an attempt with a reason, and never the host."""
    profile(home, "typo", "sandbox: {type: dokcer, fallback: [], may_lose: []}\n")
    ended = gesta("run", "--profile", "typo", "--", "touch", str(canary), cwd=repository)
    (refused,) = recorded(e.FallbackRefused)

    assert (125, False) == (ended.code, canary.exists())
    assert "dokcer" in ended.err
    assert [("dokcer", "unknown_kind")] == [(x.kind, x.reason) for x in refused.attempts]


def test_network_off_is_never_said_of_a_local_process(
    home: Path, repository: Path, canary: Path
) -> None:
    """S5: a local process has the network; without consent to that, it is not started."""
    asked = "type: local, network: false, filesystem: host, fallback: []"
    profile(home, "off", f"sandbox: {{{asked}, may_lose: [processes, limits]}}\n")
    refused = gesta("run", "--profile", "off", "--", "touch", str(canary), cwd=repository)
    assert (125, False) == (refused.code, canary.exists())
    assert "it would lose network" in refused.err

    text = f"sandbox: {{{asked}, may_lose: [network, processes, limits]}}\n"
    (home / "profiles" / "off.yaml").write_text(text)
    assert 0 == gesta("run", "--profile", "off", "--", "true", cwd=repository).code
    (requested,) = recorded(e.CommandRequested)
    assert ("none", "host") == (requested.asked.network, requested.had.network)
    (taken,) = recorded(e.FallbackTaken)
    assert "network" in taken.lost


def test_no_caller_leaves_the_sandbox_without_a_word(
    home: Path, repository: Path, tmp_path: Path
) -> None:
    """S14: there is no switch on a command; one on the run is on record, and needs consent."""
    assert ["cmd", "ctx", "cwd", "timeout"] == list(
        inspect.signature(syscalls.run_command).parameters
    )
    context = RunContext(task_id="T-1", run_id="R-1", run_path=tmp_path / "place")
    with pytest.raises(TypeError):
        syscalls.run_command(["true"], context, use_sandbox=False)  # type: ignore[call-arg]  # the replaced system's

    chosen = Overrides(sandbox="local")
    with open_ledger() as ledger:
        with ledger.run(profile="default", overrides=chosen, directory=repository) as run:
            run.execute(["true"])
        with (
            pytest.raises(IsolationRefused),
            ledger.run(profile="strict", overrides=chosen, directory=repository) as strict,
        ):
            strict.execute(["true"])
        events = [record.event for record in ledger.events(run.stream)]
    (taken,) = [x for x in events if isinstance(x, e.FallbackTaken)]
    assert ("e2b", "local", "override") == (taken.wanted, taken.used, taken.cause)


def test_a_local_command_is_bounded_and_sees_no_key(
    home: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S15: there is a time limit, an end to what is kept, a limit of memory, and no secret."""
    monkeypatch.setenv("E2B_API_KEY", "e2b_0")
    limits = "limits: {memory_mb: 512, output_mb: 1}"
    keys = f"type: local, network: true, filesystem: host, fallback: [], {limits}"
    profile(home, "bounded", f"sandbox: {{{keys}, may_lose: [processes, limits], timeout: 60}}\n")
    with open_ledger() as ledger:
        with ledger.run(profile="bounded", directory=repository) as run:
            names = run.execute(["env"]).stdout
            flood = run.execute(["sh", "-c", "yes | head -c 3000000"])
            late = run.execute(["sleep", "300"], timeout=1)
        events = [record.event for record in ledger.events()]
    requested = [x for x in events if isinstance(x, e.CommandRequested)]

    assert b"PATH=" in names
    assert b"E2B_API_KEY" not in names
    assert (1 << 20, True, 124) == (len(flood.stdout), flood.truncated, late.returncode)
    assert [60, 60, 1] == [x.time_limit for x in requested]
    assert (512, 1) == (requested[0].had.limits.memory_mb, requested[0].had.limits.output_mb)


def test_what_a_command_returns_is_a_completed_process(
    home: Path, repository: Path, tmp_path: Path
) -> None:
    """S17: the result is the type that it is said to be, with its arguments."""
    done = subprocess.run(
        [sys.executable, "-c", RETURNED, str(tmp_path / "place")],
        cwd=repository,
        env=environment(GESTA_PROFILE="local"),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "3\n") == (done.returncode, done.stdout), done.stderr
