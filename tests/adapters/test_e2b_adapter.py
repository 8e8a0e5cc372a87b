"""`E2BSandboxAdapter` and `--sandbox e2b`: whole runs at E2B, recorded like any other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters import open_ledger
from ledger.events import (
    CommandExecuted,
    CommandRequested,
    Event,
    FallbackTaken,
    FileRead,
    FileWritten,
    SandboxCreated,
)
from tests.e2b_server import E2BServer

HERE = Path(__file__).parents[2]

DOCUMENT = """
import sys
from pathlib import Path
from ledger import RunContext
from adapters.e2b_sandbox import E2BSandboxAdapter
ctx = RunContext(task_id="T-123", run_id="R-456", run_path=Path(sys.argv[1]), trace_id="trace-123")
with E2BSandboxAdapter(ctx) as sandbox:
    print(E2BSandboxAdapter.is_available())
    script = "echo out; echo err >&2; echo made >made; exit 3"
    result = sandbox.execute_command(["sh", "-c", script])
    print(result.success, result.stdout, result.stderr, result.exit_code, sep="|")
    print(result["success"], result["exit_code"])
    sandbox.write_file("/workspace/output.txt", "Hello")
    print(sandbox.read_file("/workspace/output.txt"), sandbox.read_file("made"))
    print(sandbox.execute_command(["cat", "output.txt"], timeout=60, cwd="/workspace").stdout)
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[E2BServer]:
    """The provider, here, as the environment says."""
    with E2BServer() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def python(program: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of its own, as a user would."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )


def gesta(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return python("from adapters.cli import main; main()", *arguments, cwd=cwd)


def recorded(run: str | None = None) -> list[Event]:
    """Return what is on record of a run."""
    with open_ledger() as ledger:
        return [record.event for record in ledger.events(run)]


def of(kind: type[Event], events: list[Event]) -> list[Event]:
    """Return the events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def profile(home: Path, keys: str) -> None:
    """Make the default profile one that asks for E2B, with *keys*."""
    (home / "profiles").mkdir(parents=True)
    home.chmod(0o700)
    (home / "profiles" / "default.yaml").write_text(keys)


def test_the_documents_example_works_at_e2b(
    server: E2BServer, repository: Path, tmp_path: Path
) -> None:
    """Commands and files as the replaced system had them; each is an event of the run."""
    done = python(DOCUMENT, str(tmp_path / "place"), cwd=repository)

    assert (0, "") == (done.returncode, done.stderr)
    assert ("True\nFalse|out\n|err\n|3\nFalse 3\nHello made\n\nHello\n") == done.stdout
    events = recorded("T-123/R-456")
    (created,) = of(SandboxCreated, events)
    assert isinstance(created, SandboxCreated)
    assert ("e2b", "none") == (created.kind, created.had.network)
    assert [2, 2, 1, 2] == [
        len(of(kind, events)) for kind in (CommandRequested, CommandExecuted, FileWritten, FileRead)
    ]
    assert 1 == len(server.asked("^POST /v2/sandboxes$"))
    assert [] == server.machines.living()


def test_without_a_key_the_run_falls_back_as_its_policy_says(
    home: Path, repository: Path, tmp_path: Path
) -> None:
    """The adapter's run goes on elsewhere, and that is on record before the first command."""
    profile(
        home,
        "sandbox: {fallback: [local], may_lose: [boundary, filesystem, network, processes, "
        "limits, record]}\n",
    )
    done = python(DOCUMENT, str(tmp_path / "place"), cwd=repository)

    assert 0 == done.returncode, done.stderr
    assert done.stdout.startswith("False\nFalse|out\n|err\n|3\n")
    events = recorded("T-123/R-456")
    (fallback,) = of(FallbackTaken, events)
    assert isinstance(fallback, FallbackTaken)
    assert [("e2b", "no_key", "none")] == [(a.kind, a.reason, a.effect) for a in fallback.attempts]
    kinds = [type(event).__name__ for event in events]
    assert kinds.index("FallbackTaken") < kinds.index("CommandRequested")


def test_a_run_at_e2b_gives_the_outputs_and_the_patch_of_a_local_one(
    server: E2BServer, repository: Path
) -> None:
    """One create without internet and one delete; the tree goes there, the patch comes back."""
    (repository / "README.md").write_text("# Changed before\n")
    (repository / "build").mkdir()
    (repository / "build" / "ignored").write_text("stays here")
    script = (
        "cat README.md; test ! -e build; echo new >new.txt; rm src/program.py; chmod +x README.md; "
        "printf '\\\\377' >binary; echo err >&2; exit 7"
    )
    done = gesta("run", "--sandbox", "e2b", "--", "sh", "-c", script, cwd=repository)
    there = gesta("diff", cwd=repository).stdout
    local = gesta("run", "--sandbox", "local", "--", "sh", "-c", script, cwd=repository)
    here = gesta("diff", cwd=repository).stdout

    assert (7, "# Changed before\n") == (done.returncode, done.stdout)
    assert (7, "# Changed before\n") == (local.returncode, local.stdout)
    assert "new.txt" in there
    assert here == there
    (create,) = server.asked("^POST /v2/sandboxes$")
    assert create.json()["allow_internet_access"] is False
    assert ["gesta-home", "gesta-ordinal", "gesta-stream"] == sorted(create.json()["metadata"])
    assert 1 == len(server.asked("^DELETE "))
    assert [] == server.machines.living()


def test_a_sandbox_that_vanishes_leaves_a_lost_command_and_a_run_that_is_clean(
    server: E2BServer, repository: Path
) -> None:
    """The command is lost, not failed; the run ends in order and nothing is left anywhere."""
    started = subprocess.Popen(
        [sys.executable, "-m", "adapters.cli", "run", "--sandbox", "e2b", "--"]
        + ["sh", "-c", "echo begun; sleep 300"],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with started:
        assert started.stdout is not None
        assert b"begun\n" == started.stdout.readline()
        server.machines.end()
        assert 125 == started.wait()

    kinds = [type(event).__name__ for event in recorded()]
    assert "CommandLost" in kinds
    assert "CommandExecuted" not in kinds
    assert ["CleanedUp", "CleanedUp", "RunCompleted", "RunSealed"] == kinds[-4:]
