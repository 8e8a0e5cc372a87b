"""Kills the command line at random points and says what became of the ledger.

Rule 1: what a victim was told is kept must be there; what is there a victim must have asked for.
Rule 2: whoever is killed, the ledger opens, and its tree is the one that its rows have.
Rule 3: after `gesta recover` every run has ended, or is an open one that nobody was killed in, and
nothing is left over of those that ended.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from adapters import open_ledger
from adapters.process_marks import all_processes
from ledger import events as e
from ledger.ledger import Ledger
from ledger.merkle import TreeHead, extend
from ledger.reconcile import reconcile
from ledger.recovery import recover
from ledger.run import Phase, Run
from ledger.sealing import leaf_of
from ledger.store import Row

ROOT = Path(__file__).parents[2]
# Read once: the tests' own fixtures take such variables away.
KILLS = int(os.environ.get("GESTA_FAULT_KILLS", "200"))
IS_LONG = KILLS >= 1000
_AT_ONCE = 4
# A run of one command says this much; between two words it makes a worktree, or runs a command.
_MOST_SAID = 24
_LONGEST_S = (0.001, 0.01, 0.2)
_PROFILE = """
sandbox: {type: local, network: true, filesystem: host, may_lose: [processes, limits]}
worktree: {fallback: true, sync: all, kind: %s}
run: {idle_limit: 3600}
artifacts: ["*.artifact"]
"""
_WORK = (
    "echo {number} >> {canary}; echo made > made.txt; echo kept > a.artifact; exit {code}",
    "echo {number} >> {canary}; head -c 200000 /dev/urandom | od; exit {code}",
    "echo {number} >> {canary}; git commit -q --allow-empty -m x; sleep 0.1; exit {code}",
    "echo {number} >> {canary}; (setsid sleep 60 &) ; sleep 0.05; exit {code}",
)


class Plan(msgspec.Struct, frozen=True):
    """
    What one victim does, and when it is killed: so long after its witness has said so much.

    With *group* its whole process group is.
    """

    arguments: tuple[str, ...]
    number: int
    code: int
    said: int
    delay_s: float
    group: bool


class Witnessed(msgspec.Struct):
    """What a victim asked for and what it was told, by leaf, and whether it was killed."""

    tried: set[str]
    told: set[str]
    killed: bool
    code: int


class Server:
    """A process that forks one victim after the other, in *directory* with *environment*."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self._socket, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.victim", str(theirs.fileno())],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self._answers = self._socket.makefile("rb")

    def begin(self, arguments: Sequence[str], pipe: int) -> int:
        """Fork a victim that writes to *pipe*; return its process id."""
        socket.send_fds(self._socket, [json.dumps(list(arguments)).encode()], [pipe])
        return int(self._answers.readline())

    def end(self) -> int:
        """Wait for the victim's end; return its exit code, or minus the signal."""
        return int(self._answers.readline())

    def close(self) -> None:
        """End it."""
        self._answers.close()
        self._socket.close()
        self._process.wait()


def _witnessed(lines: Sequence[bytes], code: int) -> Witnessed:
    said = [line.decode().split() for line in lines]
    by_word = {word: {leaf for what, leaf in said if what == word} for word in ("try", "ack")}
    return Witnessed(by_word["try"], by_word["ack"], code == -signal.SIGKILL, code)


class Harness:
    """A home and a repository in *directory*, and what was seen so far; *seed* decides the rest."""

    def __init__(self, directory: Path, seed: int) -> None:
        self._random = random.Random(seed)
        directory.mkdir(parents=True, exist_ok=True)
        self.home = directory / "home"
        self.repository = directory / "repository"
        self.canary = directory / "canary"
        self.canary.touch()
        self.tried: set[str] = set()
        self.told: set[str] = set()
        self.kills = 0
        self.lost: set[str] = set()
        self.invented: set[str] = set()
        self._own: set[str] = set()
        self.mismatches = 0
        self.recovery_s: list[float] = []
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("GESTA_")},
            "GESTA_HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@example.org",
        }
        self._numbers = itertools.count(1)
        self._plans: dict[str, Plan] = {}
        self._prepare()
        self._servers: queue.Queue[Server] = queue.Queue()
        for _ in range(_AT_ONCE):
            self._servers.put(Server(self.repository, self.environment))

    def close(self) -> None:
        """End the servers."""
        while not self._servers.empty():
            self._servers.get().close()

    def _prepare(self) -> None:
        profiles = self.home / "profiles"
        profiles.mkdir(parents=True)
        self.home.chmod(0o700)
        for kind in ("linked", "clone"):
            (profiles / f"{kind}.yaml").write_text(_PROFILE % kind)
        self.repository.mkdir()
        (self.repository / "file.txt").write_text("text\n")
        for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "begin"]):
            subprocess.run(
                ["git", "-C", str(self.repository), *arguments], check=True, env=self.environment
            )
        (self.repository / "uncommitted.txt").write_text("not committed\n")

    # ---- one round: strike, recover, look ----

    def round(self) -> None:
        """Kill some victims that work at the same time, recover, and check everything."""
        with self.opened() as ledger:
            runs = [self._open(ledger)]
            # Nobody else is at work now: what no victim had asked for is ours.
            self._own |= {row.leaf.hex() for row in whole_log(ledger)} - self.tried
        plans = [self._plan(runs) for _ in range(_AT_ONCE)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            seen = list(pool.map(self._strike, plans))
        for one in seen:
            self.tried |= one.tried
            self.told |= one.told
            self.kills += one.killed
        self._recover()
        self._check(plans)

    @contextlib.contextmanager
    def opened(self) -> Iterator[Ledger]:
        """Open the ledger in this process; what is recorded by it is no victim's."""
        with open_ledger(environment=self.environment) as ledger:
            yield ledger

    def _open(self, ledger: Ledger) -> str:
        name = f"T/D-{next(self._numbers)}"
        run = ledger.open(
            task="T", run=name.partition("/")[2], profile="linked", directory=self.repository
        )
        assert run.stream
        return name

    def _plan(self, runs: Sequence[str]) -> Plan:
        choose = self._random
        number, code = next(self._numbers), choose.choice((0, 0, 3))
        work = choose.choice(_WORK).format(number=number, canary=self.canary, code=code)
        profile = choose.choice(("linked", "linked", "clone"))
        run = ("run", "--task", "T", "--run", f"R-{number}", "--profile", profile)
        command = ("--", "sh", "-c", work)
        arguments = choose.choices(
            (
                (*run, *command),
                (*run, "--no-worktree", *command),
                ("exec", choose.choice(runs), *command),
                ("close", choose.choice(runs)),
                ("open", "--task", "T", "--run", f"O-{number}", "--profile", profile),
                ("recover",),
                ("gc",),
            ),
            weights=(10, 2, 3, 2, 2, 2, 1),
        )[0]
        plan = Plan(
            arguments,
            number,
            code,
            choose.randint(0, _MOST_SAID),
            choose.uniform(0, choose.choice(_LONGEST_S)),
            choose.random() < 0.3,
        )
        self._plans[f"R-{number}"] = plan
        return plan

    def _strike(self, plan: Plan) -> Witnessed:
        server = self._servers.get()
        readable, writable = os.pipe()
        try:
            child = server.begin(plan.arguments, writable)
            os.close(writable)
            with open(readable, "rb") as pipe:
                heard = list(itertools.islice(pipe, plan.said))
                # This is the random point; nothing is waited for.
                time.sleep(plan.delay_s)
                with contextlib.suppress(ProcessLookupError):
                    (os.killpg if plan.group else os.kill)(child, signal.SIGKILL)
                code = server.end()
                heard += pipe.readlines()
        finally:
            self._servers.put(server)
        return _witnessed(heard, code)

    def _recover(self) -> None:
        """Run `gesta recover` to its end, and note how long it took."""
        readable, writable = os.pipe()
        server = self._servers.get()
        try:
            began = time.monotonic()
            server.begin(("recover",), writable)
            os.close(writable)
            code = server.end()
            self.recovery_s.append(time.monotonic() - began)
        finally:
            self._servers.put(server)
        with open(readable, "rb") as pipe:
            seen = _witnessed(pipe.readlines(), code)
        self.tried |= seen.tried
        self.told |= seen.told
        assert 0 == code, f"recover ended with {code}"

    # ---- what must hold ----

    def _check(self, plans: Sequence[Plan]) -> None:
        with self.opened() as ledger:
            rows = whole_log(ledger)
            self._check_log(ledger, rows)
            runs = {
                row.stream: ledger.journal.load(row.stream)
                for row in rows
                if row.topic == "run.opened.1"
            }
            for stream, run in runs.items():
                self._check_run(ledger, stream, run)
            self._check_canaries(ledger, plans)

    def _check_log(self, ledger: Ledger, rows: Sequence[Row]) -> None:
        there = {row.leaf.hex() for row in rows}
        self.lost |= self.told - there
        self.invented |= there - self.tried - self._own
        leaves = [leaf_of(row.stream, row.version, row.topic, row.facts) for row in rows]
        intact = (
            [row.position for row in rows] == list(range(len(rows)))
            and leaves == [row.leaf for row in rows]
            and extend(TreeHead(0, ()), leaves) == ledger.journal.store.tree_head()
        )
        self.mismatches += not intact

    def _check_run(self, ledger: Ledger, stream: str, run: Run) -> None:
        name = f"{run.task}/{run.run}"
        if run.mode == "held" or run.phase is Phase.ENDED:
            assert run.is_settled, f"{name} is {run.phase}, {run.cleanliness}"
        if run.mode == "held":
            assert run.status in ("abandoned", "succeeded", "failed"), f"{name} is {run.status}"
        plan = self._plans.get(run.run)
        for record in ledger.journal.history(stream) if plan else ():
            if isinstance(record.event, e.CommandExecuted):
                assert plan is not None
                assert record.event.exit_code == plan.code, f"{name} has another's outcome"

    def _check_canaries(self, ledger: Ledger, plans: Sequence[Plan]) -> None:
        """Whatever a command did was requested before."""
        ran = set(self.canary.read_text().split())
        for plan in plans:
            if str(plan.number) in ran and plan.arguments[0] == "run":
                state = ledger.state(f"T/R-{plan.number}")
                assert state.commands == 1, f"R-{plan.number} ran a command that is not on record"

    def finish(self) -> None:
        """Close what is open still, collect, and assert that nothing is left over of anything."""
        with self.opened() as ledger:
            for record in list(ledger.journal.read(topics=["run.opened.1"])):
                if ledger.journal.load(record.stream).phase is not Phase.ENDED:
                    with ledger.resume(record.stream) as active:
                        active.close()
            hands, who = ledger.hands, ledger.provenance(None)
            assert [] == [one for one in recover(hands, who, thorough=True) if one.trouble]
            drifts = list(reconcile(hands, who, act=True))
            assert [] == [drift for drift in drifts if drift.what not in ("blob", "draft")], drifts
            assert [] == list(reconcile(hands, who, act=True))
            rows = whole_log(ledger)
            self._own |= {row.leaf.hex() for row in rows} - self.tried
            self._check_log(ledger, rows)
        self._check_nothing_is_left()

    def _check_nothing_is_left(self) -> None:
        listed = subprocess.run(
            ["git", "-C", str(self.repository), "worktree", "list"],
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        assert 1 == len(listed.splitlines()), listed
        assert not list((self.repository / ".git").rglob("*.lock"))
        left = [path for path in (self.home / "workspaces").rglob("*") if not path.is_dir()]
        # A run that has ended has its journal there, and nothing else.
        over = [str(path) for path in left if path.parts[-2:] != ("journal", "events.jsonl")]
        assert [] == over
        for name in ("locks", "spool"):
            assert [] == [path.name for path in (self.home / name).iterdir()], name
        assert [] == list((self.home / "blobs").glob(".draft-*"))
        assert [] == self._processes()

    def _processes(self) -> list[str]:
        """Return the processes that are, or descend from, a command of this home's."""
        home, run = f"GESTA_HOME={self.home}".encode(), b"\0GESTA_RUN="
        found = []
        for process in all_processes():
            with contextlib.suppress(OSError):
                environ = Path(f"/proc/{process.pid}/environ").read_bytes()
                if home in environ.split(b"\0") and run in b"\0" + environ:
                    found.append(Path(f"/proc/{process.pid}/cmdline").read_text())
        return found


def whole_log(ledger: Ledger) -> list[Row]:
    """Return every row of the ledger."""
    rows: list[Row] = []
    while page := ledger.journal.store.page(after=rows[-1].position if rows else -1, limit=5000):
        rows += page
    return rows
