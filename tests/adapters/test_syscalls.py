"""The replaced system's functions, as its document shows them, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapters import open_ledger
from ledger.events import CommandDenied, FileDenied, RunCompleted

HERE = Path(__file__).parents[2]

PREAMBLE = """
import sys
from pathlib import Path
from ledger import RunContext
from adapters.git_worktree import cleanup_git_worktree, init_git_worktree
from adapters.profiles import PolicyProvider
from adapters.syscalls import init_run_structure, read_file, run_command, write_file
place = Path(sys.argv[1])
ctx = RunContext(task_id="T-123", run_id="R-456", run_path=place, trace_id="trace-123")
"""


def script(body: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run *body* after the document's imports, as a program of its own."""
    return subprocess.run(
        [sys.executable, "-c", PREAMBLE + body, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_documents_example_works(home: Path, repository: Path, tmp_path: Path) -> None:
    """A worktree, a command, files and cleaning up, at the path that was asked for."""
    done = script(
        """
worktree = init_git_worktree("T-123", "R-456", ctx.run_path, trace_id="trace-123")
assert worktree.is_dir() and place in worktree.parents, worktree
assert init_git_worktree("T-123", "R-456", ctx.run_path) == worktree
done = run_command(["sh", "-c", "pwd; echo err >&2; exit 3"], ctx)
assert (done.returncode, done.stdout, done.stderr) == (3, f"{worktree}\\n", "err\\n"), done
assert done.args == ["sh", "-c", "pwd; echo err >&2; exit 3"]
write_file("/workspace/output.txt", "Hello", ctx)
assert read_file("output.txt", ctx) == "Hello"
cleanup_git_worktree(worktree, trace_id="trace-123")
assert not worktree.exists()
assert PolicyProvider().get_sandbox_type() == "e2b"
""",
        str(tmp_path / "place"),
        cwd=repository,
    )

    assert (0, "") == (done.returncode, done.stderr)
    with open_ledger() as ledger:
        records = ledger.events("T-123/R-456")
    assert {"trace-123"} == {record.caller_trace for record in records if record.caller_trace}
    assert 1 == len({record.trace for record in records})


def test_a_run_left_open_is_closed_when_the_process_ends(
    home: Path, repository: Path, tmp_path: Path
) -> None:
    """The run structure is made, and after the process the run is completed and clean."""
    done = script(
        """
run_path = init_run_structure("T-123", "R-457", use_git_worktree=True)
assert (run_path / "artifacts").is_dir() and (run_path / "journal").is_dir()
print(run_path)
""",
        str(tmp_path / "unused"),
        cwd=repository,
    )

    with open_ledger() as ledger:
        state = ledger.state("T-123/R-457")
        ended = [r for r in ledger.events("R-457") if isinstance(r.event, RunCompleted)]
    assert (0, "") == (done.returncode, done.stderr)
    assert ("succeeded", "clean", 1) == (state.status, state.cleanliness, len(ended))


def test_no_other_directory_is_ever_cleaned_up(
    home: Path, repository: Path, tmp_path: Path
) -> None:
    """The main checkout is refused, and nothing of it is gone."""
    done = script(
        """
from ledger.errors import WorkspaceError
for other in (Path.cwd(), Path.cwd() / "src", place):
    try:
        cleanup_git_worktree(other)
    except WorkspaceError as error:
        print(str(error).splitlines()[0].replace(str(other), "X"))
""",
        str(tmp_path),
        cwd=repository,
    )

    assert ["cannot clean up X: it is no run's worktree"] * 3 == done.stdout.splitlines()
    assert (repository / ".git").is_dir()
    assert (repository / "src" / "program.py").is_file()


@pytest.mark.parametrize("path", ["../escape.txt", "/etc/escape.txt", "guarded/file.txt"])
def test_files_outside_and_protected_ones_are_denied_on_record(
    home: Path, repository: Path, tmp_path: Path, path: str
) -> None:
    """The old error is raised, and the denial is an event."""
    profile(home, "paths: {protected: [guarded]}")
    done = script(
        f"""
try:
    write_file({path!r}, "x", ctx)
except PermissionError as error:
    print("denied")
""",
        str(tmp_path / "place"),
        cwd=repository,
    )

    with open_ledger() as ledger:
        denied = [r for r in ledger.events("R-456") if isinstance(r.event, FileDenied)]
    assert ("denied\n", 1) == (done.stdout, len(denied)), done.stderr


def test_a_command_that_only_bears_an_allowed_name_is_denied(
    home: Path, repository: Path, tmp_path: Path
) -> None:
    """`./git` does not pass for `git`, not even with a PATH of its own; both are events."""
    profile(home, "exec: {allowlist: [git], env: [PATH]}")
    fake = repository / "git"
    fake.write_text("#!/bin/sh\necho escaped\n")
    fake.chmod(0o755)
    done = script(
        """
for argv in (["./git", "status"], ["sh", "-c", "true"]):
    try:
        print(run_command(argv, ctx).stdout)
    except PermissionError:
        print("denied")
print(run_command(["git", "--version"], ctx).stdout)
""",
        str(tmp_path / "place"),
        cwd=repository,
    )

    with open_ledger() as ledger:
        denied = [r for r in ledger.events("R-456") if isinstance(r.event, CommandDenied)]
    assert ["denied", "denied"] == done.stdout.splitlines()[:2], done.stderr
    assert done.stdout.splitlines()[2].startswith("git version")
    assert 2 == len(denied)


def profile(home: Path, keys: str) -> None:
    """Make the default profile one that allows a local sandbox, with *keys*."""
    directory = home / "profiles"
    directory.mkdir(parents=True)
    home.chmod(0o700)
    (directory / "default.yaml").write_text(
        "sandbox: {type: local, network: true, filesystem: host, "
        f"may_lose: [processes, limits]}}\n{keys}\n"
    )
