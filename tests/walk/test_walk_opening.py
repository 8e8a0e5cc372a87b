"""Opening a run: its intent first, then its workspace, or the end of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ledger import events as e
from ledger.errors import (
    IdInvalid,
    IsolationRefused,
    RunExists,
    StoreUnavailable,
    WorkspaceError,
)
from ledger.events import BlobName
from ledger.ids import named_stream
from ledger.outcomes import Unavailable
from ledger.overrides import Overrides
from tests.fakes.machine import REPOSITORY
from tests.fakes.world import HOME, World
from tests.ledger.samples import ASKED

NO_GIT = Unavailable(reason="not_a_repository", message="it is not in a repository")
MAY_NOT_FALL = "the policy's worktree.fallback is false"


def test_opening_records_the_intent_before_the_worktree(world: World) -> None:
    """`RunOpened` says everything of the run to come; the worktree follows where it says."""
    active = world.ledger.open(task="T-1", run="R-1", labels={"a": "b"}, base="HEAD~1")
    stream = named_stream(world.journal.store.ledger_id, "T-1", "R-1")
    assert stream == active.stream
    run_path = world.directory / "workspaces" / "T-1" / "runs" / "R-1"
    expected = e.RunOpened(
        task="T-1",
        run="R-1",
        mode="detached",
        home=HOME,
        rules=world.profile.facts,
        overridden=(),
        asked=ASKED,
        sandbox_wanted="e2b",
        private=e.RunOpenedText(
            rules=world.profile.texts,
            directory="/home/ann/code/src",
            run_path=str(run_path),
            repository=e.RepositoryText(
                root=REPOSITORY.root,
                common_dir=REPOSITORY.common_dir,
                prefix=REPOSITORY.prefix,
                base_commit=REPOSITORY.head,
            ),
            base="HEAD~1",
            labels={"a": "b"},
        ),
    )
    assert ["RunOpened", "WorktreeCreated"] == world.kinds(stream)
    assert expected == world.events(stream)[0]
    assert run_path / stream == active.workspace
    assert run_path == active.run_path
    assert ("T-1", "R-1") == (active.task, active.id)


def test_the_worktree_is_made_as_the_rules_say(world_with: Callable[..., World]) -> None:
    """Kind, sync, base, branch and ref of the intent derive from rules and stream alone."""
    world = world_with(branch="task-{task}-run-{run}", sync="tracked")
    active = world.ledger.open(task="T-1", run="R-1", base="main")
    (intent,) = world.git.intents
    assert ("linked", "tracked", "main", "task-T-1-run-R-1") == (
        intent.kind,
        intent.sync,
        intent.base,
        intent.branch,
    )
    assert f"refs/gesta/{active.stream}" == intent.keep_ref
    assert Path(REPOSITORY.root) == intent.source
    assert intent.path.parent / f"{active.stream}.scratch" == intent.scratch
    assert not world.only(active.stream, e.WorktreeCreated).detached


def test_what_came_along_can_be_read_once_it_is_on_record(world: World) -> None:
    """Manifest and patch of the synced work are blobs of the transaction that names them."""
    active = world.ledger.open()
    text = world.only(active.stream, e.WorktreeCreated).private
    assert isinstance(text, e.WorktreeCreatedText)
    assert isinstance(text.patch, BlobName)
    assert b"synced work" == world.blobs.read(text.patch.sha256)
    assert world.blobs.read(text.manifest.sha256).startswith(b"manifest of")


def test_the_callers_own_subdirectory_is_there(world: World) -> None:
    """The command's directory is made in the worktree where git had nothing of it."""
    active = world.ledger.open()
    assert [(active.workspace, "src")] == world.files.made


def test_a_run_without_names_gets_its_own(world: World) -> None:
    """Without names the task is `adhoc` and the run's id is new each time."""
    one, other = world.ledger.open(), world.ledger.open()
    assert "adhoc" == one.task == other.task
    assert one.id != other.id
    assert one.id.startswith("R-")


@pytest.mark.parametrize("names", [{"task": "../../x"}, {"task": ""}, {"run": "a\tb"}])
def test_an_invalid_id_leaves_nothing_behind(world: World, names: dict[str, str]) -> None:
    """A bad name is refused before anything is written anywhere."""
    with pytest.raises(IdInvalid):
        world.ledger.open(**names)  # type: ignore[arg-type]
    assert 0 == world.journal.store.tree_head().size
    assert {} == world.machine.trees


def test_the_same_names_open_one_run(world: World) -> None:
    """A second opening of the same task and run is refused, and makes nothing."""
    first = world.ledger.open(task="T-1", run="R-1")
    with pytest.raises(RunExists) as caught:
        world.ledger.open(task="T-1", run="R-1")
    assert "cannot open run R-1 of task T-1: there is one already; give another run id" == str(
        caught.value
    )
    assert [first.workspace] == list(world.machine.trees)
    assert "R-1" == world.ledger.open(task="T-2", run="R-1").id


def test_without_a_recorded_intent_nothing_is_made(world: World) -> None:
    """If the store cannot be written, there is no worktree either."""
    world.machine.fuse.break_on("store.append", lambda: StoreUnavailable("cannot append"))
    with pytest.raises(StoreUnavailable):
        world.ledger.open()
    assert {} == world.machine.trees


def test_a_plain_directory_stands_in_where_there_is_no_repository(world: World) -> None:
    """The fallback is on record before the copy is made, and names what was tried."""
    world.machine.survey = NO_GIT
    active = world.ledger.open()
    assert ["RunOpened", "FallbackTaken", "WorktreeCreated"] == world.kinds(active.stream)
    taken = world.only(active.stream, e.FallbackTaken)
    expected = e.FallbackTaken(
        component="worktree",
        wanted="linked",
        cause="unavailable",
        attempts=(e.Attempt("linked", "not_a_repository", "none"),),
        used="directory",
        lost=(),
        allowed_by="worktree.fallback",
        private=e.FallbackText(messages=("it is not in a repository",)),
    )
    assert expected == taken
    assert "directory" == world.only(active.stream, e.WorktreeCreated).kind
    assert Path("/home/ann/code/src") == world.plain.intents[0].source


def test_a_worktree_that_git_cannot_make_is_a_fallback_too(world: World) -> None:
    """What git said is the attempt's message."""
    world.git.unavailable = Unavailable(reason="failed", message="git said no")
    active = world.ledger.open()
    taken = world.only(active.stream, e.FallbackTaken)
    assert e.FallbackText(messages=("git said no",)) == taken.private


def test_a_worktree_switched_off_by_a_flag_is_an_override(world: World) -> None:
    """`--no-worktree` is recorded as the cause, and nothing was tried."""
    active = world.ledger.open(overrides=Overrides(no_worktree=True))
    taken = world.only(active.stream, e.FallbackTaken)
    assert ("override", ()) == (taken.cause, taken.attempts)
    opened = world.only(active.stream, e.RunOpened)
    assert ("worktree.enabled",) == opened.overridden
    assert [] == world.git.intents


def test_a_profile_without_worktrees_takes_no_fallback(world_with: Callable[..., World]) -> None:
    """Where the policy itself asks for a directory, it has what it asks for."""
    active_world = world_with(worktree_enabled=False)
    active = active_world.ledger.open()
    assert ["RunOpened", "WorktreeCreated"] == active_world.kinds(active.stream)


def test_a_strict_profile_refuses_and_ends_the_run(world_with: Callable[..., World]) -> None:
    """Without consent the refusal and the run's end are on record, and nothing was made."""
    world = world_with(worktree_fallback=False)
    world.machine.survey = NO_GIT
    with pytest.raises(IsolationRefused) as caught:
        world.ledger.open(run="R-1")
    assert f"cannot make a linked worktree: it is not in a repository; {MAY_NOT_FALL}" == str(
        caught.value
    )
    stream = world.ledger.find("R-1")
    assert ["RunOpened", "FallbackRefused", "RunCompleted", "RunSealed"] == world.kinds(stream)
    assert ("failed", "clean") == (world.ledger.status("R-1"), world.ledger.state().cleanliness)
    assert {} == world.machine.trees


def test_a_strict_profile_refuses_a_flag_as_well(world_with: Callable[..., World]) -> None:
    """A flag never consents: `--no-worktree` needs `worktree.fallback` like any other cause."""
    world = world_with(worktree_fallback=False)
    with pytest.raises(IsolationRefused) as caught:
        world.ledger.open(overrides=Overrides(no_worktree=True))
    assert f"cannot make a linked worktree: it was switched off; {MAY_NOT_FALL}" == str(
        caught.value
    )


def test_a_directory_that_cannot_be_copied_ends_the_run(world: World) -> None:
    """Where not even a copy can be made, the run has ended and the reason is raised."""
    world.machine.survey = NO_GIT
    world.plain.unavailable = Unavailable(reason="failed", message="cannot copy: disk full")
    with pytest.raises(WorkspaceError, match="cannot copy: disk full"):
        world.ledger.open()
    assert "failed" == world.ledger.status()


def test_a_run_inside_a_run_names_its_parent(world: World) -> None:
    """A command of a run that opens another is told by `GESTA_RUN`, if it is of this ledger."""
    parent = world.ledger.open()
    world.environment["GESTA_RUN"] = parent.stream
    child = world.ledger.open()
    assert parent.stream == world.only(child.stream, e.RunOpened).parent
    world.environment["GESTA_RUN"] = named_stream(parent.stream, "of", "another-ledger")
    assert world.only(world.ledger.open().stream, e.RunOpened).parent is None


def test_a_run_may_have_a_path_of_its_own(world: World, tmp_path: Path) -> None:
    """An explicit path takes the place of the ledger's own, also for the next process."""
    own = tmp_path / "own"
    active = world.ledger.open(run="R-1", run_path=own)
    assert own / active.stream == active.workspace
    with world.again().ledger.resume("R-1") as resumed:
        assert own / active.stream == resumed.workspace


def test_a_run_that_cannot_be_set_up_ends_as_failed_and_leaves_nothing(world: World) -> None:
    """Whatever is raised while the workspace is made, the run has an end and a reason on record."""
    world.machine.fuse.break_on("workspace.created", lambda: OSError("no room"))
    with pytest.raises(OSError, match="no room"):
        world.ledger.open(run="R-1")
    stream = world.ledger.find("R-1")
    assert ["RunOpened", "RunCompleted", "RunSealed"] == world.kinds(stream)
    assert e.ReasonText(message="no room") == world.only(stream, e.RunCompleted).private
    assert ({}, set()) == (world.machine.trees, world.machine.prepared)
