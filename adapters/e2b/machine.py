"""One E2B sandbox as we use it: files go in and out, and our guest is asked to do things there.

Rule 1: what is said to the guest and what it says is ASCII; see `adapters.e2b.guest`.
Rule 2: a lifetime is renewed while the sandbox is in use, before half of it is over.
"""

from __future__ import annotations

import base64
import io
import json
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import msgspec

from adapters.e2b.account import accepted, patiently
from adapters.e2b.errors import E2BError, Trouble, understood
from adapters.e2b.guest.listing import Listing

if TYPE_CHECKING:
    from e2b import Sandbox
    from e2b.sandbox_sync.commands.command_handle import CommandHandle

DIRECTORY = ".gesta"
_PACKAGE = "guest.zip"
_INSTALLED = "guest"
_LONGEST_ARGUMENT = 96 << 10
_ASK_S = 300
_KEPT_IN_STEP_S = 60.0
_MAIN = "from adapters.e2b.guest.main import main\nmain()\n"


class Greeting(msgspec.Struct, frozen=True):
    """Where the workspace is inside, who we are there, and what the workspace holds."""

    root: str
    uid: int
    listing: Listing | None


class Found(msgspec.Struct, frozen=True):
    """The file that a name runs, in base64."""

    found: str | None


Answer = TypeVar("Answer", Greeting, Found)


class E2BMachine:
    """A sandbox that exists, with *lifetime_s* granted."""

    def __init__(self, sandbox: Sandbox, lifetime_s: int) -> None:
        self._sandbox = sandbox
        self._lifetime_s = lifetime_s
        self._renewed = time.monotonic()
        self._requests = 0

    @property
    def id(self) -> str:
        """The provider's name for it."""
        return str(self._sandbox.sandbox_id)

    @property
    def lifetime_s(self) -> int:
        """The seconds that it lives from each renewal on."""
        return self._lifetime_s

    def renew(self) -> None:
        """Let it live on, if that is due; an outage of the provider's is no matter yet."""
        if time.monotonic() - self._renewed < min(_KEPT_IN_STEP_S, self._lifetime_s / 3):
            return
        self._renewed = time.monotonic()
        try:
            with understood():
                self._sandbox.set_timeout(self._lifetime_s)
        except E2BError as error:
            if error.trouble.fate != "passing":
                raise

    def upload(self, name: str, content: IO[bytes]) -> None:
        """Write a file of the guest's directory."""

        def write() -> None:
            content.seek(0)
            with understood():
                self._sandbox.files.write(f"{DIRECTORY}/{name}", content)

        patiently(write)

    def download(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file of the guest's directory."""
        with understood():
            yield from self._sandbox.files.read(f"{DIRECTORY}/{name}", format="stream")

    def greet(self, workspace: str, archive: str | None, *, listed: bool) -> Greeting:
        """Bring the guest in, let it unpack *archive*, and return what it says of the place."""
        self.upload(_PACKAGE, io.BytesIO(guest_package()))
        request = {
            "install": _INSTALLED,
            "workspace": workspace,
            "archive": archive,
            "list": listed,
        }
        return self._ask(_PACKAGE, "hello", request, Greeting)

    def resolve(self, name: str, cwd: str, path: str | None) -> str | None:
        """Return the file that *name* runs inside; all are base64, as the answer is."""
        request = {"name": name, "cwd": cwd, "path": path}
        found: Found = patiently(lambda: self._ask(_INSTALLED, "resolve", request, Found))
        return found.found

    def _ask(self, program: str, verb: str, request: dict[str, Any], kind: type[Answer]) -> Answer:
        line = self._command_line(program, verb, request)
        with understood():
            done = self._sandbox.commands.run(line, timeout=_ASK_S)
            # A login shell may have printed something before.
            return msgspec.convert(json.loads(done.stdout.splitlines()[-1]), kind)

    def start(self, request: dict[str, Any]) -> CommandHandle:
        """Let the guest run a command, once; its words come from the handle."""
        line = self._command_line(_INSTALLED, "run", request)

        def begin() -> CommandHandle:
            try:
                with understood():
                    run = self._sandbox.commands.run
                    options = accepted(run, retain_output=False)
                    return run(line, background=True, stdin=True, timeout=0, **options)
            except E2BError as error:
                if error.trouble.fate != "passing" or not error.trouble.unknown_effect:
                    raise
            return self._find(line)

        handle: CommandHandle = patiently(begin)
        return handle

    def _find(self, line: str) -> CommandHandle:
        """Connect to a process whose start was not confirmed; each line is started once."""
        for process in patiently(self._processes):
            if line in process.args:
                return self.connect(process.pid)
        raise E2BError(Trouble(reason="outage", message="the command's start was not confirmed"))

    def _processes(self) -> list[Any]:
        with understood():
            return list(self._sandbox.commands.list())

    def connect(self, process: int) -> CommandHandle:
        """Listen to a guest that runs."""
        with understood():
            connect = self._sandbox.commands.connect
            return connect(process, timeout=0, **accepted(connect, retain_output=False))

    def say(self, process: int, line: str) -> None:
        """Say a line to a guest that runs; each may be heard twice."""

        def send() -> None:
            with understood():
                self._sandbox.commands.send_stdin(process, line + "\n")

        patiently(send)

    def kill(self, process: int) -> None:
        """End a guest that does not listen; its commands end with it."""
        with understood():
            self._sandbox.commands.kill(process)

    def end_left(self) -> None:
        """End the guests of a process of ours that died, and with them their commands."""
        for process in patiently(self._processes):
            if any(f"{DIRECTORY}/{_INSTALLED}" in argument for argument in process.args):
                self.kill(process.pid)

    def kill_as_root(self, processes: Sequence[int]) -> None:
        """End processes that the sandbox's ordinary user may not end."""
        numbers = " ".join(str(process) for process in processes)
        with understood():
            self._sandbox.commands.run(f"kill -KILL {numbers} || :", user="root", timeout=_ASK_S)

    def _command_line(self, program: str, verb: str, request: dict[str, Any]) -> str:
        self._requests += 1
        encoded = base64.b64encode(json.dumps(request).encode()).decode("ascii")
        if len(encoded) > _LONGEST_ARGUMENT:
            name = f"request-{self._requests}"
            self.upload(name, io.BytesIO(encoded.encode()))
            encoded = f"@{name}"
        place = f"{DIRECTORY}/{program}"
        # The number makes the line one of a kind, so that it can be found among the processes.
        number = f"{self._requests}.{time.monotonic_ns()}"
        return f'exec python3 -I -S "$HOME/{place}" {DIRECTORY} {verb} {encoded} {number}'


def guest_package() -> bytes:
    """Return the guest with what it needs of us, as a program that Python executes (zipapp)."""
    here = Path(__file__).parents[1]
    sources = [
        *sorted((here / "e2b" / "guest").glob("*.py")),
        *sorted((here / "supervisor").glob("*.py")),
        here / "executable_lookup.py",
    ]
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        archive.writestr("__main__.py", _MAIN)
        archive.writestr("adapters/__init__.py", "")
        archive.writestr("adapters/e2b/__init__.py", "")
        for source in sources:
            archive.write(source, f"adapters/{source.relative_to(here).as_posix()}")
    return package.getvalue()
