"""What every sandbox keeps, whichever it is.

An adapter's tests subclass `SandboxContract` and give the fixtures `sandbox` (a created one, and
closed afterwards), `workspace` (the directory that a command is to run in, as the command names
it) and `kill_sandbox` (a function that makes the sandbox vanish from outside). Commands use `sh`
and a few programs that every image has.
"""

from __future__ import annotations

import os
import random
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.cancellation import SignalCancellation
from ledger.outcomes import Cancelled, Executed, Lost, NotStarted, Removed, TimedOut
from ledger.ports import Command, Sandbox
from tests.contracts.sandbox_files_contract import SandboxFilesContract
from tests.contracts.sandbox_runs import ENVIRONMENT, Run, code_of, processes_with


class SandboxContract(SandboxFilesContract):
    """The claims; each holds for every adapter."""

    @pytest.fixture
    def run(self, sandbox: Sandbox, workspace: Path) -> Run:
        """An execution in the sandbox."""
        return Run(sandbox, workspace)

    @pytest.fixture
    def inside(self, sandbox: Sandbox) -> Callable[[Path], Path]:
        """Where a directory of this machine is in the sandbox; an adapter that moves it says so."""
        return lambda path: path

    @pytest.fixture
    def duration(self) -> str:
        """A number of seconds to sleep that no other process has as an argument."""
        return f"{300 + random.SystemRandom().random():.12f}"

    @pytest.mark.parametrize(
        "argument",
        ["a b; echo x", "", "two\nlines", "'\"$HOME`id`\\", "caf\udce9", "-n", "*", "ünï"],
    )
    def test_an_argument_arrives_unchanged(self, run: Run, argument: str) -> None:
        """No shell, no splitting, no re-encoding stands between us and the program."""
        outcome = run.shell('printf "%s|" "$#" "$@"', argument, "end")
        assert code_of(outcome) == 0
        assert b"2|" + os.fsencode(argument) + b"|end|" == run.out

    def test_argv_zero_is_the_callers_and_the_executable_is_what_runs(
        self, sandbox: Sandbox, run: Run, workspace: Path
    ) -> None:
        """A program that is many by its name sees the name that was asked for."""
        shell = sandbox.resolve("sh", workspace, ENVIRONMENT)
        assert shell is not None
        if os.path.basename(shell) == "busybox":
            assert code_of(run(["echo", "hello"], executable=shell)) == 0
            assert run.out == b"hello\n"
        else:
            assert code_of(run(["called-so", "-c", 'echo "$0"'], executable=shell)) == 0
            assert run.out == b"called-so\n"

    def test_the_command_runs_in_its_directory(
        self, run: Run, workspace: Path, inside: Callable[[Path], Path]
    ) -> None:
        """The working directory is the one that was asked for."""
        assert code_of(run(["pwd"])) == 0
        assert f"{inside(workspace)}\n".encode() == run.out

    def test_the_environment_is_exactly_what_was_given(self, run: Run) -> None:
        """Nothing of ours leaks in, and bytes that are not UTF-8 pass."""
        outcome = run(["env"], env={"ONE": "1", "TWO": "zwei drei", "RAW": "\udcff"})
        assert code_of(outcome) == 0
        assert {b"ONE=1", b"TWO=zwei drei", b"RAW=\xff"} == set(run.out.splitlines())

    def test_without_input_the_command_reads_the_end_at_once(self, run: Run) -> None:
        """No input is an empty one, never ours."""
        assert code_of(run(["cat"])) == 0
        assert run.out == b""

    def test_input_bytes_arrive_and_are_kept(self, run: Run) -> None:
        """What the command was given is what it reads and what is kept, past a pipe's size."""
        data = bytes(range(256)) * 4096
        assert code_of(run(["cat"], data=data)) == 0
        assert data == run.out
        assert data == run.taken

    def test_input_that_is_not_read_does_not_hold_the_command(self, run: Run) -> None:
        """A command may end without reading what it was given."""
        assert code_of(run(["true"], data=b"x" * 1_000_000)) == 0

    def test_standard_output_and_error_stay_apart_and_byte_exact(self, run: Run) -> None:
        """Two streams, each with its own bytes, no newline added or changed."""
        outcome = run.shell(r"printf 'o\000\377\r\n'; printf 'e\033[0m' >&2; exit 3")
        assert code_of(outcome) == 3
        assert run.out == b"o\0\xff\r\n"
        assert run.err == b"e\x1b[0m"

    @pytest.mark.parametrize("code", [0, 1, 124, 255])
    def test_an_exit_code_is_the_programs_own(self, run: Run, code: int) -> None:
        """A non-zero exit is an execution like any other."""
        outcome = run.shell(f"exit {code}")
        assert isinstance(outcome, Executed)
        assert (code, None) == (outcome.exit_code, outcome.signal)
        assert not outcome.killed_by_memory_limit

    def test_a_signal_is_not_an_exit_code(self, run: Run) -> None:
        """A program that a signal ended has a signal and no code."""
        outcome = run.shell("kill -KILL $$")
        assert isinstance(outcome, Executed)
        assert (None, 9) == (outcome.exit_code, outcome.signal)

    def test_usage_is_measured(self, run: Run) -> None:
        """Wall and processor time are those of the command and of what it waited for."""
        outcome = run.shell('sh -c "i=0; while [ \\$i -lt 60000 ]; do i=\\$((i+1)); done"')
        assert isinstance(outcome, Executed)
        assert outcome.usage.duration_us > 10_000
        assert outcome.usage.cpu_us is None or outcome.usage.cpu_us > 10_000

    def test_fifty_megabytes_on_both_streams_pass_in_bounded_memory(
        self, sandbox: Sandbox, workspace: Path
    ) -> None:
        """Neither stream waits for the other, and nothing is gathered on the way."""
        totals = [0, 0]

        def count(stream: int) -> Callable[[bytes], None]:
            def add(data: bytes) -> None:
                totals[stream] += len(data)

            return add

        script = "head -c 25000000 /dev/zero & head -c 25000000 /dev/zero >&2; wait"
        shell = sandbox.resolve("sh", workspace, ENVIRONMENT)
        assert shell is not None
        command = Command(
            argv=["sh", "-c", script],
            executable=shell,
            cwd=workspace,
            env=ENVIRONMENT,
            time_limit_s=60.0,
            stdout=count(0),
            stderr=count(1),
        )
        tracemalloc.start()
        try:
            outcome = sandbox.execute(command, None)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert code_of(outcome) == 0
        assert totals == [25_000_000, 25_000_000]
        assert peak < 4_000_000

    def test_output_arrives_while_the_command_runs(self, run: Run) -> None:
        """The command goes on only when its first line has arrived here."""
        reading, writing = os.pipe()

        def answer(data: bytes) -> None:
            if data == b"first\n":
                os.write(writing, b"second\n")

        run.on_output = answer
        try:
            outcome = run.shell('echo first; read line; echo "$line"', fd=reading)
        finally:
            os.close(reading)
            os.close(writing)
        assert code_of(outcome) == 0
        assert run.out == b"first\nsecond\n"
        assert run.taken == b"second\n"

    def test_a_name_resolves_to_a_file_without_links(
        self, sandbox: Sandbox, workspace: Path
    ) -> None:
        """What is resolved is an absolute path; what does not exist is `None`."""
        found = sandbox.resolve("sh", workspace, ENVIRONMENT)
        assert found is not None
        assert found.startswith("/")
        assert sandbox.resolve("no-such-program-at-all", workspace, ENVIRONMENT) is None
        assert sandbox.resolve("", workspace, ENVIRONMENT) is None
        assert sandbox.resolve("./missing", workspace, ENVIRONMENT) is None

    def test_a_missing_executable_is_not_started(self, run: Run) -> None:
        """No process came to be, and the reason says why."""
        outcome = run(["missing"], executable="/no/such/program")
        assert isinstance(outcome, NotStarted)
        assert outcome.reason == "not_found"

    def test_a_file_that_may_not_be_executed_is_not_started(self, run: Run) -> None:
        """A file without the permission is there, but no program."""
        outcome = run(["passwd"], executable="/etc/passwd")
        assert isinstance(outcome, NotStarted)
        assert outcome.reason == "not_executable"

    def test_a_missing_directory_is_not_started(self, run: Run) -> None:
        """A command never runs somewhere else than it was asked to."""
        outcome = run(["true"], cwd=Path("/no/such/directory"))
        assert isinstance(outcome, NotStarted)
        assert outcome.reason == "failed"
        assert "/no/such/directory" in outcome.message

    def test_nothing_started_is_followed_by_something_started(self, run: Run) -> None:
        """A command that could not be started leaves the sandbox as it was."""
        run(["missing"], executable="/no/such/program")
        assert code_of(run.shell("exit 7")) == 7

    def test_a_time_limit_ends_the_whole_tree(self, run: Run, duration: str) -> None:
        """Children that left the session end too, and what was written is there."""
        script = f"echo so far; setsid sleep {duration} & sleep {duration}"
        began = time.monotonic()
        outcome = run.shell(script, time_limit_s=1.0)
        assert isinstance(outcome, TimedOut)
        assert time.monotonic() - began < 3
        assert outcome.usage.duration_us >= 900_000
        assert run.out == b"so far\n"
        assert [] == processes_with(duration)

    def test_a_tree_that_ignores_the_polite_signal_is_ended(self, run: Run, duration: str) -> None:
        """SIGTERM is a question; SIGKILL follows."""
        script = f"trap '' TERM; sleep {duration} & sleep {duration}; sleep {duration}"
        outcome = run.shell(script, time_limit_s=0.3)
        assert isinstance(outcome, TimedOut)
        assert [] == processes_with(duration)

    def test_a_cancelled_command_ends_and_names_the_signal(self, run: Run, duration: str) -> None:
        """Cancelling is an ending of its own, also for what the command started."""
        cancellation = SignalCancellation()
        run.on_output = lambda _data: cancellation.request(15)
        script = f"setsid sleep {duration} & echo ready; sleep {duration}"
        outcome = run.shell(script, cancellation=cancellation)
        cancellation.close()
        assert isinstance(outcome, Cancelled)
        assert outcome.signal == 15
        assert [] == processes_with(duration)

    def test_a_cancelled_command_is_not_even_started(self, run: Run) -> None:
        """Who cancelled before the start finds nothing done."""
        cancellation = SignalCancellation()
        cancellation.request(None)
        outcome = run.shell("echo started", cancellation=cancellation)
        cancellation.close()
        assert isinstance(outcome, Cancelled)
        assert outcome.signal is None
        assert run.out == b""

    @pytest.mark.parametrize("how", ["", "setsid "])
    def test_what_a_command_leaves_running_ends_with_it(
        self, run: Run, duration: str, how: str
    ) -> None:
        """A background child neither outlives the command nor delays its end."""
        began = time.monotonic()
        outcome = run.shell(f"{how}sleep {duration} & echo done")
        assert code_of(outcome) == 0
        assert time.monotonic() - began < 3
        assert run.out == b"done\n"
        assert [] == processes_with(duration)

    def test_an_error_in_the_taker_of_the_output_ends_the_command(
        self, run: Run, duration: str
    ) -> None:
        """If its output cannot be kept, the command does not go on unseen."""

        def refuse(_data: bytes) -> None:
            raise OSError(28, "the disk is full")

        run.on_output = refuse
        with pytest.raises(OSError, match="the disk is full"):
            run.shell(f"echo out; sleep {duration}")
        assert [] == processes_with(duration)
        run.on_output = lambda _data: None
        assert code_of(run.shell("exit 0")) == 0

    def test_a_sandbox_that_vanishes_is_lost(
        self, run: Run, kill_sandbox: Callable[[], None], duration: str
    ) -> None:
        """How the command ended is not known, and that is what is said."""
        run.on_output = lambda _data: kill_sandbox()
        outcome = run.shell(f"echo ready; sleep {duration}")
        assert isinstance(outcome, Lost)
        assert run.out == b"ready\n"
        assert [] == processes_with(duration)
        assert isinstance(run.shell("exit 0"), Lost)

    def test_closing_twice_is_closing_once(self, sandbox: Sandbox, run: Run) -> None:
        """After the first time nothing is there, and that is no failure."""
        assert code_of(run.shell("exit 0")) == 0
        assert Removed() == sandbox.close()
        assert Removed() == sandbox.close()
        assert isinstance(run.shell("exit 0"), Lost)
