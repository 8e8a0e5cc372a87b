"""`gesta open`, `exec` and `close`, and what is left when a process is killed at work."""

from __future__ import annotations

import os
from pathlib import Path

from adapters import open_ledger
from tests.cli.gesta import gesta, start


def test_a_run_can_be_worked_in_by_one_process_after_the_other(home: Path, repository: Path):
    """What one `exec` leaves in the workspace the next one finds; `close` captures it."""
    opened = gesta("open", "--task", "T-2", cwd=repository)
    name = opened.out.decode().strip()
    assert (0, True) == (opened.code, name.startswith("T-2/R-"))
    assert 3 == gesta("exec", name, "--", "sh", "-c", "echo 1 > kept; exit 3", cwd=repository).code
    again = gesta("exec", "--json", name, "--", "cat", "kept", cwd=repository)
    assert (0, "c2", "succeeded") == (
        again.json["exit_code"],
        again.json["command"]["command"],
        again.json["command"]["status"],
    )
    closed = gesta("close", name, "--outcome", "succeeded", cwd=repository)
    assert f"{name} succeeded, clean\n" == closed.out.decode()
    ended = gesta("exec", name, "--", "true", cwd=repository)
    assert 125 == ended.code
    assert "it has ended (succeeded)" in ended.err


def test_a_second_exec_at_the_same_time_is_refused(home: Path, repository: Path):
    """Who comes second gets 125 at once, and nothing of it is on record."""
    with open_ledger(home) as ledger:
        name = ledger.open(task="T-2", directory=repository).stream
    first = start("exec", name, "--", "sh", "-c", "echo ready; read line", cwd=repository)
    assert first.stdout is not None
    assert b"ready\n" == first.stdout.readline()
    second = gesta("exec", name, "--", "true", cwd=repository)
    assert 125 == second.code
    assert "another process is at work in it" in second.err
    first.communicate(b"go on\n", timeout=30)
    assert 0 == first.returncode
    with open_ledger(home) as ledger:
        assert 1 == ledger.state(name).commands


def test_a_killed_gesta_takes_its_command_along_and_show_says_what_is_not_known(
    home: Path, repository: Path, tmp_path: Path
):
    """After SIGKILL between request and ending the ledger opens, and claims no outcome."""
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    script = f"exec 3>{alive}; echo ready >&3; sleep 300"
    process = start("run", "--profile", "local", "--", "sh", "-c", script, cwd=repository)
    with open(alive, "rb") as reader:
        assert b"ready\n" == reader.readline()
        process.kill()
        process.communicate(timeout=30)
        # The end of the file: the command has ended too.
        assert b"" == reader.read()
    shown = gesta("show", cwd=repository)
    assert 0 == shown.code
    assert b"no recorded outcome" in shown.out
    assert b"running, no process at work" in shown.out
