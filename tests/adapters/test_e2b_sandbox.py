"""The E2B sandbox keeps the contract of sandboxes, against a server of our own, and its own."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.e2b.account import E2BAccount, Wanted
from adapters.e2b.machine import E2BMachine
from adapters.e2b.request import Exchange, encode_request
from adapters.e2b_sandbox import E2BSandbox
from ledger.isolation import Isolation, Limits, lost
from ledger.liveness import Marked
from ledger.outcomes import NotStarted, Removed, SandboxMade, TimedOut, Unavailable
from ledger.ports import Command, SandboxWish
from tests.contracts.sandbox_contract import SandboxContract
from tests.contracts.sandbox_runs import Run, code_of, processes_with
from tests.e2b_server import E2BServer

ROOT = Path(__file__).parents[2]
STREAM = "00000000-0000-7000-8000-000000000000"


def wish_for(workspace: Path, **changes: object) -> SandboxWish:
    """Return a wish for one run."""
    fields: dict[str, object] = {
        "home_id": "0f",
        "stream": STREAM,
        "ordinal": 1,
        "workspace": workspace,
        "filesystem": "workspace",
        "network": "none",
        "limits": Limits(),
    }
    return SandboxWish(**(fields | changes))  # type: ignore[arg-type]


def made(sandbox: E2BSandbox, wish: SandboxWish) -> SandboxMade:
    """Create the sandbox and return what was made."""
    result = sandbox.create(wish)
    assert isinstance(result, SandboxMade), result
    return result


@pytest.fixture(scope="module")
def server() -> Iterator[E2BServer]:
    """The provider, here."""
    with E2BServer() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", server.environment["NO_PROXY"])
        yield server


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """The directory that commands run in."""
    directory = tmp_path.resolve() / "workspace"
    directory.mkdir()
    return directory


@pytest.fixture
def sandbox(server: E2BServer, workspace: Path) -> Iterator[E2BSandbox]:
    """A created sandbox."""
    sandbox = E2BSandbox(server.environment)
    made(sandbox, wish_for(workspace, stream=workspace.parent.name.replace("_", "-")))
    yield sandbox
    sandbox.close()


class Tenancy:
    """One sandbox for many tests, and another one after a test that ended it."""

    def __init__(self, server: E2BServer, workspace: Path) -> None:
        self._server = server
        self.workspace = workspace
        self._sandbox: E2BSandbox | None = None
        self._id = ""
        self._ordinal = 0

    def sandbox(self) -> E2BSandbox:
        """Return the sandbox, which is alive."""
        if self._sandbox is None or self._server.machines.find(self._id) is None:
            self._ordinal += 1
            self._sandbox = E2BSandbox(self._server.environment)
            self._id = made(self._sandbox, wish_for(self.workspace, ordinal=self._ordinal)).id
        return self._sandbox

    def kill(self) -> None:
        """Let the provider end it, as when its time is over."""
        machine = self._server.machines.find(self._id)
        assert machine is not None
        machine.end()


@pytest.fixture(scope="module")
def tenancy(server: E2BServer, tmp_path_factory: pytest.TempPathFactory) -> Tenancy:
    """What holds the sandbox of the contract between its tests."""
    return Tenancy(server, tmp_path_factory.mktemp("workspace").resolve())


class TestE2BSandbox(SandboxContract):
    """The contract, in a sandbox that serves as many commands as it lives for."""

    @pytest.fixture
    def workspace(self, tenancy: Tenancy) -> Path:
        """The directory that commands run in."""
        return tenancy.workspace

    @pytest.fixture
    def sandbox(self, tenancy: Tenancy) -> E2BSandbox:
        """The created sandbox."""
        return tenancy.sandbox()

    @pytest.fixture
    def inside(self, sandbox: E2BSandbox) -> Callable[[Path], Path]:
        """Where a directory of this machine is in the sandbox."""
        return sandbox.inside

    @pytest.fixture
    def kill_sandbox(self, tenancy: Tenancy, sandbox: E2BSandbox) -> Callable[[], None]:
        """Let the provider end it."""
        return tenancy.kill


def shell(sandbox: E2BSandbox, workspace: Path, script: str) -> Run:
    """Run *script* to its end, which is in order, and return what it printed."""
    run = Run(sandbox, workspace)
    outcome = run.shell(script)
    assert code_of(outcome) == 0, (outcome, run.err)
    return run


def tree(root: Path) -> dict[str, object]:
    """Return everything below *root*: directories, files with content and mode, links."""
    found: dict[str, object] = {}
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_dir():
            found[name] = "directory"
        else:
            found[name] = (path.read_bytes(), path.stat().st_mode & 0o777)
    return found


def test_the_provider_is_told_what_it_needs_and_nothing_else(
    server: E2BServer, workspace: Path
) -> None:
    """No network, three marks as metadata, the lifetime, and a key that makes twice once."""
    server.log.clear()
    sandbox = E2BSandbox(server.environment)
    wish = wish_for(workspace, ordinal=7, lifetime_s=5000, image="a-template")
    first = made(sandbox, wish)
    (created,) = server.asked("^POST /v2/sandboxes$")
    again = made(E2BSandbox(server.environment), wish)

    assert {
        "templateID": "a-template",
        "timeout": 5000,
        "allow_internet_access": False,
        "metadata": {"gesta-home": "0f", "gesta-stream": STREAM, "gesta-ordinal": "7"},
        "envVars": {},
    } == {"envVars": {}} | created.json()
    assert f"gesta-{STREAM}-7-5000" == created.headers["Idempotency-Key"]
    assert first.id == again.id
    assert ("run", ("files",), "a-template") == (first.lifetime, first.persists, first.image)
    assert Removed() == sandbox.close()
    assert 1 == len(server.asked("^DELETE "))


def test_the_network_is_there_only_if_it_was_asked_for(server: E2BServer, workspace: Path) -> None:
    """A policy that wants the network gets it from the provider, and it is said."""
    sandbox = E2BSandbox(server.environment)
    server.log.clear()
    had = made(sandbox, wish_for(workspace, ordinal=8, network="host")).isolation
    (created,) = server.asked("^POST /v2/sandboxes$")
    sandbox.close()

    assert created.json().get("allow_internet_access") in (None, True)
    assert "host" == had.network


def test_what_the_workspace_holds_is_there_and_what_changed_comes_back(
    server: E2BServer, workspace: Path
) -> None:
    """Binary, large, nested, executable, odd names, links and empty directories, both ways."""
    (workspace / "deep" / "er").mkdir(parents=True)
    (workspace / "empty").mkdir()
    (workspace / "deep" / "er" / "binary").write_bytes(bytes(range(256)) * 20)
    (workspace / "large").write_bytes(os.urandom(3_000_000))
    (workspace / "program").write_text("#!/bin/sh\necho ran\n")
    (workspace / "program").chmod(0o755)
    (workspace / "link").symlink_to("deep/er/binary")
    (workspace / "away").symlink_to("/etc/hostname")
    (workspace / os.fsdecode(b"caf\xe9 \n")).write_text("odd")
    (workspace / ".git").write_text("gitdir: /nowhere\n")
    before = tree(workspace)
    sandbox = E2BSandbox(server.environment)
    made(sandbox, wish_for(workspace, ordinal=9))

    inside = shell(sandbox, workspace, "./program; find . -print0 | LC_ALL=C sort -z; cat link")
    assert before == tree(workspace)
    assert (
        b"ran\n.\0./away\0./caf\xe9 \n\0./deep\0./deep/er\0./deep/er/binary\0./empty\0./large\0"
        b"./link\0./program\0" + bytes(range(256)) * 20
    ) == inside.out
    server.log.clear()
    shell(sandbox, workspace, "true")
    assert [] == server.asked("/files")
    shell(
        sandbox,
        workspace,
        "rm -r deep; echo file >deep; rm link; mkdir link; echo new >link/new;"
        "chmod 600 program; mkdir -p a/b; : >a/b/c; ln -s ../x a/link; mv large larger;"
        "rmdir empty; ln -sfn /etc away",
    )
    after = tree(workspace)
    sandbox.close()

    odd = os.fsdecode(b"caf\xe9 \n")
    assert {
        odd: before[odd],
        ".git": before[".git"],
        "a": "directory",
        "a/b": "directory",
        "a/b/c": (b"", 0o644),
        "a/link": ("link", "../x"),
        "away": ("link", "/etc"),
        "deep": (b"file\n", 0o644),
        "larger": before["large"],
        "link": "directory",
        "link/new": (b"new\n", 0o644),
        "program": (b"#!/bin/sh\necho ran\n", 0o600),
    } == after


def test_a_change_made_here_is_there_at_the_next_command(
    sandbox: E2BSandbox, workspace: Path
) -> None:
    """What was written, replaced or removed between two commands reaches the second."""
    shell(sandbox, workspace, "echo old >one; echo old >two; echo old >three")
    (workspace / "one").write_text("new\n")
    (workspace / "two").unlink()
    (workspace / "four").write_text("new\n")
    run = shell(sandbox, workspace, "cat one three four; test ! -e two; rm three")

    assert b"new\nold\nnew\n" == run.out
    assert ["four", "one"] == sorted(os.listdir(workspace))


def test_a_command_that_failed_or_was_ended_has_changed_what_it_changed(
    sandbox: E2BSandbox, workspace: Path
) -> None:
    """The work of a failing command, and of one whose time was over, comes back like any other."""
    failed = Run(sandbox, workspace).shell("echo 1 >failed; exit 9")
    ended = Run(sandbox, workspace).shell("echo 2 >ended; sleep 300", time_limit_s=0.3)

    assert 9 == code_of(failed)
    assert isinstance(ended, TimedOut)
    assert ("1\n", "2\n") == (
        (workspace / "failed").read_text(),
        (workspace / "ended").read_text(),
    )


def test_what_is_outside_the_workspace_persists_between_commands(
    sandbox: E2BSandbox, workspace: Path
) -> None:
    """One machine serves the run: what is installed in it stays, and stays there."""
    shell(sandbox, workspace, "echo kept >../kept; echo kept >/tmp/gesta-kept-$$")
    assert b"kept\n" == shell(sandbox, workspace, "cat ../kept; rm /tmp/gesta-kept-*").out
    assert [] == os.listdir(workspace)


def test_a_lifetime_that_is_refused_is_clamped_to_what_is_granted(
    server: E2BServer, workspace: Path
) -> None:
    """The limit that the refusal names is asked for; without one, an hour."""
    server.control.longest_s = 7200
    try:
        sandbox = E2BSandbox(server.environment)
        made(sandbox, wish_for(workspace, ordinal=10))
    finally:
        server.control.longest_s = 86_400

    assert 7200 == sandbox.granted_s
    assert Removed() == sandbox.close()


def test_a_lifetime_is_renewed_while_commands_run(server: E2BServer, workspace: Path) -> None:
    """A command may take longer than what the provider grants at once."""
    sandbox = E2BSandbox(server.environment)
    made(sandbox, wish_for(workspace, ordinal=11, lifetime_s=2))
    server.log.clear()
    outcome = Run(sandbox, workspace).shell("for i in 1 2 3 4 5; do sleep 0.5; echo; done")
    sandbox.close()

    assert 0 == code_of(outcome)
    assert {2} == {request.json()["timeout"] for request in server.asked("/timeout$")}


def test_a_key_that_made_a_sandbox_that_is_gone_makes_another(
    server: E2BServer, workspace: Path
) -> None:
    """The provider answers a known key as it did before; a dead sandbox is not taken for ours."""
    wish = wish_for(workspace, ordinal=15)
    one, other = E2BSandbox(server.environment), E2BSandbox(server.environment)
    first = made(one, wish)
    one.close()
    second = made(other, wish)

    assert first.id != second.id
    assert Removed() == other.close()


def test_another_process_takes_hold_of_the_sandbox_by_its_id(
    server: E2BServer, workspace: Path
) -> None:
    """It finds the machine as it was, and the workspace as it is here."""
    wish = wish_for(workspace, ordinal=12, limits=Limits(memory_mb=300, output_mb=2))
    one, other = E2BSandbox(server.environment), E2BSandbox(server.environment)
    first = made(one, wish)
    shell(one, workspace, "echo kept >../kept; echo old >changed; echo same >same; echo x >gone")
    (workspace / "changed").write_text("new\n")
    (workspace / "gone").unlink()
    server.log.clear()
    again = other.attach(wish, first.id)
    seen = shell(other, workspace, "cat ../kept changed same; test ! -e gone; echo more >more")

    assert first == again
    assert b"kept\nnew\nsame\n" == seen.out
    assert ["changed", "more", "same"] == sorted(os.listdir(workspace))
    assert [] == server.asked("^POST /v2/sandboxes$")
    assert Removed() == other.close()
    assert Removed() == one.close()


def test_only_this_runs_own_sandbox_is_taken_hold_of(server: E2BServer, workspace: Path) -> None:
    """Another run's, another home's, and one that is gone, are not to be had."""
    owner = E2BSandbox(server.environment)
    id = made(owner, wish_for(workspace, ordinal=13)).id
    for change in ({"home_id": "aa"}, {"stream": "other"}):
        refused = E2BSandbox(server.environment).attach(wish_for(workspace, **change), id)
        assert isinstance(refused, Unavailable)
        assert "not marked as this run's" in refused.message
    owner.close()
    gone = E2BSandbox(server.environment).attach(wish_for(workspace, ordinal=13), id)

    assert isinstance(gone, Unavailable)
    assert ("failed", False) == (gone.reason, gone.unknown_effect)
    assert id in gone.message


def test_gc_finds_the_machines_of_this_home_and_of_no_other(
    server: E2BServer, workspace: Path
) -> None:
    """Each is listed with its run, from every page; those of another home are not."""
    ours = [wish_for(workspace, home_id="b0", ordinal=n, stream=f"run-{n}") for n in (1, 2, 3)]
    theirs = wish_for(workspace, home_id="b1", stream="run-4")
    sandboxes = [E2BSandbox(server.environment) for _ in range(4)]
    ids = [made(one, wish).id for one, wish in zip(sandboxes, [*ours, theirs], strict=True)]
    server.control.page = 2
    try:
        found = E2BSandbox(server.environment).marked("b0")
        assert Removed() == E2BSandbox(server.environment).remove(ids[0])
        left = E2BSandbox(server.environment).marked("b0")
    finally:
        server.control.page = 100
        for one in sandboxes:
            one.close()

    assert [Marked(ids[n], f"run-{n + 1}", str(n + 1), "b0") for n in range(3)] == found
    assert [Marked(ids[n], f"run-{n + 1}", str(n + 1), "b0") for n in (1, 2)] == left


def test_limits_that_are_said_are_those_that_hold(server: E2BServer, workspace: Path) -> None:
    """The machine's memory, or less for each process; a count only for a user that it binds."""
    wish = wish_for(workspace, ordinal=14, limits=Limits(memory_mb=2048, processes=500))
    sandbox = E2BSandbox(server.environment)
    offered = sandbox.offer(wish)
    had = made(sandbox, wish).isolation
    count = shell(sandbox, workspace, "bash -c 'ulimit -u'").out.strip()
    sandbox.close()

    assert isinstance(offered, Isolation)
    assert () == lost(wish_isolation(wish), offered)
    assert 512 == had.limits.memory_mb
    assert had.limits.processes == (None if os.geteuid() == 0 else 500)
    assert os.geteuid() == 0 or b"500" == count
    assert ("machine", "workspace", "none", "own", "out_of_reach") == (
        had.boundary,
        had.filesystem,
        had.network,
        had.processes,
        had.record,
    )


def wish_isolation(wish: SandboxWish) -> Isolation:
    """Return what a policy asks for that has this wish."""
    return Isolation(
        boundary="machine",
        filesystem=wish.filesystem,
        network=wish.network,
        processes="own",
        limits=wish.limits,
        record="out_of_reach",
    )


def test_a_command_that_no_process_can_be_given_is_not_started(
    sandbox: E2BSandbox, workspace: Path
) -> None:
    """A NUL and an impossible name are refused here, too much there; the sandbox goes on."""
    run = Run(sandbox, workspace)
    outcomes = [
        run(["true", "a\0b"], executable="/bin/true"),
        run(["true"], executable="/bin/true", env={"A=B": ""}),
        run(["true", *["x" * 100_000] * 30], executable="/bin/true"),
    ]

    for outcome in outcomes:
        assert isinstance(outcome, NotStarted)
        assert "failed" == outcome.reason
    assert 0 == code_of(run(["true", *["x" * 100_000] * 3], executable="/bin/true"))


def test_a_name_is_looked_up_inside_and_never_in_the_workspace_by_chance(
    sandbox: E2BSandbox, workspace: Path
) -> None:
    """The PATH of the command counts, without its relative entries; a path is the sandbox's."""
    (workspace / "tool").write_text("#!/bin/sh\n")
    (workspace / "tool").chmod(0o755)
    shell(sandbox, workspace, "true")
    inside = str(sandbox.inside(workspace))

    assert sandbox.resolve("tool", workspace, {"PATH": ".::/usr/bin"}) is None
    assert f"{inside}/tool" == sandbox.resolve("./tool", workspace, {})
    assert f"{inside}/tool" == sandbox.resolve("tool", workspace, {"PATH": f"/bin:{inside}"})


def test_a_command_ends_when_nobody_asks_for_it_any_more(
    server: E2BServer, workspace: Path
) -> None:
    """If we died, the guest ends the command and everything that it started."""
    duration = f"300.{os.getpid()}{id(workspace)}"
    account = E2BAccount(server.environment)
    wanted = Wanted(template=None, lifetime_s=60, metadata={}, internet=False, key="silent")
    machine = E2BMachine(*account.create(wanted))
    root = machine.greet("workspace", None, listed=False).root
    argv = ["sh", "-c", f"echo begun; setsid sleep {duration} & sleep {duration}"]
    command = Command(
        argv=argv,
        executable="/bin/sh",
        cwd=Path(root),
        env={"PATH": "/usr/bin:/bin"},
        time_limit_s=None,
        stdout=lambda _: None,
        stderr=lambda _: None,
    )
    exchange = Exchange(root=root, archive=None, base=0, number=1, memory_mb=0, processes=None)
    request = encode_request(command, exchange, str)
    handle = machine.start({**request, "stdin": False, "silence_s": 0.5})
    said = "".join(out or "" for out, _, _ in handle)
    account.remove(machine.id)

    assert [] == processes_with(duration)
    assert [b"begun\n"] == [
        base64.b64decode(line.split()[2]) for line in said.splitlines() if line.split()[1] == "o"
    ]


def test_importing_the_adapter_imports_no_sdk() -> None:
    """Who never uses E2B never pays for it; `prepare` begins to, and does not wait."""
    program = (
        "import sys, adapters.e2b_sandbox as it; assert 'e2b' not in sys.modules; "
        "sandbox = it.E2BSandbox({}); assert 'e2b' not in sys.modules; sandbox.prepare(); "
        "import threading; [t.join() for t in threading.enumerate() if t.name == 'import e2b']; "
        "assert 'e2b' in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
