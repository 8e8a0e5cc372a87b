"""Files below a workspace's root: whole or not at all, and never outside."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import pytest

from adapters.workspace_files import WorkspaceFiles
from ledger.errors import WorkspaceError
from ledger.files import FileDenial


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a workspace beside a file that nobody may reach."""
    (tmp_path / "outside.txt").write_text("secret")
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    return workspace


files = WorkspaceFiles()


def test_what_is_written_is_read_back(root: Path) -> None:
    """Directories are made, and the bytes come back as they were given."""
    assert files.write(root, "a/b/c.bin", b"\x00\xff") is None

    assert files.read(root, "a/b/c.bin") == b"\x00\xff"
    assert b"".join(files.chunks(root, "a/b/c.bin")) == b"\x00\xff"


def test_a_write_keeps_the_mode_of_what_it_replaces(root: Path) -> None:
    """An executable file stays one, and nothing is left beside it."""
    script = root / "run.sh"
    script.write_text("old")
    script.chmod(0o755)

    files.write(root, "run.sh", b"new")

    assert (0o755, "new") == (script.stat().st_mode & 0o777, script.read_text())
    assert ["run.sh"] == os.listdir(root)


@pytest.mark.parametrize("place", ["link", "directory/link"])
def test_a_symbolic_link_leads_nowhere(root: Path, place: str) -> None:
    """Neither a linked file nor a file behind a linked directory is read or written."""
    (root / "directory").symlink_to(root.parent)
    (root / "link").symlink_to(root.parent / "outside.txt")

    for got in (files.read(root, place), files.write(root, place, b"overwritten")):
        assert isinstance(got, FileDenial)
    assert (root.parent / "outside.txt").read_text() == "secret"


def test_a_directory_swapped_for_a_link_meanwhile_leads_nowhere(root: Path) -> None:
    """While another thread swaps a directory for a link out, nothing is written outside."""
    inside, hidden, link = root / "d", root / "hidden", root / "link"
    inside.mkdir()
    link.symlink_to(root.parent)
    stop = threading.Event()

    def swap() -> None:
        moves = [(inside, hidden), (link, inside), (inside, link), (hidden, inside)]
        while not stop.is_set():
            for old, new in moves:
                # The writer may have made the directory anew meanwhile.
                with contextlib.suppress(OSError):
                    os.rename(old, new)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(2000):
            files.write(root, "d/outside.txt", b"overwritten")
    finally:
        stop.set()
        swapper.join()

    assert (root.parent / "outside.txt").read_text() == "secret"


def test_what_is_no_regular_file_is_said_to_be_none(root: Path) -> None:
    """A directory, a FIFO and nothing at all are told apart from a file, without waiting."""
    (root / "directory").mkdir()
    os.mkfifo(root / "fifo")

    reasons = {name: files.read(root, name) for name in ("directory", "fifo", "nothing")}

    assert {"directory": "not_a_file", "fifo": "not_a_file", "nothing": "missing"} == {
        name: denial.reason for name, denial in reasons.items() if isinstance(denial, FileDenial)
    }
    assert isinstance(files.write(root, "directory", b""), FileDenial)
    with pytest.raises(WorkspaceError, match="cannot read 'nothing'"):
        list(files.chunks(root, "nothing"))


def test_globs_find_regular_files_once_and_in_order(root: Path) -> None:
    """`*` stays in one directory, `**` crosses them, links and `.git` are passed over."""
    for name in ("a.txt", "d/b.txt", "d/e/c.txt", "d/e/c.log", ".git/x.txt"):
        files.write(root, name, b"")
    (root / "z.txt").symlink_to("a.txt")

    assert ["a.txt"] == list(files.find(root, ["*.txt"]))
    assert ["a.txt", "d/b.txt", "d/e/c.txt"] == list(files.find(root, ["**/*.txt", "*.txt"]))
    assert ["d/e/c.log"] == list(files.find(root, ["d/*/*.log"]))
    assert [] == list(files.find(root, []))


def test_empty_directories_are_removed_up_to_the_one_named(root: Path) -> None:
    """What holds something stays, and so does everything above it."""
    (root / "keep").mkdir()
    (root / "keep" / "file").write_text("")
    files.make_directory(root, "keep/a/b")

    files.remove_empty(root / "keep" / "a" / "b", below=root)

    assert ["file"] == os.listdir(root / "keep")


def test_a_fingerprint_changes_with_whatever_is_below(root: Path) -> None:
    """Content, name, mode and kind count; nothing there is nothing; links are not followed."""
    files.write(root, "d/a.txt", b"one")
    seen = [files.fingerprint(root, "d")]
    for change in (
        lambda: files.write(root, "d/a.txt", b"two"),
        lambda: (root / "d" / "a.txt").chmod(0o755),
        lambda: (root / "d" / "a.txt").rename(root / "d" / "b.txt"),
        lambda: (root / "d" / "link").symlink_to(root.parent),
        (root / "d" / "e").mkdir,
    ):
        change()
        seen.append(files.fingerprint(root, "d"))

    assert len(seen) == len(set(seen))
    assert seen[-1] == files.fingerprint(root, "d")
    (root.parent / "outside.txt").write_text("changed")
    assert seen[-1] == files.fingerprint(root, "d")
    assert files.fingerprint(root, "nothing") is None
