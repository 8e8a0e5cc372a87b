"""What a sandbox keeps whose commands are processes of this very machine, beside every one's."""

from __future__ import annotations

import os
import pty
import sys
from pathlib import Path

import pytest

from ledger.outcomes import NotStarted
from ledger.ports import Command, Input, Sandbox
from tests.contracts.sandbox_contract import SandboxContract
from tests.contracts.sandbox_runs import ENVIRONMENT, Run, code_of


class ProcessContract(SandboxContract):
    """The claims; the fixtures are those of `SandboxContract`."""

    def test_signals_and_descriptors_are_fresh(self, run: Run) -> None:
        """A broken pipe ends a program, and no descriptor but the three is open."""
        program = (
            "import os, signal, sys; sys.stdout.write(repr(("
            "sorted(os.listdir('/proc/self/fd'))[:-1], "
            "signal.pthread_sigmask(signal.SIG_BLOCK, []))))"
        )
        # Listing the directory opens one more descriptor, which is the last.
        assert code_of(run([sys.executable, "-c", program])) == 0
        assert run.out == b"(['0', '1', '2'], set())"
        assert code_of(run.shell("sh -c 'yes; echo $? >&2' | head -c 1 >/dev/null")) == 0
        assert run.err == b"141\n"

    def test_a_script_without_an_interpreter_line_is_not_executable(
        self, run: Run, workspace: Path
    ) -> None:
        """No shell is called upon to guess."""
        script = workspace / "script"
        script.write_text("echo never\n")
        script.chmod(0o755)
        outcome = run(["./script"])
        assert isinstance(outcome, NotStarted)
        assert outcome.reason == "not_executable"
        assert run.out == b""

    def test_a_missing_interpreter_is_said(self, run: Run, workspace: Path) -> None:
        """The file is there, but what its first line names is not."""
        script = workspace / "script"
        script.write_text("#!/no/such/interpreter\n")
        script.chmod(0o755)
        outcome = run(["./script"])
        assert isinstance(outcome, NotStarted)
        assert outcome.reason == "not_executable"
        assert "interpreter" in outcome.message

    @pytest.mark.parametrize(
        ("argv", "env"), [(["a\0b"], {}), ([], {}), (["a"], {"A=B": ""}), (["a"], {"A": "\0"})]
    )
    def test_what_no_command_can_be_given_is_not_started(
        self, sandbox: Sandbox, workspace: Path, argv: list[str], env: dict[str, str]
    ) -> None:
        """A NUL, no argument at all or a name with `=` is refused before a process is made."""
        command = Command(
            argv=argv,
            executable="/bin/true",
            cwd=workspace,
            env=env,
            time_limit_s=None,
            stdout=lambda _: None,
            stderr=lambda _: None,
        )
        outcome = sandbox.execute(command, None)
        assert isinstance(outcome, NotStarted)
        assert outcome.reason == "failed"

    def test_too_many_arguments_are_not_started(self, run: Run) -> None:
        """The kernel's limit is an ending of its own, and the sandbox goes on."""
        outcome = run(["true", *["x" * 100_000] * 100])
        assert isinstance(outcome, NotStarted)
        assert outcome.reason == "failed"
        assert code_of(run(["true"])) == 0

    def test_a_pipe_is_kept_as_far_as_the_command_took_it(self, run: Run) -> None:
        """What the command left in its pipe is not said to have been its input."""
        reading, writing = os.pipe()
        os.write(writing, b"one\ntwo\n" + b"x" * 20_000)
        os.close(writing)
        outcome = run(["dd", "bs=8", "count=1"], fd=reading)
        os.close(reading)
        assert code_of(outcome) == 0
        assert run.out == b"one\ntwo\n"
        assert run.taken == b"one\ntwo\n"

    def test_a_file_is_kept_from_its_offset_to_where_the_command_stopped(
        self, run: Run, workspace: Path
    ) -> None:
        """The command reads our descriptor itself, and the offset moves for us too."""
        path = workspace / "input"
        path.write_bytes(b"skip" + bytes(range(256)) * 1000)
        descriptor = os.open(path, os.O_RDONLY)
        os.lseek(descriptor, 4, os.SEEK_SET)
        outcome = run(["dd", "bs=100000", "count=1"], fd=descriptor)
        assert code_of(outcome) == 0
        assert os.lseek(descriptor, 0, os.SEEK_CUR) == 100_004
        os.close(descriptor)
        assert (bytes(range(256)) * 1000)[:100_000] == run.out
        assert run.out == run.taken

    def test_a_terminal_is_handed_over_and_not_kept(
        self, sandbox: Sandbox, workspace: Path
    ) -> None:
        """The command sees a terminal and reads a line from it."""
        ours, its = pty.openpty()
        os.write(ours, b"typed\n")
        taken: list[bytes] = []
        out: list[bytes] = []
        command = Command(
            argv=["sh", "-c", 'test -t 0 && read line && echo "got $line"'],
            executable="/bin/sh",
            cwd=workspace,
            env=ENVIRONMENT,
            time_limit_s=10.0,
            stdout=out.append,
            stderr=out.append,
            stdin=Input(keep=taken.append, fd=its, terminal=True),
        )
        outcome = sandbox.execute(command, None)
        os.close(ours)
        os.close(its)
        assert code_of(outcome) == 0
        assert [b"got typed\n"] == out
        assert [] == taken
