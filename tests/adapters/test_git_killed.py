"""What a process that was killed leaves of a workspace is found by its name, and taken away."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from pathlib import Path

import pytest

from adapters.free_space import free_bytes
from adapters.git.kept_locks import kept_locks
from adapters.git.marker import Marker, write_marker
from adapters.git.occupation import occupied
from adapters.git_worktree import GitWorkspace
from adapters.plain_directory import PlainDirectory
from ledger.outcomes import Removed, WorktreeMade
from ledger.ports import Workspace, WorktreeIntent

STREAM = "01a21100-d584-7ff1-9a7a-48a59a36635f"


@pytest.fixture
def intent(tmp_path: Path, repository: Path) -> WorktreeIntent:
    """The intent of a worktree that is not there."""
    run = tmp_path / "runs" / "R-1"
    return WorktreeIntent(
        path=run / STREAM,
        scratch=run / f"{STREAM}.scratch",
        source=repository,
        kind="linked",
        sync="all",
    )


def begun(intent: WorktreeIntent, kind: str = "linked") -> Marker:
    """Return the marker of a workspace in the making."""
    common_dir = str(intent.source / ".git")
    return Marker(kind=kind, path=str(intent.path), common_dir=common_dir)  # type: ignore[arg-type]


def check_nothing_is_left(intent: WorktreeIntent) -> None:
    """Assert that neither workspace nor scratch nor registration is there."""
    assert not os.path.lexists(intent.path)
    assert not os.path.lexists(intent.scratch)
    assert not os.path.lexists(intent.source / ".git" / "worktrees" / STREAM)


@pytest.mark.parametrize("hand", [GitWorkspace(), PlainDirectory(Path("/nowhere"))])
@pytest.mark.parametrize("half", [False, True])
def test_a_scratch_directory_without_its_marker_goes(
    intent: WorktreeIntent, hand: Workspace, half: bool
) -> None:
    """Killed between making it and writing the marker, or while writing it."""
    intent.scratch.mkdir(parents=True)
    if half:
        (intent.scratch / "workspace.json.new").write_bytes(b'{"ki')
    assert Removed() == hand.clear(intent)
    check_nothing_is_left(intent)


def test_a_scratch_directory_that_holds_something_unknown_stays(intent: WorktreeIntent) -> None:
    """Without a marker only an empty one is known to be ours."""
    intent.scratch.mkdir(parents=True)
    (intent.scratch / "precious").touch()
    assert Removed() == GitWorkspace().clear(intent)
    assert (intent.scratch / "precious").exists()


@pytest.mark.parametrize("kind", ["linked", "clone", "directory"])
def test_a_workspace_that_was_just_made_goes(intent: WorktreeIntent, kind: str) -> None:
    """Killed between making the directory and noting which one it is."""
    write_marker(intent.scratch, begun(intent, kind))
    intent.path.mkdir(parents=True)
    hand = PlainDirectory(Path("/nowhere")) if kind == "directory" else GitWorkspace()
    assert Removed() == hand.clear(intent)
    check_nothing_is_left(intent)


def test_a_workspace_that_holds_something_unknown_stays(intent: WorktreeIntent) -> None:
    """Not empty, and not noted which one it is: it is not shown to be ours."""
    write_marker(intent.scratch, begun(intent, "directory"))
    intent.path.mkdir(parents=True)
    (intent.path / "precious").touch()
    assert Removed() != PlainDirectory(Path("/nowhere")).clear(intent)
    assert (intent.path / "precious").exists()


def test_a_registration_that_git_had_only_begun_goes(intent: WorktreeIntent) -> None:
    """Git, killed, leaves a directory of our name that says of no worktree that it is its."""
    write_marker(intent.scratch, begun(intent))
    registration = intent.source / ".git" / "worktrees" / STREAM
    registration.mkdir(parents=True)
    (registration / "locked").write_text("initializing\n")
    assert Removed() == GitWorkspace().clear(intent)
    check_nothing_is_left(intent)


def test_removing_that_was_killed_is_gone_on_with(intent: WorktreeIntent) -> None:
    """The marker goes last: what is left of the scratch directory is still known to be ours."""
    hand = GitWorkspace()
    made = hand.create(intent)
    assert isinstance(made, WorktreeMade)
    subprocess.run(["rm", "-rf", str(intent.path), str(intent.scratch / "git")], check=True)
    assert Removed() == hand.remove(intent, made)
    check_nothing_is_left(intent)


def test_nothing_is_removed_under_a_git_that_still_runs(intent: WorktreeIntent) -> None:
    """A git that outlived its starter has a part in the lock; whoever comes next waits for it."""
    hand = GitWorkspace()
    made = hand.create(intent)
    assert isinstance(made, WorktreeMade)
    with contextlib.ExitStack() as stack:
        with occupied(intent.scratch):
            # What git would be: it goes on when the block, or its starter, has ended.
            git = stack.enter_context(
                subprocess.Popen(
                    ["sh", "-c", "echo ready; read line"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    pass_fds=kept_locks(),
                )
            )
            assert git.stdout is not None
            assert b"ready\n" == git.stdout.readline()
        removed: list[object] = []
        thread = threading.Thread(target=lambda: removed.append(hand.remove(intent, made)))
        thread.start()
        thread.join(0.1)
        assert intent.path.exists()
        git.communicate(b"go on\n")
        thread.join(30)
    assert [Removed()] == removed
    check_nothing_is_left(intent)


def test_locks_of_a_git_that_was_killed_do_not_stand_in_the_way(intent: WorktreeIntent) -> None:
    """Of our index and of the run's ref: nobody else writes them."""
    hand = GitWorkspace()
    kept = WorktreeIntent(
        **{name: getattr(intent, name) for name in intent.__struct_fields__}
        | {"keep_ref": f"refs/gesta/{STREAM}"}
    )
    made = hand.create(kept)
    assert isinstance(made, WorktreeMade)
    (kept.path / "new.txt").write_text("new\n")
    commit = ["commit", "-q", "--allow-empty", "-m", "x"]
    subprocess.run(["git", "-C", str(kept.path), *commit], check=True)
    (kept.scratch / "git" / "capture.index.lock").touch()
    lock = kept.source / ".git" / "refs" / "gesta" / f"{STREAM}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    captured = hand.capture(kept, made)
    assert b"+new" in captured.patch
    assert kept.keep_ref == captured.kept_ref
    assert Removed() == hand.remove(kept, made)


def test_free_space_is_what_the_file_system_says(tmp_path: Path) -> None:
    """What we may write, in bytes."""
    said = os.statvfs(tmp_path)
    assert 0 < free_bytes(tmp_path) <= said.f_blocks * said.f_frsize
