"""What is left of a dead run's commands is ended, and nobody else is."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec
import pytest

from adapters.process_marks import boot_id, facts_of, mark_of
from adapters.survivors import ProcSurvivors, survivors_of
from ledger.liveness import ProcessMark

STREAM = "01a21100-d584-7ff1-9a7a-48a59a36635f"
MARKED = {"GESTA_RUN": STREAM, "PATH": os.environ["PATH"]}


@contextmanager
def sleeping(
    environment: Mapping[str, str], *, session: bool = True
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that sleeps, and end it after."""
    with subprocess.Popen(
        ["sleep", "300"], env=dict(environment), start_new_session=session
    ) as process:
        yield process
        process.kill()


def marked(process: subprocess.Popen[bytes]) -> ProcessMark:
    """Return the mark of a process that lives."""
    mark = mark_of(process.pid)
    assert mark is not None
    return mark


def orphan(environment: Mapping[str, str]) -> int:
    """Start a process whose parent ends at once; return its id."""
    script = "setsid sh -c 'echo $$; exec sleep 300' & wait $!"
    shell = subprocess.Popen(
        ["sh", "-c", f"({script}) &"], env=dict(environment), stdout=subprocess.PIPE
    )
    assert shell.stdout is not None
    number = int(shell.stdout.readline())
    shell.wait()
    shell.stdout.close()
    return number


def test_a_noted_process_is_ended() -> None:
    """By id, start time and boot; whatever its environment says."""
    with sleeping({}) as process:
        assert 0 == ProcSurvivors().end(STREAM, [marked(process)])
        assert -signal.SIGKILL == process.wait()


@pytest.mark.parametrize("change", [{"started": 1}, {"boot": "another"}])
def test_who_has_a_noted_id_by_now_lives(change: dict[str, object]) -> None:
    """Another start time or another boot is another process."""
    with sleeping({}) as process:
        mark = msgspec.structs.replace(marked(process), **change)
        assert 0 == ProcSurvivors().end(STREAM, [mark])
        assert process.poll() is None


def test_without_a_note_nothing_is_looked_for() -> None:
    """A run whose last holder left nothing has no survivors."""
    with sleeping(MARKED) as process:
        assert 0 == ProcSurvivors().end(STREAM, [])
        assert process.poll() is None


def test_one_of_a_noted_session_that_carries_the_stream_is_ended() -> None:
    """Its leader is gone; the session's id is its leader's as long as it has members."""
    script = "sleep 300 >/dev/null & echo $!; read line"
    pipe = subprocess.PIPE
    with subprocess.Popen(
        ["sh", "-c", script], env=MARKED, start_new_session=True, stdin=pipe, stdout=pipe
    ) as leader:
        assert leader.stdout is not None
        first = facts_of(leader.pid)
        assert first is not None
        member = int(leader.stdout.readline())
        leader.communicate(b"end\n")
    mark = ProcessMark(leader.pid, first.started, str(boot_id()))
    assert [member] == [one.pid for one in survivors_of(STREAM, [mark])]
    assert 0 == ProcSurvivors().end(STREAM, [mark])
    assert facts_of(member) is None


def test_an_orphan_that_carries_the_stream_is_ended() -> None:
    """A session of its own hides nothing."""
    gone = ProcessMark(1, 0, str(boot_id()))
    left = orphan(MARKED)
    assert 0 == ProcSurvivors().end(STREAM, [gone])
    assert facts_of(left) is None


def test_others_live() -> None:
    """Another run's orphan, and a marked process with an unmarked parent that lives."""
    gone = ProcessMark(1, 0, str(boot_id()))
    other = orphan({**MARKED, "GESTA_RUN": "another"})
    with sleeping(MARKED) as bystander:
        assert 0 == ProcSurvivors().end(STREAM, [gone])
        assert facts_of(other) is not None
        assert bystander.poll() is None
        os.kill(other, signal.SIGKILL)


def test_we_and_those_who_called_us_are_spared() -> None:
    """Even if a note names us."""
    own = mark_of(os.getpid())
    assert own is not None
    assert [] == survivors_of(STREAM, [own])


def test_a_zombie_has_ended() -> None:
    """A process that was not waited for yet is no survivor."""
    with sleeping(MARKED) as process:
        mark = marked(process)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert facts_of(process.pid) is None
        assert [] == survivors_of(STREAM, [mark])
