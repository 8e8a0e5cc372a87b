"""Plain directories: what is copied, what is refused, and how they do without git."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec
import pytest

from adapters.git.directory_listing import EXCLUDED
from adapters.plain_directory import PlainDirectory
from ledger.errors import WorkspaceError
from ledger.outcomes import RemovalFailed, Removed, Unavailable
from tests.adapters.checkouts import (
    git,
    intent_for,
    made_by,
    make_repository,
    make_uncommitted,
    state_of,
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = make_repository(tmp_path / "plain")
    shutil.rmtree(directory / ".git")
    return directory


@pytest.fixture
def plain(tmp_path: Path) -> PlainDirectory:
    return PlainDirectory(tmp_path / "home")


@pytest.fixture
def without_git(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert source.is_dir()  # made with git
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


def test_a_survey_finds_no_repository_wherever_it_looks(
    plain: PlainDirectory, tmp_path: Path
) -> None:
    """A plain directory is what is wanted, also inside a checkout."""
    found = plain.survey(make_repository(tmp_path / "repo"))
    assert isinstance(found, Unavailable)
    assert "not_a_repository" == found.reason


def test_the_ledgers_own_home_is_not_copied(source: Path, tmp_path: Path) -> None:
    """A run of the directory that the home lies in gets everything but the home."""
    home = source / "state" / "gesta"
    home.mkdir(parents=True)
    (home / "ledger.db").write_bytes(b"what nobody may copy")

    intent = intent_for(tmp_path, source)
    made_by(PlainDirectory(home), intent)

    assert (intent.path / "readme.txt").exists()
    assert not (intent.path / "state" / "gesta").exists()


def test_directories_that_tools_fill_are_not_copied(
    plain: PlainDirectory, source: Path, tmp_path: Path
) -> None:
    """Environments, caches and other people's metadata stay where they are."""
    for name in EXCLUDED:
        (source / "src" / name).mkdir()
        (source / "src" / name / "file").write_text("x")
    intent = intent_for(tmp_path, source)
    made_by(plain, intent)
    assert ["main.py"] == os.listdir(intent.path / "src")


def test_too_many_files_are_refused_before_any_is_copied(
    plain: PlainDirectory, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what is too much and what to do; nothing is left."""
    monkeypatch.setattr("adapters.git.directory_listing.MOST_FILES", 3)
    intent = intent_for(tmp_path, source)
    made = plain.create(intent)
    assert isinstance(made, Unavailable)
    assert f"cannot copy {source}: more than 3 files; run it in a smaller directory" == made.message
    assert not intent.path.exists()
    assert not intent.scratch.exists()


def test_too_many_bytes_are_refused(
    plain: PlainDirectory, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sum of all files counts."""
    monkeypatch.setattr("adapters.git.directory_listing.MOST_BYTES", 10)
    made = plain.create(intent_for(tmp_path, source))
    assert isinstance(made, Unavailable)
    assert "more than 0 GiB" in made.message


def test_inside_a_checkout_the_files_are_those_that_git_would_bring(
    plain: PlainDirectory, tmp_path: Path
) -> None:
    """Tracked content as on disk, untracked files that are not ignored, and no `.git`."""
    repository = make_repository(tmp_path / "repo")
    make_uncommitted(repository)
    before = state_of(repository)
    intent = intent_for(tmp_path, repository)
    made_by(plain, intent)
    assert [
        ".gitignore",
        "link",
        "new file.txt",
        "readme.txt",
        "run.sh",
        "src",
        "staged.txt",
    ] == sorted(os.listdir(intent.path))
    assert "one\nTWO\nthree\n" == (intent.path / "readme.txt").read_text()
    assert os.access(intent.path / "run.sh", os.X_OK)
    assert before == state_of(repository)


def test_inside_a_checkout_tracked_means_no_untracked_file(
    plain: PlainDirectory, tmp_path: Path
) -> None:
    """`tracked` copies what git knows, also of a subdirectory alone."""
    repository = make_repository(tmp_path / "repo")
    (repository / "src/fresh.txt").write_text("x")
    intent = intent_for(tmp_path, repository / "src", sync="tracked")
    made_by(plain, intent)
    assert ["main.py"] == os.listdir(intent.path)


def test_a_git_directory_that_is_none_does_not_matter(
    plain: PlainDirectory, source: Path, tmp_path: Path
) -> None:
    """An empty `.git` is no repository."""
    (source / ".git").mkdir()
    intent = intent_for(tmp_path, source)
    made_by(plain, intent)
    assert (intent.path / "readme.txt").exists()
    assert not (intent.path / ".git").exists()


def test_bytecode_that_a_run_leaves_is_not_captured(
    plain: PlainDirectory, source: Path, tmp_path: Path
) -> None:
    """What would not be copied is not captured either."""
    intent = intent_for(tmp_path, source)
    made = made_by(plain, intent)
    (intent.path / "src/__pycache__").mkdir()
    (intent.path / "src/__pycache__/main.pyc").write_text("x")
    assert 0 == plain.capture(intent, made).files


def test_a_patch_applies_to_the_source(plain: PlainDirectory, source: Path, tmp_path: Path) -> None:
    """The patch is against the copy, and the copy is as the source."""
    intent = intent_for(tmp_path, source)
    made = made_by(plain, intent)
    (intent.path / "readme.txt").write_text("one\n")
    patch = plain.capture(intent, made).patch
    git(source, "apply", "--check", "-", data=patch)
    assert "one\ntwo\nthree\n" == (source / "readme.txt").read_text()


@pytest.mark.usefixtures("without_git")
def test_without_git_an_unchanged_directory_can_be_captured_and_a_changed_one_cannot(
    plain: PlainDirectory, source: Path, tmp_path: Path
) -> None:
    """What cannot be captured is an error that says what is missing."""
    intent = intent_for(tmp_path, source)
    made = made_by(plain, intent)
    captured = plain.capture(intent, made)
    assert (made.tree, 0, 0) == (captured.tree, captured.files, len(captured.patch))
    (intent.path / "run.sh").chmod(0o644)
    with pytest.raises(WorkspaceError, match="git is not installed"):
        plain.capture(intent, made)
    assert Removed() == plain.remove(intent, made)


def test_a_directory_without_its_marker_is_not_removed(
    plain: PlainDirectory, source: Path, tmp_path: Path
) -> None:
    """Without proof that it was made for the run, nothing is deleted."""
    intent = intent_for(tmp_path, source)
    made = made_by(plain, intent)
    removed = plain.remove(msgspec.structs.replace(intent, scratch=tmp_path / "none"), made)
    assert isinstance(removed, RemovalFailed)
    assert "not_ours" == removed.reason
    assert (intent.path / "readme.txt").exists()
