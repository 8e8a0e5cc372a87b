"""What the replaced system did wrong with E2B, each right here: S3, S4, S6 to S13, S16.

The other rows stand in `test_replaced_sandbox_defects.py`. Every test goes through what people use
(`gesta` as a process, the Python API), with the provider's own SDK and a provider of our own.
"""

from __future__ import annotations

import os
import signal
import tomllib
from pathlib import Path

import pytest

from adapters import open_ledger
from adapters.e2b_sandbox import E2BSandbox
from ledger import events as e
from ledger.liveness import Marked
from tests.cli.gesta import ROOT, gesta, profile, start
from tests.e2b_server import E2BServer
from tests.e2e.newest_run import order, recorded

CREATE = "^POST /v2/sandboxes$"


@pytest.fixture(autouse=True)
def cloud(home: Path) -> None:
    """A profile, `cloud`, that wants E2B or nothing."""
    # A count of processes does not bind root, as whom a machine of the provider here may run.
    profile(home, "cloud", "sandbox: {type: e2b, fallback: [], may_lose: [limits]}\n")


def old_sdk(site: Path, text: str) -> str:
    """Return a PYTHONPATH on which *text* is the provider's package."""
    (site / "e2b").mkdir(parents=True)
    (site / "e2b" / "__init__.py").write_text(text)
    return f"{site}:{ROOT}"


def test_a_policy_without_network_gets_a_sandbox_without_network(
    server: E2BServer, repository: Path
) -> None:
    """S3: the provider is told to allow no internet, and the command runs there, not here."""
    with open_ledger() as ledger, ledger.run(profile="cloud", directory=repository) as run:
        assert run.execute(["true"]).success
    (created,) = recorded(e.SandboxCreated)
    (create,) = server.asked(CREATE)

    assert create.json()["allow_internet_access"] is False
    assert ("e2b", "none") == (created.kind, created.had.network)


def test_nothing_stands_in_that_the_policy_does_not_permit(
    server: E2BServer, repository: Path, canary: Path
) -> None:
    """S4: a provider that fails ends a strict run, with the refusal on record."""
    server.fail(CREATE, status=500, body=b'{"code":500,"message":"no"}', times=100)
    ended = gesta("run", "--profile", "strict", "--", "touch", str(canary), cwd=repository)
    (refused,) = recorded(e.FallbackRefused)

    assert (125, False) == (ended.code, canary.exists())
    assert "sandbox.fallback" == refused.forbidden_by
    assert ["e2b"] == [attempt.kind for attempt in refused.attempts]
    assert "CommandRequested" not in order()


def test_a_sandbox_is_really_ended_at_the_end(server: E2BServer, repository: Path) -> None:
    """S6: the machine is killed when the run ends, which the provider confirms."""
    with open_ledger() as ledger, ledger.run(profile="cloud", directory=repository) as run:
        run.execute(["true"])
        assert 1 == len(server.machines.living())

    assert [] == server.machines.living()
    assert 1 == len(server.asked("^DELETE /"))
    assert "sandbox" in [x.resource for x in recorded(e.CleanedUp)]
    assert [] == recorded(e.CleanupFailed)


def test_an_sdk_that_is_too_old_is_never_the_host(
    server: E2BServer, repository: Path, canary: Path, tmp_path: Path
) -> None:
    """S7: the SDK that is declared is one that works; one without `create` is an attempt."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "e2b>=2.20,<3" in declared["project"]["optional-dependencies"]["e2b"]

    path = old_sdk(tmp_path / "site", "class Sandbox:\n    pass\n")
    command = ["run", "--profile", "strict", "--", "touch", str(canary)]
    ended = gesta(*command, cwd=repository, PYTHONPATH=path)
    assert (125, False) == (ended.code, canary.exists()), ended.err
    assert "gesta: cannot execute in sandbox e2b: " in ended.err
    assert "Traceback" not in ended.err
    assert ["e2b"] == [x.kind for refused in recorded(e.FallbackRefused) for x in refused.attempts]


def test_a_failing_command_a_time_limit_and_an_outage_are_three_things(
    server: E2BServer, repository: Path
) -> None:
    """S8: code and output arrive as they were, and every ending is a type of its own."""
    failing = ["sh", "-c", "echo out; echo err >&2; exit 3"]
    with open_ledger() as ledger:
        with ledger.run(profile="cloud", directory=repository) as run:
            failed = run.execute(failing)
            late = run.execute(["sh", "-c", "echo so far; sleep 300"], timeout=1)
            server.machines.end()
            lost = run.execute(["true"])
        endings = [r.event for r in ledger.events() if isinstance(r.event, e.CommandEnding)]

    assert (3, b"out\n", b"err\n") == (failed.exit_code, failed.stdout, failed.stderr)
    assert (124, b"so far\n", 125) == (late.returncode, late.stdout, lost.returncode)
    assert [e.CommandExecuted, e.CommandTimedOut, e.CommandLost] == [type(x) for x in endings]


def test_an_argument_is_never_a_shell_s(server: E2BServer, repository: Path, canary: Path) -> None:
    """S9: what a shell would take apart, or run, arrives as the one argument that it is."""
    words = [f"fail.py; touch {canary}", "a b", "$(touch x)", "", "| sh", "'\"\\"]
    with open_ledger() as ledger, ledger.run(profile="cloud", directory=repository) as run:
        result = run.execute(["printf", r"%s\n", *words])

    assert (0, words) == (result.exit_code, result.stdout.decode().split("\n")[:-1])
    assert not canary.exists()


def test_directory_and_time_limit_reach_the_sandbox(server: E2BServer, repository: Path) -> None:
    """S10: a command runs in its directory of the sandbox, and for as long as it may."""
    with open_ledger() as ledger, ledger.run(profile="cloud", directory=repository) as run:
        place = run.execute(["sh", "-c", "pwd; ls"], cwd="src")
        late = run.execute(["sleep", "300"], timeout=1)
        host = str(run.workspace)

    directory, listed = place.stdout.decode().splitlines()
    assert ("src", "program.py") == (os.path.basename(directory), listed)
    assert not directory.startswith(host)
    assert 124 == late.returncode


def test_one_sandbox_has_the_code_and_keeps_what_commands_leave(
    server: E2BServer, repository: Path
) -> None:
    """S11: the tree is there, state stays between commands, and the changes come back."""
    with open_ledger() as ledger, ledger.run(profile="cloud", directory=repository) as run:
        assert b"# An example\n" == run.execute(["cat", "README.md"]).stdout
        run.execute(["sh", "-c", "echo kept >../state; echo made >made.txt"])
        assert b"kept\nmade\n" == run.execute(["sh", "-c", "cat ../state made.txt"]).stdout

    assert b"+made\n" in gesta("diff", cwd=repository).out
    assert 1 == len(server.asked(CREATE))


def test_a_sandbox_that_is_switched_off_is_not_used(
    server: E2BServer, home: Path, repository: Path
) -> None:
    """S12: with `sandbox.enabled: false` the provider is asked for nothing, key or no key."""
    keys = "enabled: false, type: e2b, network: true, filesystem: host, fallback: []"
    text = f"sandbox: {{{keys}, may_lose: [boundary, processes, limits, record]}}\n"
    (home / "profiles" / "off.yaml").write_text(text)
    assert 0 == gesta("run", "--profile", "off", "--", "true", cwd=repository).code

    assert [] == server.log
    assert ["local"] == [x.kind for x in recorded(e.SandboxCreated)]


def test_the_sandbox_of_a_run_that_died_is_found(server: E2BServer, repository: Path) -> None:
    """S13: home, stream and ordinal are its marks, by which an orphan is found and ended."""
    script = "echo begun; sleep 300"
    process = start("run", "--profile", "cloud", "--", "sh", "-c", script, cwd=repository)
    with process:
        assert process.stdout is not None
        assert b"begun\n" == process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    with open_ledger() as ledger:
        stream = ledger.find()
    (opened,) = recorded(e.RunOpened)
    (machine,) = server.machines.living()

    finder = E2BSandbox(os.environ)
    assert [Marked(machine.id, stream, "1", opened.home)] == finder.marked(opened.home)
    assert [] == finder.marked("0" * len(opened.home))
    finder.remove(machine.id)
    assert [] == server.machines.living()


def test_a_package_that_is_not_installed_is_on_record(
    server: E2BServer, repository: Path, tmp_path: Path
) -> None:
    """S16: an import that fails is an attempt like any other, with its reason."""
    path = old_sdk(tmp_path / "site", "raise ImportError('no e2b')\n")
    ended = gesta("run", "--", "true", cwd=repository, PYTHONPATH=path)
    (taken,) = recorded(e.FallbackTaken)

    assert 0 == ended.code, ended.err
    assert ("e2b", "not_installed", "none") == (
        taken.attempts[0].kind,
        taken.attempts[0].reason,
        taken.attempts[0].effect,
    )
