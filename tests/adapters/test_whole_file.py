"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.whole_file import write_whole
from ledger.errors import InputInvalid, WorkspaceError


def test_a_file_appears_whole_for_its_owner_alone(tmp_path: Path) -> None:
    """All pieces in order, mode 0600, and no draft beside it."""
    target = tmp_path / "file"
    write_whole(target, [b"one ", b"", b"two"], over=False)
    assert b"one two" == target.read_bytes()
    assert 0o600 == target.stat().st_mode & 0o777
    assert [target] == list(tmp_path.iterdir())


def test_what_is_there_stays_unless_it_may_be_replaced(tmp_path: Path) -> None:
    """A file, and a symbolic link to nowhere, are both something that is there."""
    target, link = tmp_path / "file", tmp_path / "link"
    target.write_text("mine")
    link.symlink_to("nowhere")
    for path in (target, link):
        with pytest.raises(InputInvalid, match="it is there already"):
            write_whole(path, [b"theirs"], over=False)
    assert "mine" == target.read_text()
    for path in (target, link):
        write_whole(path, [b"theirs"], over=True)
        assert (b"theirs", False) == (path.read_bytes(), path.is_symlink())
    assert {target, link} == set(tmp_path.iterdir())


def test_what_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    """Somebody else's file of that name, made while ours was written, stays."""
    target = tmp_path / "file"

    def pieces() -> Iterator[bytes]:
        yield b"ours"
        target.write_text("theirs")

    with pytest.raises(InputInvalid, match="it is there already"):
        write_whole(target, pieces(), over=False)
    assert "theirs" == target.read_text()
    assert [target] == list(tmp_path.iterdir())


def test_a_failure_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    """Whatever raises while it is written: no file, no draft; an older one stays."""
    target = tmp_path / "file"
    target.write_text("older")

    def pieces() -> Iterator[bytes]:
        yield b"new"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_whole(target, pieces(), over=True)
    assert "older" == target.read_text()
    assert [target] == list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    """One line with the path and what the system said."""
    with pytest.raises(WorkspaceError, match=r"cannot write .*/nowhere/file: No such file"):
        write_whole(tmp_path / "nowhere" / "file", [b""], over=False)
    assert not os.path.lexists(tmp_path / "nowhere")
