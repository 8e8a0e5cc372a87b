"""The supervisor and our end of its lifeline: what is said, and what happens when it goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.local_sandbox import LocalSandbox
from adapters.supervision import Supervisor, SupervisorGone
from adapters.supervisor.limits import ControlGroup
from adapters.supervisor.messages import pack, unpack
from adapters.supervisor.tree import descendants, processes
from ledger.isolation import Limits
from ledger.outcomes import Lost, RemovalFailed, Removed, SandboxMade, Unavailable
from ledger.ports import SandboxWish
from tests.contracts.sandbox_runs import Run, code_of, processes_with

ROOT = Path(__file__).parents[2]
ANSWERING = """
import socket, sys
sys.path.insert(0, {root!r})
from adapters.supervisor.messages import Channel
channel = Channel(socket.socket(fileno=3))
channel.send(b"hello", b"own", b"process", b"")
channel.receive()
{then}
"""


@pytest.fixture
def wish(tmp_path: Path) -> SandboxWish:
    """A wish without limits."""
    return SandboxWish(
        home_id="0f",
        stream="s",
        ordinal=0,
        workspace=tmp_path,
        filesystem="host",
        network="host",
        limits=Limits(),
    )


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    """A supervisor that has said hello."""
    supervisor = Supervisor()
    supervisor.answer(b"hello", 3, 20.0)
    yield supervisor
    supervisor.end()


def write_program(path: Path, text: str) -> str:
    """Write a shell script that is run in place of the interpreter."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@given(st.lists(st.binary(max_size=300)))
def test_what_is_packed_is_unpacked(fields: list[bytes]) -> None:
    """Every list of byte strings comes back, empty ones too."""
    assert fields == unpack(pack(fields))


@given(st.lists(st.binary(max_size=20), min_size=1), st.data())
def test_a_message_that_is_cut_off_is_refused(fields: list[bytes], data: st.DataObject) -> None:
    """What ends between two fields is fewer fields; any other cut is an error."""
    whole = pack(fields)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    fewer = [fields[:count] for count in range(len(fields)) if pack(fields[:count]) == cut]
    if fewer:
        assert fewer[0] == unpack(cut)
    else:
        with pytest.raises(ValueError, match="cut off"):
            unpack(cut)


def test_the_supervisor_imports_nothing_that_costs() -> None:
    """Its start is paid by every run: none of the modules that take longer than itself."""
    program = (
        f"import sys; sys.path.append({str(ROOT / 'adapters')!r}); import supervisor.server; "
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, check=True, text=True
    )
    costly = {"collections", "enum", "json", "re", "signal", "socket", "subprocess", "typing"}
    assert set() == costly & set(done.stdout.split())


def test_an_interpreter_that_is_missing_makes_the_sandbox_unavailable(
    wish: SandboxWish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can be expected to fail is said, not raised."""
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    for answer in (LocalSandbox().offer(wish), LocalSandbox().create(wish)):
        assert isinstance(answer, Unavailable)
        assert answer.reason == "failed"
        assert not answer.unknown_effect


def test_a_supervisor_that_ends_at_once_makes_the_sandbox_unavailable(
    wish: SandboxWish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says how it ended."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    answer = LocalSandbox().create(wish)
    assert isinstance(answer, Unavailable)
    assert "exit code 1" in answer.message


@pytest.mark.parametrize("nonsense", [r"\377\377\377\377....", r"\0\0\0\5\0\0\0\11x", "HTTP/1.1"])
def test_a_supervisor_that_answers_nonsense_makes_the_sandbox_unavailable(
    wish: SandboxWish, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, nonsense: str
) -> None:
    """What is no message is never taken for one."""
    program = write_program(tmp_path / "python", f"printf '{nonsense}' >&3; read line <&3")
    monkeypatch.setattr(sys, "executable", program)
    answer = LocalSandbox().offer(wish)
    assert isinstance(answer, Unavailable)
    assert "cannot be understood" in answer.message


@pytest.mark.parametrize(
    "then",
    [
        'channel.send(b"started", b"not a number"); channel.receive()',
        'channel.send(b"ended", b"1", b"2", b"3", b"4", b"x"); channel.receive()',
        'channel.send(b"poem"); channel.receive()',
        "sys.exit(3)",
    ],
)
def test_a_supervisor_that_fails_in_mid_command_is_a_lost_command(
    wish: SandboxWish, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, then: str
) -> None:
    """How the command ended is not made up."""
    (tmp_path / "answering.py").write_text(ANSWERING.format(root=str(ROOT), then=then))
    interpreter = sys.executable
    program = write_program(tmp_path / "python", f"exec {interpreter} {tmp_path}/answering.py")
    monkeypatch.setattr(sys, "executable", program)
    sandbox = LocalSandbox()
    assert isinstance(sandbox.create(wish), SandboxMade)
    outcome = Run(sandbox, tmp_path).shell("exit 0")
    assert isinstance(outcome, Lost)
    assert outcome.message.startswith("cannot tell how the command ended: ")
    assert Removed() == sandbox.close()


def children() -> set[int]:
    """Return the processes that this one started and has not waited for."""
    return {process for process, parent, _ in processes() if parent == os.getpid()}


def test_the_signals_of_a_terminal_do_not_end_the_supervisor(
    wish: SandboxWish, tmp_path: Path
) -> None:
    """^C goes to everyone in the foreground; the end of the command is reported all the same."""
    before, sandbox = children(), LocalSandbox()
    assert isinstance(sandbox.create(wish), SandboxMade)
    (supervisor,) = children() - before
    reading, writing = os.pipe()

    def interrupt(_data: bytes) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            os.kill(supervisor, number)
        os.close(writing)

    run = Run(sandbox, tmp_path)
    run.on_output = interrupt
    outcome = run.shell("echo ready; cat; exit 4", fd=reading)
    os.close(reading)
    sandbox.close()
    assert code_of(outcome) == 4


def test_the_supervisor_ends_with_its_lifeline(supervisor: Supervisor) -> None:
    """Nothing but the socket keeps it, and ending it twice is ending it once."""
    handle = os.pidfd_open(supervisor.process)
    assert supervisor.end()
    assert supervisor.end()
    with pytest.raises(ProcessLookupError):
        signal.pidfd_send_signal(handle, signal.SIGCONT)
    os.close(handle)


def test_an_unknown_message_ends_the_supervisor(supervisor: Supervisor) -> None:
    """It does nothing that it does not understand."""
    supervisor.send(b"dance")
    with pytest.raises(SupervisorGone, match="exit code 1"):
        supervisor.answer(b"danced", 0, 10.0)


def test_a_supervisor_that_cannot_be_ended_is_not_called_removed(
    wish: SandboxWish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sandbox that may still be there is said to be."""
    sandbox = LocalSandbox()
    assert isinstance(sandbox.create(wish), SandboxMade)
    with monkeypatch.context() as patched:
        patched.setattr(Supervisor, "end", lambda _supervisor: False)
        left = sandbox.close()
    assert isinstance(left, RemovalFailed)
    assert Removed() == sandbox.close()


@pytest.mark.parametrize("killed", [False, True])
def test_no_control_group_is_left(wish: SandboxWish, tmp_path: Path, *, killed: bool) -> None:
    """A group is removed at the end, by us where the supervisor no longer can."""
    before, sandbox = children(), LocalSandbox()
    limits = Limits(memory_mb=500, processes=50)
    made = sandbox.create(
        SandboxWish(
            home_id="0f",
            stream="s",
            ordinal=0,
            workspace=tmp_path,
            filesystem="host",
            network="host",
            limits=limits,
        )
    )
    assert isinstance(made, SandboxMade)
    (supervisor,) = children() - before
    groups = groups_of(supervisor)
    assert (made.isolation.limits.processes is not None) == bool(groups)
    run = Run(sandbox, tmp_path)
    if killed:
        run.on_output = lambda _data: os.kill(supervisor, signal.SIGKILL)
    outcome = run.shell("echo ready; read line; exit 0", data=b"")
    assert killed == isinstance(outcome, Lost)
    assert Removed() == sandbox.close()
    assert [] == [group for group in groups if group.exists()]


def groups_of(process: int) -> list[Path]:
    """Return the directories of the groups of ours that *process* is in."""
    own = [line.split(":", 2)[2] for line in Path(f"/proc/{process}/cgroup").read_text().split()]
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    below = {path.lstrip("/") for path in own if "/gesta-" in path}
    return [Path(mount, path) for mount in mounts for path in below if Path(mount, path).exists()]


def test_a_memory_group_is_made_with_its_limit_and_its_kills_are_read(tmp_path: Path) -> None:
    """The files are those of cgroups(7), in both versions; a directory stands for the kernel's."""
    for version, limit, swap, events in (
        (1, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.oom_control"),
        (2, "memory.max", "memory.swap.max", "memory.events"),
    ):
        parent = tmp_path / str(version)
        parent.mkdir()
        (parent / "cgroup.subtree_control").write_text("cpu memory\n")
        group = ControlGroup(str(parent), "memory", version)
        assert group.is_possible()
        assert group.join(64 << 20)
        made = Path(group.path)
        assert str(64 << 20) == (made / limit).read_text()
        assert not (made / swap).exists()
        assert str(os.getpid()) == (made / "cgroup.procs").read_text()
        assert group.kills() == 0
        (made / events).write_text("low 4\noom 7\noom_kill 3\n")
        assert group.kills() == 3
        group.leave()
        assert str(os.getpid()) == (parent / "cgroup.procs").read_text()


def test_a_group_that_cannot_be_made_is_not_claimed(tmp_path: Path) -> None:
    """Neither a missing hierarchy nor a controller that is not handed down is possible."""
    assert not ControlGroup(str(tmp_path / "none"), "pids", 1).is_possible()
    assert not ControlGroup(str(tmp_path / "none"), "pids", 1).join(5)
    (tmp_path / "cgroup.subtree_control").write_text("cpu\n")
    assert not ControlGroup(str(tmp_path), "memory", 2).is_possible()


def test_descendants_are_found_in_other_sessions_too() -> None:
    """A new session hides nothing from a walk by parents."""
    marker = f"{600 + os.getpid() / 1e7:.9f}"
    script = f"setsid sleep {marker} & echo ready; wait"
    before = descendants(os.getpid())
    child = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    child.stdout.close()
    found = [process for process in descendants(os.getpid()) if process not in before]
    for process in found:
        os.kill(process, signal.SIGKILL)
    child.wait()
    assert len(found) == 2
    assert child.pid in found
    assert [] == [process for process in processes_with(marker) if process not in found]
