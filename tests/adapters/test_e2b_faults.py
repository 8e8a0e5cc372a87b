"""What goes wrong at E2B, and what the adapter makes of it: each fault really happens."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.e2b import execution
from adapters.e2b.account import E2BAccount, Wanted
from adapters.e2b.errors import E2BError, trouble_of
from adapters.e2b.machine import E2BMachine
from adapters.e2b.transfer import Transfer
from adapters.e2b_sandbox import E2BSandbox
from ledger.isolation import Limits
from ledger.outcomes import Lost, RemovalFailed, Removed, SandboxMade, Unavailable
from ledger.ports import SandboxWish
from tests.contracts.sandbox_runs import Run, code_of
from tests.e2b_server import E2BServer

CREATE = "^POST /v2/sandboxes$"
START = "/process.Process/Start$"
HTML = b"<html><body>Bad Gateway</body></html>"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[E2BServer]:
    """The provider, here."""
    with E2BServer() as server:
        monkeypatch.setenv("NO_PROXY", server.environment["NO_PROXY"])
        yield server


@pytest.fixture
def wish(tmp_path: Path) -> SandboxWish:
    """A wish for one run."""
    workspace = tmp_path.resolve() / "workspace"
    workspace.mkdir()
    return SandboxWish(
        home_id="0f",
        stream="00000000-0000-7000-8000-000000000000",
        ordinal=1,
        workspace=workspace,
        filesystem="workspace",
        network="none",
        limits=Limits(),
    )


@pytest.fixture
def sandbox(server: E2BServer, wish: SandboxWish) -> E2BSandbox:
    """A created sandbox."""
    sandbox = E2BSandbox(server.environment)
    made = sandbox.create(wish)
    assert isinstance(made, SandboxMade), made
    return sandbox


def error_body(status: int, message: str) -> bytes:
    """Return an error as the provider words it."""
    return b'{"code": %d, "message": "%s"}' % (status, message.encode())


# What happens to the request; the reason; may a sandbox exist all the same.
REFUSALS: dict[str, tuple[dict[str, Any], str, bool]] = {
    "the key is refused": ({"status": 401, "body": error_body(401, "no")}, "no_key", False),
    "it is forbidden": ({"status": 403, "body": error_body(403, "no")}, "failed", False),
    "the template is unknown": ({"status": 404, "body": error_body(404, "no")}, "failed", False),
    "too many requests": (
        {
            "status": 429,
            "body": error_body(429, "slow down"),
            "headers": {"Retry-After": "0"},
            "times": 9,
        },
        "outage",
        False,
    ),
    "the service is busy": (
        {"status": 503, "body": error_body(503, "no"), "headers": {"Should-Retry": "false"}},
        "outage",
        False,
    ),
    "the service failed": ({"status": 500, "body": error_body(500, "no")}, "outage", True),
    "a gateway answers": ({"status": 500, "body": HTML}, "outage", True),
    "a gateway answers for the service": (
        {"status": 503, "body": HTML, "headers": {"Should-Retry": "false"}},
        "outage",
        True,
    ),
    "the connection drops before": ({"drop": "before"}, "outage", True),
    "the connection drops after": ({"drop": "after"}, "outage", True),
    "the answer is late": ({"delay_s": 1.5}, "outage", True),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_create_that_fails_says_why_and_whether_something_may_exist(
    server: E2BServer, wish: SandboxWish, name: str
) -> None:
    """Nothing is raised; what may exist is found by its marks and ended at the close."""
    fault, reason, unknown = REFUSALS[name]
    server.fail(CREATE, **fault)
    sandbox = E2BSandbox(server.environment, patience_s=0.5)
    why = sandbox.create(wish)
    server.faults.clear()

    assert isinstance(why, Unavailable), why
    assert (reason, unknown) == (why.reason, why.unknown_effect), why.message
    assert why.message.startswith("cannot create a sandbox at E2B: ")
    assert "\n" not in why.message
    assert "<" not in why.message
    assert server.control.key not in why.message
    assert Removed() == sandbox.close()
    assert [] == server.machines.living()


def test_a_provider_that_is_not_there_is_an_outage_without_effect(
    server: E2BServer, wish: SandboxWish
) -> None:
    """Nobody answered, so nothing was made."""
    environment = server.environment
    server.stop()
    why = E2BSandbox(environment).create(wish)

    assert isinstance(why, Unavailable)
    assert ("outage", False) == (why.reason, why.unknown_effect), why.message


def test_too_many_requests_that_pass_are_waited_for(server: E2BServer, wish: SandboxWish) -> None:
    """The provider's `Retry-After` is heeded, and then there is a sandbox."""
    server.fail(CREATE, status=429, body=error_body(429, "slow down"), headers={"Retry-After": "0"})
    sandbox = E2BSandbox(server.environment)

    assert isinstance(sandbox.create(wish), SandboxMade)
    assert 2 == len(server.asked(CREATE))
    assert Removed() == sandbox.close()


@pytest.mark.parametrize("path", ["/files$", START, "^GET /sandboxes/"])
def test_a_sandbox_that_cannot_be_set_up_is_ended(
    server: E2BServer, wish: SandboxWish, path: str
) -> None:
    """What was made for nothing is not left behind."""
    server.fail(path, status=401, body=error_body(401, "no"))
    why = E2BSandbox(server.environment).create(wish)

    assert isinstance(why, Unavailable)
    assert ("no_key", False) == (why.reason, why.unknown_effect), why.message
    assert [] == server.machines.living()


def test_a_template_without_python_is_named_as_such(server: E2BServer, wish: SandboxWish) -> None:
    """The last line of what the machine said is the reason."""
    server.machines.profile = "PATH=/no/such/directory\n"
    why = E2BSandbox(server.environment).create(wish)

    assert isinstance(why, Unavailable)
    assert "not found" in why.message
    assert [] == server.machines.living()


@pytest.mark.parametrize("cut_after", [2, 3, 5, 9])
def test_output_is_complete_though_the_connection_drops(
    server: E2BServer, sandbox: E2BSandbox, wish: SandboxWish, cut_after: int
) -> None:
    """What nobody heard is said again, once; the command goes on all the time."""
    server.fail(START, spare=1, cut_after=cut_after)
    run = Run(sandbox, wish.workspace)
    # Many small pieces: however some of them arrive together, the cut falls between others.
    outcome = run.shell("for n in $(seq 40); do echo $n; echo e$n >&2; sleep 0.02; done; exit 5")

    assert 5 == code_of(outcome)
    assert b"".join(b"%d\n" % n for n in range(1, 41)) == run.out
    assert b"".join(b"e%d\n" % n for n in range(1, 41)) == run.err
    assert 1 <= len(server.asked("/process.Process/Connect$"))


def test_a_flood_is_complete_though_connections_drop(
    server: E2BServer, sandbox: E2BSandbox, wish: SandboxWish
) -> None:
    """Megabytes that no compression shrinks, over connections that break again and again."""
    (wish.workspace / "noise").write_bytes(os.urandom(2_000_000))
    server.fail(START, spare=1, cut_after=20)
    for _ in range(3):
        server.fail("/process.Process/Connect$", cut_after=25)
    run = Run(sandbox, wish.workspace)

    assert 0 == code_of(run.shell("cat noise noise"))
    assert (wish.workspace / "noise").read_bytes() * 2 == run.out


@pytest.mark.parametrize("fault", [{"drop": "before"}, {"status": 503, "body": HTML}])
def test_what_is_said_to_the_command_is_said_again(
    server: E2BServer, sandbox: E2BSandbox, wish: SandboxWish, fault: dict[str, Any]
) -> None:
    """A piece of input, an acknowledgement or a signal that was lost on the way arrives, once."""
    server.fail("/process.Process/SendInput$", times=2, **fault)
    run = Run(sandbox, wish.workspace)
    data = os.urandom(100_000)

    assert 0 == code_of(run(["cat"], data=data))
    assert data == run.out
    assert data == run.taken


def test_a_start_without_an_answer_is_found_among_the_processes(
    server: E2BServer, sandbox: E2BSandbox, wish: SandboxWish
) -> None:
    """The command ran once, and its output is had from its first byte."""
    server.fail(START, spare=1, cut_after=0)
    run = Run(sandbox, wish.workspace)
    outcome = run.shell("echo ran >>log; echo out; sleep 0.5; exit 4")

    assert 4 == code_of(outcome)
    assert b"out\n" == run.out
    assert "ran\n" == (wish.workspace / "log").read_text()


def test_a_start_that_was_refused_for_now_is_tried_again(
    server: E2BServer, sandbox: E2BSandbox, wish: SandboxWish
) -> None:
    """What was certainly not begun may be begun again."""
    server.fail(
        START, spare=1, status=429, body=b'{"code": "resource_exhausted", "message": "slow down"}'
    )
    run = Run(sandbox, wish.workspace)

    assert 0 == code_of(run.shell("echo ran >>log"))
    assert "ran\n" == (wish.workspace / "log").read_text()


def test_a_sandbox_that_expires_in_mid_command_is_lost_and_stays_lost(
    server: E2BServer, sandbox: E2BSandbox, wish: SandboxWish
) -> None:
    """What the command had printed is kept; no other command is tried; closing finds it gone."""
    run = Run(sandbox, wish.workspace)
    run.on_output = lambda _: server.machines.end()
    outcome = run.shell("echo so far; sleep 300")
    server.log.clear()
    again = Run(sandbox, wish.workspace).shell("true")

    assert isinstance(outcome, Lost)
    assert isinstance(again, Lost)
    assert b"so far\n" == run.out
    assert [] == server.asked(START)
    assert Removed() == sandbox.close()


def test_a_sandbox_that_expired_between_commands_is_lost(
    server: E2BServer, sandbox: E2BSandbox, wish: SandboxWish
) -> None:
    """It is said to be lost, never that the program was not found."""
    server.machines.end()

    assert "sh" == sandbox.resolve("sh", wish.workspace, {"PATH": "/bin"})
    outcome = Run(sandbox, wish.workspace).shell("true")
    assert isinstance(outcome, Lost)
    assert "not found" in outcome.message


def test_a_provider_that_vanishes_in_mid_command_is_waited_for_and_then_lost(
    server: E2BServer,
    sandbox: E2BSandbox,
    wish: SandboxWish,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The outage is named, and so is the sandbox that could not be ended."""
    monkeypatch.setattr(execution, "_OUT_OF_REACH_S", 0.5)
    (machine,) = server.machines.living()
    run = Run(sandbox, wish.workspace)
    run.on_output = lambda _: threading.Thread(target=server.stop).start()
    outcome = run.shell("echo so far; sleep 300")
    closed = sandbox.close()

    assert isinstance(outcome, Lost)
    assert b"so far\n" == run.out
    assert isinstance(closed, RemovalFailed)
    assert "failed" == closed.reason
    assert closed.message.startswith(f"cannot end sandbox {machine.id}: ")


def test_a_guest_that_was_killed_is_lost(
    server: E2BServer, sandbox: E2BSandbox, wish: SandboxWish
) -> None:
    """The machine lives, but nobody in it knows how the command ended."""
    (machine,) = server.machines.living()

    def kill(_data: bytes) -> None:
        for process in machine.processes.values():
            if process.is_running():
                process.signal(9)

    run = Run(sandbox, wish.workspace)
    run.on_output = kill
    outcome = run.shell("echo so far; sleep 300")

    assert isinstance(outcome, Lost)
    assert "our program in the sandbox ended" in outcome.message
    assert Removed() == sandbox.close()


def test_changes_that_cannot_be_fetched_are_a_lost_command(
    server: E2BServer, sandbox: E2BSandbox, wish: SandboxWish
) -> None:
    """A command whose work is not here has not simply succeeded."""
    server.fail("^GET /files$", status=401, body=error_body(401, "no"))
    outcome = Run(sandbox, wish.workspace).shell("echo work >work")

    assert isinstance(outcome, Lost)
    assert [] == os.listdir(wish.workspace)


def test_a_download_that_breaks_off_is_begun_again(
    server: E2BServer, sandbox: E2BSandbox, wish: SandboxWish
) -> None:
    """The changes come back whole."""
    server.fail("^GET /files$", drop="before")

    assert 0 == code_of(Run(sandbox, wish.workspace).shell("echo work >work"))
    assert "work\n" == (wish.workspace / "work").read_text()


def test_a_hostile_archive_from_the_sandbox_is_refused(server: E2BServer, tmp_path: Path) -> None:
    """What the machine gives out is read as coming from anybody."""
    (tmp_path / "root").mkdir()
    account = E2BAccount(server.environment)
    wanted = Wanted(template=None, lifetime_s=60, metadata={}, internet=False, key="hostile")
    machine = E2BMachine(*account.create(wanted))
    (machine_here,) = server.machines.living()
    (machine_here.home / ".gesta").mkdir()
    evil = machine_here.home / ".gesta" / "evil.tar.gz"
    evil.write_bytes(_archive("tree/../victim"))
    transfer = Transfer(tmp_path / "root")
    with pytest.raises(E2BError, match=r"the changes are refused: '\.\./victim' is no path"):
        transfer.fetch(machine, evil.name)
    evil.write_bytes(os.urandom(5000))
    with pytest.raises(E2BError, match="the changes are more than 0 MiB"):
        Transfer(tmp_path / "root", size=4000).fetch(machine, evil.name)

    assert ["root"] == os.listdir(tmp_path)


def _archive(name: str) -> bytes:
    import io
    import tarfile

    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("deleted"))
        archive.addfile(tarfile.TarInfo(name))
    return made.getvalue()


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503, "body": error_body(503, "no"), "headers": {"Should-Retry": "false"}},
        {"status": 500, "body": HTML},
        {"drop": "before"},
        {"drop": "after"},
    ],
)
def test_a_kill_that_fails_once_is_tried_again(
    server: E2BServer, sandbox: E2BSandbox, fault: dict[str, Any]
) -> None:
    """A moment's trouble leaves no machine behind."""
    server.fail("^DELETE ", **fault)

    assert Removed() == sandbox.close()
    assert [] == server.machines.living()


def test_a_kill_that_goes_on_failing_names_the_sandbox(
    server: E2BServer, sandbox: E2BSandbox
) -> None:
    """Nothing is raised; closing again later ends it."""
    (machine,) = server.machines.living()
    server.fail("^DELETE ", status=500, body=HTML, times=99)
    failed = sandbox.close()
    server.faults.clear()

    assert isinstance(failed, RemovalFailed)
    assert machine.id in failed.message
    assert Removed() == sandbox.close()
    assert [] == server.machines.living()


def test_a_kill_is_believed_only_when_the_machine_is_gone(
    server: E2BServer, sandbox: E2BSandbox
) -> None:
    """An answer that says yes is not enough."""
    (machine,) = server.machines.living()
    server.control.unkillable.add(machine.id)
    failed = sandbox.close()
    server.control.unkillable.clear()

    assert isinstance(failed, RemovalFailed)
    assert f"cannot end sandbox {machine.id}: it is still there" in failed.message
    assert Removed() == sandbox.close()


def test_a_list_that_cannot_be_had_says_so(server: E2BServer, wish: SandboxWish) -> None:
    """What may exist and cannot be looked for is a removal that failed, and gc hears why."""
    server.fail(CREATE, drop="after")
    sandbox = E2BSandbox(server.environment)
    assert isinstance(sandbox.create(wish), Unavailable)
    server.fail("^GET /v2/sandboxes", status=500, body=HTML, times=99)
    failed, listed = sandbox.close(), sandbox.marked("0f")
    server.faults.clear()

    assert isinstance(failed, RemovalFailed)
    assert "a sandbox that may exist" in failed.message
    assert isinstance(listed, Unavailable)
    assert "outage" == listed.reason
    assert Removed() == sandbox.close()
    assert [] == server.machines.living()


@pytest.mark.parametrize(
    ("error", "reason", "fate"),
    [
        (lambda: ValueError("odd"), "failed", "final"),
        (lambda: ConnectionResetError(104, "reset"), "outage", "passing"),
        (lambda: ModuleNotFoundError("No module named 'e2b'"), "not_installed", "final"),
        (lambda: RuntimeError(""), "failed", "final"),
    ],
    ids=["value", "reset", "import", "wordless"],
)
def test_what_is_no_exception_of_the_sdk_is_understood_too(
    error: Callable[[], Exception], reason: str, fate: str
) -> None:
    """Whatever comes through has a reason, one line, and never passes for success."""
    trouble = trouble_of(error())
    assert (reason, fate) == (trouble.reason, trouble.fate)
    assert trouble.message
    assert "\n" not in trouble.message
