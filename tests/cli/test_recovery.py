"""`gesta recover` and `gesta gc` as processes, and what is recovered before another run."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from pathlib import Path

from adapters import open_ledger
from ledger import events as e
from ledger.ids import new_stream
from tests.cli.gesta import gesta, gesta_within, start


def kill_at_work(repository: Path, script: str = "echo made > made.txt; echo ready; sleep 300"):
    """Kill a `gesta run` while its command runs; return nothing but its death."""
    process = start("run", "--profile", "local", "--", "sh", "-c", script, cwd=repository)
    assert process.stdout is not None
    assert b"ready\n" == process.stdout.readline()
    process.kill()
    process.communicate(timeout=60)


def worktrees(repository: Path) -> int:
    """Return how many worktrees git lists."""
    listed = subprocess.run(
        ["git", "-C", str(repository), "worktree", "list"], check=True, capture_output=True
    )
    return len(listed.stdout.splitlines())


def test_a_killed_run_is_recovered_with_its_work(home: Path, repository: Path) -> None:
    """Named by a dry run, ended by the next; its patch is there and its worktree is not."""
    kill_at_work(repository)
    (named,) = gesta("recover", "--dry-run", "--json", cwd=repository).json
    assert ("dead", "running", None) == (named["need"], named["status"], named["trouble"])
    assert 2 == worktrees(repository)
    told = gesta("recover", cwd=repository)
    assert (0, 1) == (told.code, len(told.out.splitlines()))
    expected = "its process died; it is abandoned, clean; how c1 ended is not known"
    assert told.out.decode().strip().endswith(expected)
    assert b"+made" in gesta("diff", cwd=repository).out
    assert 1 == worktrees(repository)
    again = gesta("recover", cwd=repository)
    assert (0, b"", "gesta: no run needs recovery\n") == (again.code, again.out, again.err)


def test_the_next_run_recovers_first_and_says_so(home: Path, repository: Path) -> None:
    """One line, and then it does what it was asked for."""
    kill_at_work(repository)
    ended = gesta("run", "--profile", "local", "--", "echo", "next", cwd=repository)
    assert (0, b"next\n") == (ended.code, ended.out)
    assert 1 == ended.err.count("its process died; it is abandoned, clean")
    rows = gesta("runs", "--json", cwd=repository).json
    assert ["succeeded", "abandoned"] == [row["status"] for row in rows]


def test_a_recovery_that_fails_does_not_stop_the_next_run(home: Path, repository: Path) -> None:
    """What stands in its way is a line of warning, and the dead run waits."""
    kill_at_work(repository)
    locks = home / "locks"
    (dead,) = locks.iterdir()
    dead.unlink()
    # A link where a file should be: it is not followed, and the lock cannot be had.
    dead.symlink_to(home / "elsewhere")
    ended = gesta("run", "--profile", "local", "--", "echo", "next", cwd=repository)
    assert (0, b"next\n") == (ended.code, ended.out)
    assert "cannot" in ended.err
    dead.unlink()
    assert 0 == gesta("recover", cwd=repository).code
    assert 1 == worktrees(repository)


def test_a_live_run_is_not_recovered(home: Path, repository: Path) -> None:
    """Whatever `recover`, `gc` and another run do meanwhile, it ends as it would have."""
    script = "echo ready; read line; exit 3"
    process = start("run", "--profile", "local", "--", "sh", "-c", script, cwd=repository)
    assert process.stdout is not None
    assert b"ready\n" == process.stdout.readline()
    assert b"[]\n" == gesta("recover", "--json", cwd=repository).out
    assert {"dry_run": False, "recovered": [], "drift": []} == gesta(
        "gc", "--json", cwd=repository
    ).json
    assert 0 == gesta("run", "--profile", "local", "--", "true", cwd=repository).code
    process.communicate(b"go on\n", timeout=60)
    assert 3 == process.returncode
    assert {"failed", "succeeded"} == {
        row["status"] for row in gesta("runs", "--json", cwd=repository).json
    }


def test_what_survived_a_kill_of_everything_is_ended(
    home: Path, repository: Path, tmp_path: Path
) -> None:
    """Supervisor and gesta killed at once: what had left its session is found, and ended."""
    alive, number = tmp_path / "alive", tmp_path / "number"
    os.mkfifo(alive)
    reader = os.open(alive, os.O_RDONLY | os.O_NONBLOCK)
    script = (
        f"exec 3>{alive}; setsid sh -c 'echo $$ > {number}; exec sleep 300' & "
        f"while [ ! -s {number} ]; do sleep 0.05; done; echo ready; sleep 300"
    )
    (home / "profiles").mkdir(parents=True)
    home.chmod(0o700)
    process = start("run", "--profile", "local", "--", "sh", "-c", script, cwd=repository)
    assert process.stdout is not None
    assert b"ready\n" == process.stdout.readline()
    # First the supervisor is stopped, so that it cannot tidy up when we die.
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for child in map(int, children):
        os.kill(child, signal.SIGSTOP)
    process.kill()
    process.communicate(timeout=60)
    for child in map(int, children):
        os.kill(child, signal.SIGKILL)
    told = gesta("recover", cwd=repository)
    assert (0, True) == (told.code, b"abandoned, clean" in told.out), told
    os.set_blocking(reader, True)
    assert b"" == os.read(reader, 1)
    os.close(reader)


def test_a_process_that_is_not_shown_to_be_ours_lives(home: Path, repository: Path) -> None:
    """One that carries a run's stream and has a parent that does not is somebody else's."""
    kill_at_work(repository)
    with open_ledger(home) as ledger:
        stream = ledger.find()
    environment = {**os.environ, "GESTA_RUN": stream}
    with subprocess.Popen(["sleep", "300"], env=environment) as bystander:
        assert 0 == gesta("recover", cwd=repository).code
        assert bystander.poll() is None
        bystander.kill()


def test_an_idle_detached_run_is_found(home: Path, repository: Path) -> None:
    """One that nobody comes back to within its policy's limit is abandoned."""
    profiles = home / "profiles"
    profiles.mkdir(parents=True)
    home.chmod(0o700)
    text = "sandbox: {type: local, network: true, filesystem: host, may_lose: [processes, limits]}"
    (profiles / "brief.yaml").write_text(f"{text}\nrun: {{idle_limit: 1}}\n")
    assert 0 == gesta("open", "--profile", "brief", "--task", "T", cwd=repository).code
    with open_ledger(home) as ledger:
        last = ledger.events()[-1].recorded
    # The limit is a second of the clock that recorded it.
    while time.time_ns() // 1000 <= last + 1_000_000:
        time.sleep(0.05)
    (row,) = gesta("recover", "--json", cwd=repository).json
    assert ("idle", "abandoned", "clean") == (row["need"], row["status"], row["cleanliness"])


def test_gc_takes_away_what_belongs_to_no_run(home: Path, repository: Path) -> None:
    """A scratch directory, a blob and a draft of nobody's are named, then gone, on record."""
    assert 0 == gesta("run", "--profile", "local", "--", "true", cwd=repository).code
    with open_ledger(home) as ledger:
        stream = new_stream(ledger.hands.clock, ledger.hands.randomness)
    orphan = home / "workspaces" / "T" / "runs" / "R" / f"{stream}.scratch"
    orphan.mkdir(parents=True)
    blob = home / "blobs" / "sha256" / "ab" / ("c" * 62)
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"nobody's")
    (home / "blobs" / ".draft-0").write_bytes(b"unfinished")
    named = gesta("gc", "--dry-run", "--json", cwd=repository).json
    assert ["worktree", "blob", "draft"] == [drift["what"] for drift in named["drift"]]
    assert orphan.exists()
    done = gesta("gc", "--json", cwd=repository)
    assert (0, ["removed"] * 3) == (done.code, [drift["done"] for drift in done.json["drift"]])
    assert not orphan.exists()
    assert not blob.exists()
    assert not (home / "workspaces" / "T").exists()
    again = gesta("gc", cwd=repository)
    assert (0, "gesta: everything is as the ledger has it\n") == (again.code, again.err)
    with open_ledger(home) as ledger:
        told = [record.event for record in ledger.journal.history(ledger.journal.store.ledger_id)]
    kinds = [type(event) for event in told]
    expected = [e.LedgerCreated, *[e.OrphanFound, e.OrphanRemoved] * 2]
    assert expected == kinds


def test_gc_leaves_what_is_not_shown_to_be_ours(home: Path, repository: Path) -> None:
    """A directory with a run's name and somebody's files stays, and the exit code says so."""
    assert 0 == gesta("run", "--profile", "local", "--", "true", cwd=repository).code
    with open_ledger(home) as ledger:
        root = ledger.workspace()
    root.mkdir(parents=True)
    (root / "precious").write_text("mine\n")
    done = gesta("gc", "--json", cwd=repository)
    (drift,) = done.json["drift"]
    assert (1, "left") == (done.code, drift["done"])
    assert "nothing was deleted" in drift["trouble"]
    assert (root / "precious").exists()


def test_gc_removes_a_kept_worktree_when_told(home: Path, repository: Path) -> None:
    """What the policy keeps stays until somebody says otherwise; then it is clean, on record."""
    profiles = home / "profiles"
    profiles.mkdir(parents=True)
    home.chmod(0o700)
    text = "sandbox: {type: local, network: true, filesystem: host, may_lose: [processes, limits]}"
    (profiles / "keep.yaml").write_text(f"{text}\nworktree: {{cleanup: never}}\n")
    assert 0 == gesta("run", "--profile", "keep", "--", "true", cwd=repository).code
    assert [] == gesta("gc", "--json", cwd=repository).json["drift"]
    assert 2 == worktrees(repository)
    (drift,) = gesta("gc", "--kept", "--json", cwd=repository).json["drift"]
    assert "removed" == drift["done"]
    assert 1 == worktrees(repository)
    with open_ledger(home) as ledger:
        assert "clean" == ledger.state().cleanliness
        assert isinstance(ledger.events()[-1].event, e.RunSealed)


def test_a_store_that_takes_no_more_keeps_the_outcome_beside_it(
    home: Path, repository: Path
) -> None:
    """The disk takes nothing more while the command runs: one line says where its outcome is."""
    process = start(
        "run", "--profile", "local", "--", "sh", "-c", "echo ready; read line; exit 3",
        cwd=repository,
    )  # fmt: skip
    assert process.stdout is not None
    assert b"ready\n" == process.stdout.readline()
    # Every file of the store is longer already; one that is begun anew has this much room.
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
    _, errors = process.communicate(b"go on\n", timeout=60)
    assert 125 == process.returncode
    (line,) = errors.decode().splitlines()
    assert "how c1 ended is kept in" in line
    assert line.endswith("`gesta recover` records it")
    (kept,) = (home / "spool").glob("*.json")
    assert 0o600 == kept.stat().st_mode & 0o777
    assert 2 == worktrees(repository)
    told = gesta("recover", cwd=repository)
    assert (0, 1) == (told.code, len(told.out.splitlines()))
    (command,) = gesta("show", "--json", cwd=repository).json["commands"]
    assert (3, "failed", False) == (command["exit_code"], command["status"], command["late"])
    assert b"ready\n" == gesta("output", cwd=repository).out
    assert [] == list((home / "spool").iterdir())
    assert 1 == worktrees(repository)


def test_a_ledger_that_cannot_be_written_starts_no_command(
    home: Path, repository: Path, tmp_path: Path
) -> None:
    """Without its intent on record nothing runs; one line says why."""
    canary = tmp_path / "canary"
    assert 0 == gesta("run", "--profile", "local", "--", "true", cwd=repository).code
    words = ("run", "--profile", "local", "--", "touch", str(canary))
    done = gesta_within("-f 16", *words, cwd=repository)
    assert (125, 1) == (done.code, len(done.err.splitlines()))
    assert done.err.startswith("gesta: cannot ")
    assert not canary.exists()
    assert 0 == gesta("recover", cwd=repository).code
    assert 1 == worktrees(repository)
