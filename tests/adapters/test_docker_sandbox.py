"""The docker sandbox keeps the contract of sandboxes, against a real podman service."""

from __future__ import annotations

import gc
import os
import random
import select
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adapters.docker.service import labels_of
from adapters.docker_sandbox import DockerSandbox
from ledger.isolation import Isolation, Limits, Network
from ledger.outcomes import (
    Executed,
    Lost,
    NotStarted,
    RemovalFailed,
    Removed,
    SandboxMade,
    Unavailable,
)
from ledger.ports import SandboxWish
from tests.adapters.podman_service import IMAGE, import_image, running_podman
from tests.contracts.sandbox_contract import SandboxContract
from tests.contracts.sandbox_runs import ENVIRONMENT, PATIENCE_S, Run, code_of, processes_with

if TYPE_CHECKING:
    import docker

Make = Callable[[SandboxWish], DockerSandbox]
ROOT = Path(__file__).parents[2]
# A service of an ordinary user is given no control groups by most machines.
HAS_LIMITS = os.geteuid() == 0
CALLER = """
import os, sys
from pathlib import Path
from tests.adapters.test_docker_sandbox import DockerSandbox, Run, made, wish_for
sandbox = DockerSandbox(environment={"DOCKER_HOST": os.environ["DOCKER_HOST"]})
made(sandbox, wish_for(Path.cwd(), stream="killed"))
run = Run(sandbox, Path.cwd())
run.on_output = lambda data: (sys.stdout.write(data.decode()), sys.stdout.flush())
run.shell("echo ready; sleep " + os.environ["DURATION"], time_limit_s=None)
"""


def wish_for(
    workspace: Path,
    *,
    limits: Limits | None = None,
    network: Network = "none",
    image: str | None = IMAGE,
    stream: str = "00000000-0000-7000-8000-000000000000",
    home_id: str = "0f",
    read_only: tuple[str, ...] = ("auto",),
    git_dirs: tuple[Path, ...] = (),
    protected: tuple[str, ...] = (),
) -> SandboxWish:
    """Return a wish for one run."""
    return SandboxWish(
        home_id=home_id,
        stream=stream,
        ordinal=1,
        workspace=workspace,
        filesystem="workspace",
        network=network,
        limits=limits or Limits(),
        image=image,
        read_only=read_only,
        git_dirs=git_dirs,
        protected=protected,
    )


def made(sandbox: DockerSandbox, wish: SandboxWish) -> SandboxMade:
    """Create the sandbox and return what was made."""
    result = sandbox.create(wish)
    assert isinstance(result, SandboxMade), result
    return result


@pytest.fixture(scope="session")
def service() -> Iterator[str]:
    """The address of a service that has the image."""
    # Its socket's path has to be short (unix(7)).
    place = Path(tempfile.mkdtemp(prefix="gesta-podman-"))
    with running_podman(place) as address:
        import_image(address)
        yield address


@pytest.fixture(scope="session")
def client(service: str) -> Iterator[docker.APIClient]:
    """A client of our own, to look at what the sandbox did."""
    import docker

    client = docker.APIClient(base_url=service, version="auto")
    yield client
    client.close()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """The directory that commands run in."""
    place = tmp_path.resolve() / "workspace"
    place.mkdir()
    return place


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The ledger's home."""
    place = tmp_path.resolve() / "home"
    place.mkdir(mode=0o700)
    (place / "key").write_text("a secret")
    return place


@pytest.fixture
def make(service: str, home: Path) -> Iterator[Make]:
    """Makes created sandboxes, which are closed afterwards."""
    sandboxes: list[DockerSandbox] = []

    def make_one(wish: SandboxWish) -> DockerSandbox:
        sandboxes.append(DockerSandbox(home, {"DOCKER_HOST": service}))
        made(sandboxes[-1], wish)
        return sandboxes[-1]

    yield make_one
    for sandbox in sandboxes:
        assert Removed() == sandbox.close()


@pytest.fixture
def sandbox(make: Make, workspace: Path) -> DockerSandbox:
    """A created sandbox."""
    return make(wish_for(workspace))


@pytest.fixture
def run(sandbox: DockerSandbox, workspace: Path) -> Run:
    """An execution in the sandbox."""
    return Run(sandbox, workspace)


def containers(client: docker.APIClient, stream: str | None = None) -> list[str]:
    """Return the containers of one run, or all of them."""
    stream = stream or wish_for(Path("/")).stream
    found = client.containers(all=True, filters={"label": [f"gesta-stream={stream}"]})
    return [one["Id"] for one in found]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace of the shared sandbox."""
    return tmp_path_factory.mktemp("workspace").resolve()


@pytest.fixture(scope="module")
def shared(service: str) -> Iterator[list[DockerSandbox]]:
    """The sandboxes that tests have used one after another; the last one may still be good."""
    sandboxes: list[DockerSandbox] = []
    yield sandboxes
    for sandbox in sandboxes:
        assert Removed() == sandbox.close()


class TestContract(SandboxContract):
    """The contract of every sandbox; one serves until a test has ended it."""

    @pytest.fixture
    def workspace(self, place: Path) -> Path:
        """The directory that commands run in."""
        return place

    @pytest.fixture
    def sandbox(self, service: str, workspace: Path, shared: list[DockerSandbox]) -> DockerSandbox:
        """A created sandbox."""
        if not shared or shared[-1].resolve("sh", workspace, ENVIRONMENT) is None:
            shared.append(DockerSandbox(None, {"DOCKER_HOST": service}))
            made(shared[-1], wish_for(workspace))
        return shared[-1]

    @pytest.fixture
    def kill_sandbox(self, client: docker.APIClient, sandbox: DockerSandbox) -> Callable[[], None]:
        """Remove the command's container, as somebody else might."""
        assert sandbox.kind == "docker"

        def kill() -> None:
            for container in containers(client):
                client.remove_container(container, force=True)

        return kill


def test_what_is_offered_is_what_is_had(make: Make, workspace: Path, home: Path) -> None:
    """The isolation that is offered is the one that is made, limits included."""
    limits = Limits(memory_mb=64, processes=20, output_mb=3)
    sandbox = make(wish_for(workspace, limits=limits))
    offered = sandbox.offer(wish_for(workspace, limits=limits))
    result = sandbox.attach(wish_for(workspace, limits=limits), "docker-of-before")
    assert isinstance(result, SandboxMade)
    assert (
        Isolation(
            boundary="container",
            filesystem="workspace",
            network="none",
            processes="own",
            limits=limits if HAS_LIMITS else Limits(output_mb=3),
            record="out_of_reach",
        )
        == offered
        == result.isolation
    )
    assert ("command", ("files",)) == (result.lifetime, result.persists)
    assert result.image is not None
    assert result.image.startswith(f"{IMAGE}@sha256:")


def test_a_missing_image_is_named_with_its_remedy(service: str, workspace: Path) -> None:
    """Nothing is fetched: who wrote the policy is told what to do."""
    sandbox = DockerSandbox(None, {"DOCKER_HOST": service})
    missing = sandbox.create(wish_for(workspace, image="no-such-image:7"))
    assert missing == Unavailable(
        reason="failed",
        message="image no-such-image:7 is missing; pull it, or name another in sandbox.image",
    )
    unnamed = sandbox.create(wish_for(workspace, image=None))
    assert isinstance(unnamed, Unavailable)
    assert "names no image" in unnamed.message
    assert Removed() == sandbox.close()


def test_a_service_that_does_not_answer_is_an_outage(workspace: Path, tmp_path: Path) -> None:
    """No socket, or nobody behind it: the address is named."""
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as nobody:
        nobody.bind(f"{short}/s")
        for address in (f"unix://{short}/s", f"unix://{short}/missing"):
            offered = DockerSandbox(None, {"DOCKER_HOST": address}).offer(wish_for(workspace))
            assert isinstance(offered, Unavailable)
            assert offered.reason == "outage"
            assert address in offered.message


def test_a_service_of_another_machine_is_refused(workspace: Path) -> None:
    """The workspace is mounted, so the service has to be here."""
    sandbox = DockerSandbox(None, {"DOCKER_HOST": "tcp://127.0.0.1:1"})
    offered = sandbox.offer(wish_for(workspace))
    assert isinstance(offered, Unavailable)
    assert (offered.reason, "tcp://127.0.0.1:1" in offered.message) == ("failed", True)


def test_the_system_is_the_images_and_cannot_be_written_to(
    run: Run, workspace: Path, home: Path
) -> None:
    """Nothing of this machine but the workspace is there, and only that can be written to."""
    outcome = run.shell(
        """
        for path in /root /usr /etc /; do
            (: >"$path/x") 2>/dev/null && echo "wrote $path"
        done
        [ -e "$1" ] && echo home
        [ -e "$2" ] && echo checkout
        [ -e /etc/shadow ] && echo shadow
        mount -o remount,rw / 2>/dev/null && echo remounted
        grep -E "^Cap(Eff|Bnd|Prm).*[1-9a-f]" /proc/self/status
        grep -q "NoNewPrivs:.1" /proc/self/status || echo privileges
        echo inside >"$3/made"; echo >/tmp/made; HOME=/nowhere; ls /root
        """,
        str(home),
        str(ROOT),
        str(workspace),
    )
    assert (0, b"") == (code_of(outcome), run.out)
    assert (workspace / "made").read_text() == "inside\n"
    assert workspace.stat().st_uid == (workspace / "made").stat().st_uid


def test_without_network_the_hosts_loopback_is_out_of_reach(make: Make, workspace: Path) -> None:
    """The same request reaches the server where the wish allows the network."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        answering = threading.Thread(target=_answer_once, args=(server,), daemon=True)
        answering.start()
        request = 'wget -q -O - "http://127.0.0.1:$1/"'
        shut = Run(make(wish_for(workspace)), workspace)
        assert code_of(shut.shell(request, port)) != 0
        assert shut.out == b""
        shut.out = b""
        shut.shell("ls /sys/class/net")
        assert shut.out in {b"lo\n", b""}
        opened = Run(make(wish_for(workspace, network="host")), workspace)
        assert code_of(opened.shell(request, port)) == 0
        assert opened.out == b"hello"
        answering.join()


def _answer_once(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello")


def test_limits_hold_or_are_not_claimed(make: Make, workspace: Path) -> None:
    """Too much memory is a death with a name; too many processes are not started."""
    wish = wish_for(workspace, limits=Limits(memory_mb=32, processes=8))
    sandbox = make(wish)
    if not HAS_LIMITS:
        offered = sandbox.offer(wish)
        assert isinstance(offered, Isolation)
        assert Limits() == offered.limits
        return
    run = Run(sandbox, workspace)
    outcome = run.shell("x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo done")
    assert isinstance(outcome, Executed)
    assert outcome.killed_by_memory_limit
    assert b"done" not in run.out
    run.out = b""
    run.shell("i=0; while [ $i -lt 20 ]; do sleep 5 & i=$((i+1)); done; echo all")
    assert b"all" not in run.out
    assert b"fork" in run.err


def test_git_and_protected_paths_cannot_be_changed(
    make: Make, workspace: Path, tmp_path: Path
) -> None:
    """The pointer to the git directory, that directory and what the policy protects are fixed."""
    git_dir = tmp_path.resolve() / "repository" / ".git"
    git_dir.mkdir(parents=True)
    (git_dir / "config").write_text("[core]\n")
    (workspace / ".git").write_text(f"gitdir: {git_dir}\n")
    (workspace / "locked").mkdir()
    shown = tmp_path.resolve() / "shown"
    shown.mkdir()
    (shown / "data").write_text("data\n")
    wish = wish_for(
        workspace, read_only=("auto", str(shown)), git_dirs=(git_dir,), protected=("locked",)
    )
    run = Run(make(wish), workspace)
    outcome = run.shell(
        """
        cat "$1/config" "$2/data"
        for path in .git "$1/config" locked/x "$2/x"; do
            (echo x >"$path") 2>/dev/null && echo "wrote $path"
        done
        rm -f .git 2>/dev/null; mv locked away 2>/dev/null
        ls -a
        """,
        str(git_dir),
        str(shown),
    )
    assert code_of(outcome) == 0
    assert run.out == b"[core]\ndata\n.\n..\n.git\nlocked\n"
    assert f"gitdir: {git_dir}\n" == (workspace / ".git").read_text()


def test_the_ledgers_home_is_never_mounted(service: str, workspace: Path, home: Path) -> None:
    """Whoever names it: it is refused, and the key is told."""
    sandbox = DockerSandbox(home, {"DOCKER_HOST": service})
    refused = sandbox.create(wish_for(workspace, read_only=(str(home),)))
    assert isinstance(refused, Unavailable)
    assert refused.reason == "not_permitted"
    assert "sandbox.read_only" in refused.message


def test_programs_are_found_inside(sandbox: DockerSandbox, run: Run, workspace: Path) -> None:
    """A name means what it means in the image, or in the workspace; a script needs its program."""
    (workspace / "tool").write_text("#!/bin/sh\necho tool\n")
    (workspace / "tool").chmod(0o755)
    (workspace / "orphan").write_text("#!/no/such/interpreter\n")
    (workspace / "orphan").chmod(0o755)
    assert str(workspace / "tool") == sandbox.resolve("./tool", workspace, ENVIRONMENT)
    assert sandbox.resolve("python3", workspace, ENVIRONMENT) is None
    assert code_of(run(["./tool"])) == 0
    assert run.out == b"tool\n"
    orphan = run(["./orphan"])
    assert isinstance(orphan, NotStarted)
    assert orphan.reason == "not_executable"


def test_the_command_is_in_nothing_that_the_service_keeps(
    run: Run, client: docker.APIClient
) -> None:
    """Words and variables are not in the container's configuration; the labels are ours, alone."""
    seen: list[object] = []
    run.on_output = lambda _data: seen.extend(
        client.inspect_container(container) for container in containers(client)
    )
    outcome = run(["sh", "-c", "echo $TOKEN"], env={**ENVIRONMENT, "TOKEN": "s3cr3t-value"})
    assert code_of(outcome) == 0
    assert run.out == b"s3cr3t-value\n"
    assert len(seen) == 1
    assert "s3cr3t" not in repr(seen)
    assert labels_of(wish_for(Path("/"))).items() <= seen[0]["Config"]["Labels"].items()  # type: ignore[index]


def test_every_ending_leaves_no_container_and_no_descriptor(
    run: Run, sandbox: DockerSandbox, client: docker.APIClient
) -> None:
    """Commands of every ending leave the machine as it was."""
    run(["true"])
    before = len(os.listdir("/proc/self/fd"))
    run(["cat"], data=b"x" * 100_000)
    run(["missing"], executable="/no/such/program")
    run(["a\0b"])
    run(["sleep", "9"], time_limit_s=0.05)
    assert before == len(os.listdir("/proc/self/fd"))
    assert [] == containers(client)


def test_containers_of_the_run_that_were_left_are_swept(
    make: Make, workspace: Path, client: docker.APIClient
) -> None:
    """Closing ends the run's containers and no other's; gc finds those of one home."""
    mine, other = wish_for(workspace, stream="mine"), wish_for(workspace, stream="other")
    elsewhere = wish_for(workspace, stream="elsewhere", home_id="f0")
    for wish in (mine, other, elsewhere):
        made_by_hand = client.create_container(
            IMAGE, ["sleep", "300"], labels=labels_of(wish), network_disabled=True
        )
        assert made_by_hand["Id"]
    sandbox = make(mine)
    listed = sandbox.marked("0f")
    assert not isinstance(listed, Unavailable)
    assert {("mine", "1"), ("other", "1")} == {(one.stream, one.ordinal) for one in listed}
    everybody_s = sandbox.marked(None)
    assert not isinstance(everybody_s, Unavailable)
    assert ("elsewhere", "f0") in {(one.stream, one.home) for one in everybody_s}
    assert Removed() == sandbox.close()
    assert [] == containers(client, "mine")
    for stream in ("other", "elsewhere"):
        assert 1 == len(containers(client, stream))
        assert Removed() == sandbox.remove(containers(client, stream)[0])
        assert [] == containers(client, stream)
    assert Removed() == sandbox.remove("0" * 64)
    assert Removed() == sandbox.close()


@pytest.fixture
def duration() -> str:
    """A number of seconds to sleep that no other process has as an argument."""
    return f"{300 + random.SystemRandom().random():.12f}"


def test_a_killed_caller_takes_its_container_along(
    service: str, workspace: Path, duration: str, client: docker.APIClient
) -> None:
    """After SIGKILL of the process that uses the sandbox nothing of the command is left."""
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER],
        cwd=workspace,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
            "DOCKER_HOST": service,
            "DURATION": duration,
        },
        stdout=subprocess.PIPE,
    )
    with caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == b"ready\n"
        watchers = processes_with("gesta-stream=killed")
        assert 1 == len(watchers)
        handles = [os.pidfd_open(one) for one in (*watchers, *processes_with(duration))]
        assert len(handles) > 1
        caller.kill()
    for handle in handles:
        assert select.select([handle], [], [], PATIENCE_S)[0]
        os.close(handle)
    assert [] == containers(client, "killed")


# The SDK leaves a socket open that it could not connect.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_service_that_ends_is_a_lost_sandbox_and_a_failed_removal(workspace: Path) -> None:
    """What cannot be known, or checked, is not claimed."""
    place = Path(tempfile.mkdtemp(prefix="gesta-podman-"))
    with running_podman(place) as address:
        import_image(address)
        sandbox = DockerSandbox(None, {"DOCKER_HOST": address})
        made(sandbox, wish_for(workspace))
        (place / "socket").rename(place / "away")
        outcome = Run(sandbox, workspace)(["true"], executable="/bin/busybox")
        assert isinstance(outcome, Lost)
        assert isinstance(sandbox.close(), RemovalFailed)
        (place / "away").rename(place / "socket")
        assert Removed() == sandbox.close()
    # Those sockets are let go here, where they are expected.
    gc.collect()


def test_the_wiring_knows_the_kind_and_where_its_service_is(
    service: str, workspace: Path, home: Path
) -> None:
    """The wiring has the kind, and asks nobody before a sandbox is wanted."""
    from adapters.wiring.sandboxes import make_sandbox

    sandbox = make_sandbox("docker", {"DOCKER_HOST": service, "GESTA_HOME": str(home)})
    assert isinstance(sandbox, DockerSandbox)
    sandbox.prepare()
    offered = sandbox.offer(wish_for(workspace))
    assert isinstance(offered, Isolation)
    assert "container" == offered.boundary
    assert Removed() == sandbox.close()
