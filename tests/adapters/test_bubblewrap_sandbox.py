"""The bubblewrap sandbox keeps the contract of sandboxes, and shows what it says and no more."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters import open_ledger
from adapters.bubblewrap.view import Places, alternates, refusal, view_of
from adapters.bubblewrap_sandbox import BubblewrapSandbox
from adapters.supervisor.tree import processes
from ledger.isolation import Filesystem, Isolation, Limits, Network
from ledger.outcomes import Executed, NotStarted, Removed, SandboxMade, TimedOut, Unavailable
from ledger.ports import SandboxWish
from tests.contracts.process_contract import ProcessContract
from tests.contracts.sandbox_runs import ENVIRONMENT, Run, code_of


def wish_for(
    workspace: Path,
    *,
    limits: Limits | None = None,
    filesystem: Filesystem = "workspace",
    network: Network = "none",
    read_only: tuple[str, ...] = ("auto",),
    protected: tuple[str, ...] = (),
) -> SandboxWish:
    """Return a wish for one run."""
    return SandboxWish(
        home_id="0f",
        stream="00000000-0000-7000-8000-000000000000",
        ordinal=1,
        workspace=workspace,
        filesystem=filesystem,
        network=network,
        limits=limits or Limits(),
        read_only=read_only,
        protected=protected,
    )


def made(sandbox: BubblewrapSandbox, wish: SandboxWish) -> SandboxMade:
    """Create the sandbox and return what was made."""
    result = sandbox.create(wish)
    assert isinstance(result, SandboxMade), result
    return result


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
    return place


@pytest.fixture
def sandbox(workspace: Path, home: Path) -> Iterator[BubblewrapSandbox]:
    """A created sandbox."""
    sandbox = BubblewrapSandbox(home)
    made(sandbox, wish_for(workspace))
    yield sandbox
    sandbox.close()


class TestContract(ProcessContract):
    """The contract of every sandbox whose commands are processes of this machine."""

    @pytest.fixture
    def kill_sandbox(self, sandbox: BubblewrapSandbox) -> Callable[[], None]:
        """Kill the supervisor, the only child that this process has by then."""
        assert sandbox.kind == "bubblewrap"
        supervisors = [process for process, parent, _ in processes() if parent == os.getpid()]
        assert len(supervisors) == 1
        return lambda: os.kill(supervisors[0], signal.SIGKILL)

    def test_descriptors_do_not_pile_up(self, run: Run, sandbox: BubblewrapSandbox) -> None:
        """Commands of every ending leave as many descriptors open as there were."""
        run(["true"])
        before = set(os.listdir("/proc/self/fd"))
        run(["cat"], data=b"x" * 100_000)
        run(["missing"], executable="/no/such/program")
        run(["true"], cwd=Path("/no/such/directory"))
        run(["a\0b"])
        run(["sleep", "9"], time_limit_s=0.05)
        assert before == set(os.listdir("/proc/self/fd"))
        assert Removed() == sandbox.close()


@pytest.fixture
def run(sandbox: BubblewrapSandbox, workspace: Path) -> Run:
    """An execution in the sandbox."""
    return Run(sandbox, workspace)


def script_at(path: Path, text: str = "#!/bin/sh\necho here\n") -> Path:
    """Make a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_what_is_offered_is_what_is_had(workspace: Path, home: Path) -> None:
    """The isolation that is offered is the one that is made, and nothing stays behind."""
    sandbox = BubblewrapSandbox(home)
    sandbox.prepare()
    wish = wish_for(workspace, limits=Limits(memory_mb=300, processes=50, output_mb=1))
    offered = sandbox.offer(wish)
    result = made(sandbox, wish)
    sandbox.close()
    assert isinstance(offered, Isolation)
    assert offered == result.isolation
    assert ("namespace", "workspace", "none", "own", "out_of_reach") == (
        offered.boundary,
        offered.filesystem,
        offered.network,
        offered.processes,
        offered.record,
    )
    assert result.id == "bubblewrap-00000000-0000-7000-8000-000000000000-1"
    assert ("command", ("files",)) == (result.lifetime, result.persists)


def test_limits_that_are_recorded_are_effective(workspace: Path, home: Path) -> None:
    """What is said to be limited fails when it is exceeded; what is not said is not claimed."""
    sandbox = BubblewrapSandbox(home)
    had = made(sandbox, wish_for(workspace, limits=Limits(memory_mb=200, processes=12)))
    run = Run(sandbox, workspace)
    assert had.isolation.limits.memory_mb == 200
    greedy = run([sys.executable, "-c", "x = bytearray(400 << 20)"])
    assert code_of(run([sys.executable, "-c", "x = bytearray(40 << 20)"])) == 0
    run.err = b""
    assert code_of(run.shell("for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; exit 0")) == 0
    assert run.err == b""
    run.shell("for i in $(seq 40); do sleep 1 & done; exit 0")
    sandbox.close()
    assert (had.isolation.limits.processes is None) == (b"ork" not in run.err)
    assert isinstance(greedy, Executed)
    assert greedy.exit_code == 1 or greedy.killed_by_memory_limit


def test_a_signal_is_told_from_the_exit_code_that_looks_like_it(run: Run) -> None:
    """137 is an exit code and SIGKILL a signal, and 1 is not a failure of bwrap."""
    for code in (1, 126, 127, 137, 143):
        assert code == code_of(run.shell(f"exit {code}"))
    for number in (1, 2, 9, 11, 15):
        outcome = run.shell(f"kill -{number} $$")
        assert isinstance(outcome, Executed)
        assert (None, number) == (outcome.exit_code, outcome.signal)


def test_a_time_limit_asks_politely_first(run: Run) -> None:
    """SIGTERM reaches the command, and neither bwrap nor the starter dies of it."""
    script = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    assert isinstance(run.shell(script, time_limit_s=0.5), TimedOut)
    assert run.out == b"ready\nbye\n"


def test_the_temporary_directory_and_home_are_the_commands_own(run: Run, tmp_path: Path) -> None:
    """Both are empty, writable, and forgotten after the command."""
    env = {**ENVIRONMENT, "HOME": str(tmp_path.resolve() / "user")}
    script = 'ls -A "$HOME"; ls /tmp/own; echo x > "$HOME/file" && mkdir /tmp/own && echo "$HOME"'
    for _ in range(2):
        run.out = b""
        assert code_of(run(["sh", "-c", script], env=env)) == 0
        assert os.fsencode(env["HOME"]) + b"\n" == run.out
    assert not os.path.lexists(env["HOME"])


def test_with_the_hosts_network_it_is_said(workspace: Path, home: Path) -> None:
    """A policy that wants the network gets it, with the files that resolve names."""
    sandbox = BubblewrapSandbox(home)
    result = made(sandbox, wish_for(workspace, network="host"))
    run = Run(sandbox, workspace)
    run(["readlink", "/proc/self/ns/net"])
    sandbox.close()
    assert result.isolation.network == "host"
    assert os.fsencode(os.readlink("/proc/self/ns/net")) + b"\n" == run.out


def test_where_the_whole_machine_may_be_written_the_record_is_reachable(
    workspace: Path, home: Path, tmp_path: Path
) -> None:
    """`filesystem: host` shows and opens everything, and nothing better is claimed."""
    sandbox = BubblewrapSandbox(home)
    result = made(sandbox, wish_for(workspace, filesystem="host"))
    target = tmp_path / "written"
    assert code_of(Run(sandbox, workspace)(["touch", str(target)])) == 0
    sandbox.close()
    assert target.exists()
    assert ("host", "none", "reachable") == (
        result.isolation.filesystem,
        result.isolation.network,
        result.isolation.record,
    )


def test_directories_of_the_path_are_shown_with_what_they_need(
    sandbox: BubblewrapSandbox, workspace: Path, tmp_path: Path
) -> None:
    """A tool, a virtual environment and a version manager's shims work from where they are."""
    root = tmp_path.resolve()
    script_at(root / "tools" / "tool")
    (root / "env").mkdir()
    (root / "env" / "pyvenv.cfg").write_text(f"home = {root}/python/bin\n")
    script_at(root / "python" / "bin" / "python3")
    (root / "env" / "bin").mkdir()
    (root / "env" / "bin" / "python3").symlink_to(root / "python" / "bin" / "python3")
    script_at(root / "manager" / "shims" / "shim", f"#!/bin/sh\nexec {root}/manager/real\n")
    script_at(root / "manager" / "real")
    (root / "alias").symlink_to(root / "tools")
    names = {"tool": "alias", "python3": "env/bin", "shim": "manager/shims"}
    for name, directory in names.items():
        env = {"PATH": f"{root / directory}:/usr/bin:/bin"}
        found = sandbox.resolve(name, workspace, env)
        assert str((root / directory / name).resolve()) == found
        run = Run(sandbox, workspace)
        assert code_of(run([name], executable=found, env=env)) == 0
        assert run.out == b"here\n"
        assert code_of(run.shell(f"{name}; touch {root}/{directory}/x", env=env)) == 1


def test_what_is_not_shown_is_not_found(
    sandbox: BubblewrapSandbox, workspace: Path, tmp_path: Path
) -> None:
    """A program outside the view does not resolve, by name, by path or through a link."""
    hidden = script_at(tmp_path.resolve() / "hidden" / "tool")
    (workspace / "link").symlink_to(hidden)
    assert sandbox.resolve(str(hidden), workspace, ENVIRONMENT) is None
    assert sandbox.resolve("./link", workspace, ENVIRONMENT) is None
    outcome = Run(sandbox, workspace)(["tool"], executable=str(hidden))
    assert isinstance(outcome, NotStarted)
    assert outcome.reason == "not_found"
    own = script_at(workspace / "bin" / "tool")
    assert str(own) == sandbox.resolve("tool", workspace, {"PATH": f"{own.parent}"})


def test_without_auto_the_path_is_not_shown(workspace: Path, home: Path, tmp_path: Path) -> None:
    """Only what `read_only` names is there, beside the system's own programs."""
    named = script_at(tmp_path.resolve() / "named" / "one").parent
    other = script_at(tmp_path.resolve() / "other" / "two").parent
    sandbox = BubblewrapSandbox(home)
    made(sandbox, wish_for(workspace, read_only=(str(named), str(tmp_path / "missing"))))
    env = {"PATH": f"{named}:{other}:/usr/bin"}
    assert sandbox.resolve("one", workspace, env) is not None
    assert sandbox.resolve("two", workspace, env) is None
    assert sandbox.resolve("env", workspace, env) is not None
    sandbox.close()


def test_no_entry_shows_the_ledger_or_a_home_directory(
    workspace: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such an entry of the policy is refused and said; such an entry of PATH is left out."""
    user = tmp_path.resolve() / "user"
    (user / "inside").mkdir(parents=True)
    (home / "keys").mkdir()
    link = tmp_path.resolve() / "link"
    link.symlink_to(user)
    monkeypatch.setenv("HOME", str(user))
    for entry in ("/", "/etc", "/root", "/proc/self", user, link, user.parent, home, home / "keys"):
        sandbox = BubblewrapSandbox(home)
        offer = sandbox.offer(wish_for(workspace, read_only=("auto", str(entry))))
        sandbox.close()
        assert isinstance(offer, Unavailable), entry
        assert offer.reason == "not_permitted"
        assert str(entry) in offer.message
        view = view_of(
            Places(workspace=workspace, hidden=home, read_only=("auto",)), {"PATH": str(entry)}
        )
        assert not view.shows(str(Path(entry).resolve() / "file"))
    assert refusal(str(user / "inside"), Places(hidden=home), {}) is None


def test_a_home_among_the_systems_programs_is_covered(workspace: Path) -> None:
    """Whatever is shown, the ledger's home below it is not."""
    view = view_of(Places(workspace=workspace, hidden=Path("/usr/share")), {})
    assert view.masked == ("/usr/share",)
    assert view.shows("/usr/bin/env")
    assert not view.shows("/usr/share/keys/key")


def test_protected_paths_cannot_be_changed(workspace: Path, home: Path, tmp_path: Path) -> None:
    """A file and a directory are read-only where they are; a link leads nowhere else."""
    (workspace / "kept").mkdir()
    (workspace / "kept" / "file").write_text("as it was\n")
    (workspace / "fixed").write_text("as it was\n")
    secret = tmp_path / "secret"
    secret.write_text("hidden\n")
    (workspace / "lead").symlink_to(secret)
    sandbox = BubblewrapSandbox(home)
    made(sandbox, wish_for(workspace, protected=("kept", "fixed", "lead", "missing", ".")))
    run = Run(sandbox, workspace)
    for attempt in ("echo x > fixed", "rm fixed", "mv kept moved", "echo x > kept/file"):
        assert code_of(run.shell(attempt)) != 0
    assert code_of(run.shell("cat lead")) == 1
    assert code_of(run.shell("cat fixed kept/file && echo x > free")) == 0
    sandbox.close()
    assert (workspace / "kept" / "file").read_text() == "as it was\n"


def test_a_protected_path_behind_a_new_link_shows_nothing(
    workspace: Path, home: Path, tmp_path: Path
) -> None:
    """A command that moves the directory and puts a link in its place gains nothing by it."""
    secrets = tmp_path.resolve() / "secrets"
    secrets.mkdir()
    (secrets / "file").write_text("hidden\n")
    (workspace / "kept").mkdir()
    (workspace / "kept" / "file").write_text("as it was\n")
    sandbox = BubblewrapSandbox(home)
    made(sandbox, wish_for(workspace, protected=("kept/file",)))
    run = Run(sandbox, workspace)
    assert code_of(run.shell(f"mv kept moved && ln -s {secrets} kept")) == 0
    assert code_of(run.shell("cat kept/file")) == 1
    sandbox.close()
    assert (workspace / "kept" / "file").read_text() == "hidden\n"


def test_a_pointer_that_became_a_link_shows_nothing(
    workspace: Path, home: Path, tmp_path: Path
) -> None:
    """A `.git` that an earlier command, elsewhere, made a link to a secret stays a dead link."""
    secret = tmp_path / "secret"
    secret.write_text("hidden\n")
    (workspace / ".git").symlink_to(secret)
    sandbox = BubblewrapSandbox(home)
    made(sandbox, wish_for(workspace))
    run = Run(sandbox, workspace)
    assert code_of(run.shell("cat .git")) == 1
    sandbox.close()
    assert run.out == b""


def test_borrowed_objects_are_followed_as_far_as_they_go(tmp_path: Path) -> None:
    """The stores that a repository borrows from are all named once, also in a circle."""
    first, second, third = (tmp_path / name / "objects" for name in ("a", "b", "c"))
    for store, borrowed in ((first, f"# mine\n{second}\n"), (second, "../../c/objects\n")):
        (store / "info").mkdir(parents=True)
        (store / "info" / "alternates").write_text(borrowed)
    (third / "info").mkdir(parents=True)
    (third / "info" / "alternates").write_text(f"{first}\n")
    assert [str(second), str(third)] == list(alternates(tmp_path / "a"))
    assert [str(second), str(third)] == list(alternates(first))


def test_a_missing_bwrap_is_said(workspace: Path, tmp_path: Path) -> None:
    """Without the program there is no sandbox, and the reason says what to install."""
    offer = BubblewrapSandbox(None, {"PATH": str(tmp_path)}).offer(wish_for(workspace))
    assert isinstance(offer, Unavailable)
    assert offer.reason == "not_installed"
    assert "bubblewrap" in offer.message


def test_a_bwrap_that_may_not_make_namespaces_is_said(workspace: Path, tmp_path: Path) -> None:
    """What bwrap says of its failure is the reason, and it is not asked twice."""
    words = "bwrap: setting up uid map: Permission denied"
    program = script_at(
        tmp_path / "bin" / "bwrap",
        f"#!/bin/sh\necho x >> {tmp_path}/asked; echo '{words}' >&2; exit 1\n",
    )
    sandbox = BubblewrapSandbox(None, {"PATH": str(program.parent)})
    offers = [sandbox.offer(wish_for(workspace)) for _ in range(2)]
    created = sandbox.create(wish_for(workspace))
    sandbox.close()
    assert isinstance(created, Unavailable)
    assert [created, created] == offers
    assert created.reason == "not_permitted"
    assert "setting up uid map: Permission denied" in created.message
    assert (tmp_path / "asked").read_text() == "x\nx\n"


def test_a_run_in_a_worktree_has_git_and_not_the_ledger(
    repository: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole walk: git reads inside, and the ledger is out of reach."""
    monkeypatch.chdir(repository)
    monkeypatch.setenv("GESTA_HOME", str(home))
    with open_ledger() as ledger, ledger.run(task="T-1", profile="bubblewrap") as run:
        log = run.execute(["git", "log", "--format=%s"])
        told = run.execute(["sh", "-c", f"env | grep GESTA_HOME; test -e {home}/ledger.db"])
        changed = run.execute_shell("git status --porcelain && echo more >> README.md")
        status = run.execute(["git", "status", "--porcelain"])
        had = run.state.had
    assert (0, b"add a program\nbegin\n") == (log.exit_code, log.stdout)
    assert (1, b"") == (told.exit_code, told.stdout)
    assert (0, b"") == (changed.exit_code, changed.stdout)
    assert status.stdout == b" M README.md\n"
    assert had is not None
    assert ("none", "out_of_reach") == (had.network, had.record)
    assert (home / "ledger.db").exists()
