"""One execution in a sandbox under test, and what it left on the machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ledger.outcomes import Executed, Outcome
from ledger.ports import Cancellation, Command, Input, Sandbox

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
PATIENCE_S = 20.0


class Run:
    """One execution and what came of it."""

    def __init__(self, sandbox: Sandbox, cwd: Path) -> None:
        self._sandbox = sandbox
        self._cwd = cwd
        self.out = b""
        self.err = b""
        self.taken = b""
        self.on_output: Callable[[bytes], None] = lambda _data: None

    def __call__(
        self,
        argv: Sequence[str],
        *,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        executable: str | None = None,
        time_limit_s: float | None = PATIENCE_S,
        data: bytes | None = None,
        fd: int | None = None,
        cancellation: Cancellation | None = None,
    ) -> Outcome:
        """Execute *argv* and keep its output."""
        directory = cwd or self._cwd
        found = executable or self._sandbox.resolve(argv[0], directory, ENVIRONMENT)
        given = None
        if data is not None or fd is not None:
            given = Input(keep=self._keep, data=data, fd=fd)
        command = Command(
            argv=argv,
            executable=found or argv[0],
            cwd=directory,
            env=ENVIRONMENT if env is None else env,
            time_limit_s=time_limit_s,
            stdout=self._write_out,
            stderr=self._write_err,
            stdin=given,
        )
        return self._sandbox.execute(command, cancellation)

    def shell(self, script: str, *arguments: str, **options: object) -> Outcome:
        """Execute *script* with `sh`."""
        return self(["sh", "-c", script, "sh", *arguments], **options)  # type: ignore[arg-type]

    def _write_out(self, data: bytes) -> None:
        self.out += data
        self.on_output(data)

    def _write_err(self, data: bytes) -> None:
        self.err += data

    def _keep(self, data: bytes) -> None:
        self.taken += data


def processes_with(text: str) -> list[int]:
    """Return the processes of this machine that have *text* on their command line."""
    wanted = text.encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if wanted in line:
                found.append(int(entry.name))
    return found


def code_of(outcome: Outcome) -> int | None:
    """Return the exit code, where the command ran to its end."""
    return outcome.exit_code if isinstance(outcome, Executed) else None
