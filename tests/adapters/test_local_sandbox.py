"""The local sandbox keeps the contract of sandboxes, on each way of ending a tree, and its own."""

from __future__ import annotations

import os
import resource
import select
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.local_sandbox import LocalSandbox
from adapters.supervisor.tree import processes
from ledger.isolation import Isolation, Limits
from ledger.outcomes import Executed, Outcome, SandboxMade
from ledger.ports import SandboxWish
from tests.contracts.process_contract import ProcessContract
from tests.contracts.sandbox_runs import Run, code_of, processes_with

ROOT = Path(__file__).parents[2]
# Each child says that it is ready when its own command line already carries the duration.
CALLER = """
import os, sys
from pathlib import Path
from tests.adapters.test_local_sandbox import LocalSandbox, Run, made, wish_for
sandbox = LocalSandbox(own_processes=sys.argv[1] == "own")
made(sandbox, wish_for(Path.cwd()))
run = Run(sandbox, Path.cwd())
run.on_output = lambda data: (sys.stdout.write(data.decode()), sys.stdout.flush())
child = "sh -c 'echo ready; sleep 300; :' " + os.environ["DURATION"]
run.shell(f"setsid {child} & {child}", time_limit_s=None)
"""


def wish_for(workspace: Path, limits: Limits | None = None) -> SandboxWish:
    """Return a wish for one run."""
    return SandboxWish(
        home_id="0f",
        stream="00000000-0000-7000-8000-000000000000",
        ordinal=1,
        workspace=workspace,
        filesystem="workspace",
        network="none",
        limits=limits or Limits(),
    )


def made(sandbox: LocalSandbox, wish: SandboxWish) -> SandboxMade:
    """Create the sandbox and return what was made."""
    result = sandbox.create(wish)
    assert isinstance(result, SandboxMade)
    return result


def children() -> list[int]:
    """Return the ids of our own child processes."""
    return [process for process, parent, _ in processes() if parent == os.getpid()]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """The directory that commands run in."""
    return tmp_path.resolve()


class LocalSandboxContract(ProcessContract):
    """The contract, with what the local sandbox adds on either way."""

    own_processes: bool

    @pytest.fixture
    def sandbox(self, workspace: Path) -> Iterator[LocalSandbox]:
        """A created sandbox."""
        sandbox = LocalSandbox(own_processes=self.own_processes)
        made(sandbox, wish_for(workspace))
        yield sandbox
        sandbox.close()

    @pytest.fixture
    def kill_sandbox(self, sandbox: LocalSandbox) -> Callable[[], None]:
        """Kill the supervisor, the only child that this process has by then."""
        supervisors = children()
        assert len(supervisors) == 1
        assert sandbox.kind == "local"
        return lambda: os.kill(supervisors[0], signal.SIGKILL)

    def test_descriptors_do_not_pile_up(self, run: Run, sandbox: LocalSandbox) -> None:
        """Commands of every ending leave as many descriptors open as there were."""
        run(["true"])
        before = set(os.listdir("/proc/self/fd"))
        for _ in range(3):
            run(["cat"], data=b"x" * 100_000)
            run(["missing"], executable="/no/such/program")
            run(["sleep", "9"], time_limit_s=0.05)
        assert before == set(os.listdir("/proc/self/fd"))
        sandbox.close()
        assert len(set(os.listdir("/proc/self/fd"))) < len(before)
        assert [] == children()

    def test_a_killed_caller_takes_its_command_along(self, workspace: Path, duration: str) -> None:
        """After SIGKILL of the process that uses the sandbox nothing of the command is left."""
        caller = subprocess.Popen(
            [sys.executable, "-c", CALLER, "own" if self.own_processes else "host"],
            cwd=workspace,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
                "DURATION": duration,
            },
            stdout=subprocess.PIPE,
        )
        assert caller.stdout is not None
        ready = [caller.stdout.readline() for _ in range(2)]
        handles = [os.pidfd_open(process) for process in processes_with(duration)]
        caller.kill()
        caller.wait()
        caller.stdout.close()
        assert [b"ready\n"] * 2 == ready
        assert len(handles) >= 2
        for handle in handles:
            wait_for_end(handle)

    def test_the_supervisor_outlives_the_thread_that_started_it(self, workspace: Path) -> None:
        """A sandbox made in a thread that has ended goes on."""
        sandbox = LocalSandbox(own_processes=self.own_processes)
        thread = threading.Thread(target=made, args=(sandbox, wish_for(workspace)))
        thread.start()
        thread.join()
        assert code_of(Run(sandbox, workspace).shell("exit 5")) == 5
        sandbox.close()

    def test_four_threads_have_a_sandbox_each(self, workspace: Path) -> None:
        """Sandboxes of one process do not touch one another."""
        outcomes: dict[int, list[tuple[Outcome, bytes]]] = {number: [] for number in range(4)}

        def work(number: int) -> None:
            sandbox = LocalSandbox(own_processes=self.own_processes)
            made(sandbox, wish_for(workspace))
            for _ in range(5):
                run = Run(sandbox, workspace)
                outcome = run.shell(f"cat; echo {number}; exit {number}", data=b"in")
                outcomes[number].append((outcome, run.out))
            sandbox.close()

        threads = [threading.Thread(target=work, args=(number,)) for number in outcomes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number, seen in outcomes.items():
            assert [number] * 5 == [code_of(outcome) for outcome, _ in seen]
            assert [f"in{number}\n".encode()] * 5 == [out for _, out in seen]

    def test_limits_that_are_recorded_are_effective(self, workspace: Path) -> None:
        """What is said to be limited fails when it is exceeded; what is not said is not claimed."""
        limits = Limits(memory_mb=200, processes=12, output_mb=3)
        sandbox = LocalSandbox(own_processes=self.own_processes)
        wish = wish_for(workspace, limits)
        had = made(sandbox, wish).isolation.limits
        run = Run(sandbox, workspace)
        assert had.memory_mb == 200
        assert had.output_mb == 3
        assert had.processes in (None, 12)
        greedy = run([sys.executable, "-c", "x = bytearray(400 << 20)"])
        assert code_of(greedy) != 0
        modest = run([sys.executable, "-c", "x = bytearray(40 << 20)"])
        assert code_of(modest) == 0
        many = run.shell("for i in $(seq 40); do sleep 2 & done; kill $(jobs -p); wait; exit 0")
        assert isinstance(many, Executed)
        assert (had.processes is None) == (b"ork" not in run.err)
        sandbox.close()
        assert code_of(greedy) == 1 or (
            isinstance(greedy, Executed) and greedy.killed_by_memory_limit
        )

    def test_what_is_offered_is_what_is_had(self, workspace: Path) -> None:
        """The isolation that is offered claims no more than the one that is made."""
        sandbox = LocalSandbox(own_processes=self.own_processes)
        wish = wish_for(workspace, Limits(memory_mb=100, processes=100, output_mb=1))
        offered = sandbox.offer(wish)
        result = made(sandbox, wish)
        sandbox.close()
        assert isinstance(offered, Isolation)
        assert offered == result.isolation
        assert ("process", "host", "host", "reachable") == (
            offered.boundary,
            offered.filesystem,
            offered.network,
            offered.record,
        )
        assert result.id == "local-00000000-0000-7000-8000-000000000000-1"
        assert ("command", ("files",)) == (result.lifetime, result.persists)


class TestByNamespaceWhereThereIsOne(LocalSandboxContract):
    """The way that this machine allows."""

    own_processes = True

    def test_processes_are_own_only_if_the_others_are_out_of_sight(
        self, sandbox: LocalSandbox, run: Run, workspace: Path
    ) -> None:
        """The isolation recorded is the isolation had."""
        isolation = sandbox.offer(wish_for(workspace))
        assert isinstance(isolation, Isolation)
        run.shell(f"test -d /proc/self && ! kill -0 {os.getpid()}")
        code = code_of(run.shell(f'test "$(cat /proc/{os.getpid()}/comm)" != ""'))
        assert (isolation.processes == "host") == (code == 0)


class TestByDescent(LocalSandboxContract):
    """The way that every Linux machine allows."""

    own_processes = False

    def test_processes_are_the_hosts(self, sandbox: LocalSandbox, workspace: Path) -> None:
        """Without a namespace nothing is claimed."""
        isolation = sandbox.offer(wish_for(workspace))
        assert isinstance(isolation, Isolation)
        assert isolation.processes == "host"


def test_resource_limits_of_ours_are_not_changed(workspace: Path) -> None:
    """A limit is set on the command, never on the process that asks for it."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    sandbox = LocalSandbox()
    made(sandbox, wish_for(workspace, Limits(memory_mb=300)))
    code_of(Run(sandbox, workspace)(["true"]))
    sandbox.close()
    assert before == resource.getrlimit(resource.RLIMIT_DATA)


def test_a_relative_entry_of_the_path_is_passed_over(workspace: Path) -> None:
    """A program in the run's own directory does not stand in for one of the system."""
    program = workspace / "sh"
    program.write_text("#!/bin/sh\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    link = workspace / "link"
    link.symlink_to(program)
    resolve = LocalSandbox().resolve
    for path in ("", ".", ":", "./:."):
        assert resolve("sh", workspace, {"PATH": path}) is None
    assert str(program) == resolve("sh", workspace, {"PATH": f".:{workspace}:/bin"})
    assert str(program) == resolve("./link", workspace, {"PATH": ""})
    assert str(program) == resolve(str(link), Path("/"), {})
    assert resolve("sub/..", workspace, {}) is None
    assert resolve("a\0b", workspace, {}) is None


def wait_for_end(handle: int) -> None:
    """Wait until the process of the pid descriptor *handle* has ended."""
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    assert waiting.poll(10_000), "the process is still there"
    os.close(handle)
