"""What a command in a bubblewrap sandbox tries in vain.

Each attempt is also made outside, or where it is allowed, and must succeed there: a test that
passes because its program is broken proves nothing. No outside address is ever tried.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.bubblewrap_sandbox import BubblewrapSandbox
from adapters.git_worktree import GitWorkspace
from ledger.isolation import Limits
from ledger.outcomes import Executed, NotStarted, SandboxMade, WorktreeMade
from ledger.ports import SandboxWish, WorktreeIntent
from ledger.rules import Kind
from tests.adapters.checkouts import git, intent_for, made_by, make_repository
from tests.contracts.sandbox_runs import ENVIRONMENT, Run, code_of, processes_with

ROOT = Path(__file__).parents[2]
ORDINARY = 12345

CONNECT = """
import socket, sys
kind, where = sys.argv[1:]
if kind == "tcp":
    socket.create_connection(("127.0.0.1", int(where)), 3).close()
else:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect("\\0" + where if kind == "abstract" else where)
"""
DOUBLE_FORK = """
import os, sys
reading, writing = os.pipe()
if os.fork() == 0:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    if os.fork() == 0:
        os.write(writing, b"up")
        os.execvp("sleep", ["sleep", sys.argv[1]])
    os._exit(0)
os.read(reading, 2)
"""


class Scene:
    """A ledger's home, a user's home, a repository, and a run's workspace with its sandbox."""

    def __init__(self, root: Path, kind: Kind) -> None:
        self.root = root
        self.user_home = root / "user"
        self.user_home.mkdir()
        (self.user_home / "secret").write_text("mine\n")
        self.home = root / "home"
        (self.home / "keys").mkdir(parents=True, mode=0o700)
        (self.home / "ledger.db").write_text("events\n")
        (self.home / "keys" / "ledger.key").write_text("key\n")
        self.repository = make_repository(root / "repository")
        self.git = GitWorkspace()
        self.intent: WorktreeIntent = intent_for(
            self.home / "workspaces", self.repository, kind=kind
        )
        self.made: WorktreeMade = made_by(self.git, self.intent)
        self.workspace = self.intent.path
        assert self.made.git_dir is not None
        self.git_dir = Path(self.made.git_dir)
        self.env = {**ENVIRONMENT, "HOME": str(self.user_home)}
        self.sandbox = BubblewrapSandbox(self.home)
        common_dir = self.repository / ".git"
        self.wish = SandboxWish(
            home_id="0f",
            stream="00000000-0000-7000-8000-000000000000",
            ordinal=1,
            workspace=self.workspace,
            filesystem="workspace",
            network="none",
            limits=Limits(),
            read_only=("auto",),
            git_dirs=(common_dir / "objects",) if kind == "clone" else (common_dir, self.git_dir),
        )
        had = self.sandbox.create(self.wish)
        assert isinstance(had, SandboxMade), had
        assert had.isolation.record == "out_of_reach"

    def inside(self, *argv: str, **env: str) -> Run:
        """Execute in the sandbox, however that ends."""
        run = Run(self.sandbox, self.workspace)
        run(argv, env={**self.env, **env})
        return run

    def outside(self, *argv: str, **env: str) -> subprocess.CompletedProcess[bytes]:
        """Execute the same as an ordinary process."""
        return subprocess.run(
            argv, cwd=self.workspace, env={**self.env, **env}, capture_output=True, check=False
        )


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A run in a linked worktree."""
    scene = Scene(tmp_path.resolve(), "linked")
    yield scene
    scene.sandbox.close()


def succeeds_inside(scene: Scene, *argv: str, **env: str) -> bool:
    """Say whether the attempt succeeds in the sandbox; it must at least have been made."""
    run = Run(scene.sandbox, scene.workspace)
    outcome = run(argv, env={**scene.env, **env})
    assert isinstance(outcome, Executed), outcome
    assert outcome.exit_code not in (126, 127), run.err
    return outcome.exit_code == 0


def succeeds_outside(scene: Scene, *argv: str, **env: str) -> bool:
    """Say whether the attempt succeeds without a sandbox."""
    return scene.outside(*argv, **env).returncode == 0


def test_nothing_outside_the_workspace_can_be_written(scene: Scene) -> None:
    """Neither beside the workspace, nor in the main checkout, nor in the ledger's home."""
    for place in (scene.root, scene.repository, scene.home, scene.workspace.parent):
        target = place / "written"
        # Where a test's files are below `/tmp`, the attempt lands in the command's own `/tmp`.
        scene.inside("sh", "-c", 'mkdir -p "$(dirname "$0")"; echo x > "$0"', str(target))
        assert not target.exists()
        assert succeeds_outside(scene, "touch", str(target))
        scene.inside("rm", "-rf", str(target))
        assert target.exists()
    assert succeeds_inside(scene, "touch", "written")
    assert (scene.workspace / "written").exists()


def test_the_system_is_read_only(scene: Scene) -> None:
    """No file can be made in the system's directories; in the command's own `/tmp` it can."""
    for directory in ("/", "/usr", "/usr/bin", "/etc", "/lib", "/run"):
        target = f"{directory}/gesta-escape"
        assert not succeeds_inside(scene, "touch", target)
        assert not os.path.lexists(target)
    assert succeeds_inside(scene, "touch", "/tmp/gesta-escape")
    assert not os.path.lexists("/tmp/gesta-escape")


def test_what_is_read_only_cannot_be_remounted(scene: Scene) -> None:
    """The right to mount is gone; who has it can undo a read-only mount."""
    target = str(scene.root)
    undo = 'mount -o remount,rw,bind "$0" && touch "$0/remounted"'
    for mounted in ("/", "/usr", "/proc", str(scene.repository / ".git")):
        assert not succeeds_inside(scene, "sh", "-c", undo, mounted)
    redo = f'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && cd / && {undo}'
    assert succeeds_outside(scene, "unshare", "-rm", "sh", "-c", redo, target)


def test_the_kernels_settings_cannot_be_written(scene: Scene) -> None:
    """Also where root, without any capability, owns the file: `/proc` is read-only."""
    rewrite = 'value=$(cat "$0") && printf "%s" "$value" > "$0"'
    assert not succeeds_inside(scene, "sh", "-c", rewrite, "/proc/self/comm")
    assert succeeds_outside(scene, "sh", "-c", rewrite, "/proc/self/comm")
    sysctl = "/proc/sys/kernel/printk_ratelimit"
    assert not succeeds_inside(scene, "sh", "-c", rewrite, sysctl)
    assert succeeds_outside(scene, "sh", "-c", rewrite, sysctl) == (os.geteuid() == 0)


def test_secrets_of_the_machine_and_the_user_are_not_there(scene: Scene) -> None:
    """Neither the passwords, nor the user's files, nor the ledger and its key."""
    for path in (
        Path("/etc/shadow"),
        scene.user_home / "secret",
        scene.home / "ledger.db",
        scene.home / "keys" / "ledger.key",
        scene.intent.scratch,
        scene.repository / "readme.txt",
    ):
        assert not succeeds_inside(scene, "test", "-e", str(path)), path
        assert succeeds_outside(scene, "test", "-e", str(path)), path
    assert scene.inside("ls", "-A", str(scene.user_home)).out == b""
    shown = scene.inside("find", "/root", "-maxdepth", "1", "-mindepth", "1").out.splitlines()
    assert [] == [name for name in shown if not sys.base_prefix.startswith(os.fsdecode(name))]


def test_links_do_not_lead_out(scene: Scene) -> None:
    """A symbolic or hard link to a hidden file shows nothing, not even to later commands."""
    key = scene.home / "keys" / "ledger.key"
    assert succeeds_inside(scene, "ln", "-s", str(key), "soft")
    assert not succeeds_inside(scene, "cat", "soft")
    assert succeeds_outside(scene, "cat", "soft")
    assert not succeeds_inside(scene, "ln", str(key), "hard")
    assert succeeds_outside(scene, "ln", str(key), "hard")


def test_the_hosts_sockets_cannot_be_reached(scene: Scene) -> None:
    """Neither its loopback, nor a unix socket by path, nor an abstract one."""
    path = str(scene.root / "socket")
    name = f"gesta-{os.getpid()}-{id(scene)}"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as by_path,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        by_path.bind(path)
        abstract.bind("\0" + name)
        for server in (by_path, abstract):
            server.listen()
        attempts = {"tcp": str(tcp.getsockname()[1]), "path": path, "abstract": name}
        for kind, where in attempts.items():
            argv = (sys.executable, "-c", CONNECT, kind, where)
            assert not succeeds_inside(scene, *argv), kind
            assert succeeds_outside(scene, *argv), kind


def test_the_hosts_processes_are_neither_seen_nor_signalled(scene: Scene) -> None:
    """A process of the same user outside is out of sight and goes on."""
    needle = f"30{os.getpid()}.{id(scene)}"
    search = 'grep -qs "$NEEDLE" /proc/[0-9]*/cmdline'
    with subprocess.Popen(["sleep", needle]) as sleeper:
        assert not succeeds_inside(scene, "sh", "-c", search, NEEDLE=needle)
        assert succeeds_outside(scene, "sh", "-c", search, NEEDLE=needle)
        kill = ("sh", "-c", 'kill -KILL "$0"', str(sleeper.pid))
        assert not succeeds_inside(scene, *kill)
        scene.inside("sh", "-c", "trap '' TERM; kill -TERM -1")
        assert sleeper.poll() is None
        assert succeeds_outside(scene, *kill)
        assert -signal.SIGKILL == sleeper.wait()


def test_nothing_survives_the_end(scene: Scene) -> None:
    """A double fork into a session of its own outlives a shell, and not the sandbox."""
    duration = f"31{os.getpid()}.{id(scene)}"
    argv = (sys.executable, "-c", DOUBLE_FORK, duration)
    assert succeeds_inside(scene, *argv)
    assert [] == processes_with(duration)
    assert succeeds_outside(scene, *argv)
    survivors = processes_with(duration)
    for process in survivors:
        os.kill(process, signal.SIGKILL)
    assert len(survivors) == 1


def test_no_user_namespace_can_be_made_inside(scene: Scene) -> None:
    """What would give a command capabilities again is refused."""
    assert not succeeds_inside(scene, "unshare", "--user", "true")
    assert succeeds_outside(scene, "unshare", "--user", "true")
    capabilities = scene.inside("grep", "-E", "^(Cap|NoNewPrivs)", "/proc/self/status").out
    assert {b"0000000000000000", b"1"} == {line.split()[1] for line in capabilities.splitlines()}


def test_environments_of_others_cannot_be_read(scene: Scene) -> None:
    """What `/proc` shows of environments is what the command was given."""
    script = "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'"
    seen = {line.partition(b"=")[0] for line in scene.inside("sh", "-c", script).out.splitlines()}
    given = {os.fsencode(name) for name in scene.env}
    assert seen <= given | {b"PWD", b"OLDPWD", b"SHLVL", b"_"}
    assert given <= seen
    parents = 'SECRET=hidden; export SECRET; sh -c "grep -q hidden /proc/\\$PPID/environ"'
    assert succeeds_outside(scene, "sh", "-c", f"exec env SECRET=hidden sh -c '{parents}; true'")


def test_the_report_of_an_ending_cannot_be_forged(scene: Scene) -> None:
    """A command that ran cannot say that it did not: process 1 is closed to it."""
    lie = "printf 'failed executable 2\\n' > /proc/{}/fd/{}; exit 3"
    run = Run(scene.sandbox, scene.workspace)
    outcome = run(["sh", "-c", lie.format(1, 4)])
    assert not isinstance(outcome, NotStarted)
    assert code_of(outcome) == 3
    assert b"ermission denied" in run.err
    for file in ("mem", "environ", "root/etc", "cwd/etc"):
        assert not succeeds_inside(scene, "sh", "-c", f"cat /proc/1/{file} >/dev/null")
    own = "exec 4>own; " + lie.format("$$", 4)
    assert scene.outside("sh", "-c", own).returncode == 3
    assert (scene.workspace / "own").read_text() == "failed executable 2\n"
    scene.inside("sh", "-c", "kill -KILL 1")
    assert succeeds_inside(scene, "true")


def test_the_pointer_to_the_git_dir_cannot_be_changed(scene: Scene) -> None:
    """`W/.git` is what it was, whatever is tried; outside every trick works."""
    pointer = scene.workspace / ".git"
    before = pointer.read_bytes()
    for rewrite in ("echo x > .git", "rm .git", "mv .git elsewhere", "ln -sf /tmp .git"):
        assert not succeeds_inside(scene, "sh", "-c", rewrite), rewrite
        assert before == pointer.read_bytes()
        assert not pointer.is_symlink()
        assert succeeds_outside(scene, "sh", "-c", rewrite), rewrite
        assert pointer.is_symlink() or not pointer.exists() or before != pointer.read_bytes()
        pointer.unlink(missing_ok=True)
        pointer.write_bytes(before)


def test_the_git_dir_and_its_repository_can_be_read_and_not_written(scene: Scene) -> None:
    """git works inside as far as it only reads; what it would obey outside stays as it was."""
    assert scene.inside("git", "log", "--format=%s").out == b"first\n"
    assert scene.inside("git", "status", "--porcelain").out == b""
    for name in ("commondir", "HEAD", "gitdir", "../../config", "../../hooks/x"):
        path = scene.git_dir / name
        path.parent.mkdir(exist_ok=True)
        attempt = ("sh", "-c", 'echo evil >> "$0"', str(path))
        assert not succeeds_inside(scene, *attempt)
        assert not path.exists() or "evil" not in path.read_text()
        assert succeeds_outside(scene, *attempt)


TRICKS = """
git config filter.evil.clean 'touch "$CANARY"; cat'
git config core.fsmonitor 'touch "$CANARY"; false'
git config diff.external 'touch "$CANARY"; true'
mkdir -p .git/hooks .git/info
for hook in post-index-change pre-commit reference-transaction post-checkout; do
    printf '#!/bin/sh\\ntouch "$CANARY"\\n' > .git/hooks/$hook && chmod +x .git/hooks/$hook
done
echo '* filter=evil' > .gitattributes
echo '* filter=evil' > .git/info/attributes
echo more >> readme.txt
exit 0
"""


@pytest.mark.parametrize("kind", ["linked", "clone"])
def test_the_host_runs_nothing_when_it_takes_the_patch(
    tmp_path: Path, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filters, attributes, hooks and fsmonitor set inside do not run outside."""
    canary = tmp_path / "canary"
    monkeypatch.setenv("CANARY", str(canary))
    scene = Scene(tmp_path.resolve(), kind)
    trick = ("sh", "-c", TRICKS.replace("$CANARY", str(canary)))
    assert succeeds_inside(scene, *trick)
    scene.sandbox.close()
    patch = scene.git.capture(scene.intent, scene.made)
    assert patch.files == 2
    assert not canary.exists()
    # An ordinary git falls for it, once somebody could really write what was tried.
    assert succeeds_outside(scene, *trick)
    git(scene.workspace, "add", "--all")
    assert canary.exists()


def test_commits_can_be_made_in_a_clone(tmp_path: Path) -> None:
    """A clone's git directory is its own; the repository's objects are read where they are."""
    scene = Scene(tmp_path.resolve(), "clone")
    commit = "git -c user.name=A -c user.email=a@example.org commit -qam inside"
    script = f"echo more >> readme.txt && {commit} && git log --format=%s"
    assert scene.inside("sh", "-c", script).out == b"inside\nfirst\n"
    objects = str(scene.repository / ".git" / "objects" / "new")
    assert not succeeds_inside(scene, "touch", objects)
    assert succeeds_outside(scene, "touch", objects)
    scene.sandbox.close()
    assert len(scene.git.capture(scene.intent, scene.made).commits) == 1


def interpreter_for_everybody(user: tuple[str, ...], env: dict[str, str]) -> str:
    """Return an interpreter with our libraries that another user may run too."""
    for candidate in (sys.executable, os.path.realpath(sys.executable), "/usr/bin/python3"):
        argv = [*user, candidate, "-c", "import pytest, msgspec, ledger"]
        if subprocess.run(argv, cwd="/", env=env, capture_output=True, check=False).returncode == 0:
            return candidate
    raise AssertionError("no interpreter is there that an ordinary user may run")


if os.geteuid() == 0:

    def test_all_of_this_holds_for_an_ordinary_user() -> None:
        """The same attempts, made by a user who is not root, fail and succeed in the same way."""
        user = (
            *("setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups"),
            *("env", "--unset=PYTEST_XDIST_WORKER"),
        )
        # The run's own temporary directory is root's alone.
        place = tempfile.mkdtemp(prefix="gesta-ordinary-", dir="/tmp")
        os.chown(place, ORDINARY, ORDINARY)
        env = {
            "PATH": os.environ["PATH"],
            "HOME": place,
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        try:
            done = subprocess.run(
                [*user, interpreter_for_everybody(user, env), "-m", "pytest", "-q", "-x"]
                + ["-p", "no:cacheprovider", f"--basetemp={place}/t", __file__],
                cwd=ROOT,
                env=env,
                capture_output=True,
                check=False,
            )
        finally:
            shutil.rmtree(place)
        assert done.returncode == 0, done.stdout.decode()
