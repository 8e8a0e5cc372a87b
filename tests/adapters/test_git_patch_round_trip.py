"""The law of patches: applied to what a run began with, they give what the run ended with."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.git.patch_apply import apply_patch
from adapters.git_worktree import GitWorkspace
from ledger.outcomes import Removed
from tests.adapters.checkouts import (
    intent_for,
    made_by,
    make_repository,
    tree_of,
)

_NAMES = [
    b"a",
    b"b c",
    b"tab\tline\nfeed",
    b"caf\xe9",
    b"-x",
    b":(top)",
    b'"quoted"',
    b"\xe2\x82\xac",
]
_names = st.sampled_from([*_NAMES, b"readme.txt", b"src", b"old.txt", b"link", b"run.sh"])
_paths = st.lists(_names, min_size=1, max_size=3).map(b"/".join)
_contents = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"", b"one\ntwo\n3\n", b"no line feed", b"\0binary\0", b"\r\nlines\r\n"]),
)
_edits = st.one_of(
    st.tuples(st.just("write"), _paths, _contents),
    st.tuples(st.just("delete"), _paths, st.just(b"")),
    st.tuples(st.just("rename"), _paths, _paths),
    st.tuples(st.just("executable"), _paths, st.just(b"")),
    st.tuples(st.just("link"), _paths, st.sampled_from([b"readme.txt", b"/nowhere", b"caf\xe9"])),
)


def _edit(root: bytes, what: str, path: bytes, argument: bytes) -> None:
    """Do one edit; one that the file system refuses is none."""
    whole = os.path.join(root, path)
    try:
        if what == "write":
            os.makedirs(os.path.dirname(whole), exist_ok=True)
            if os.path.islink(whole):
                os.unlink(whole)
            with open(whole, "wb") as file:
                file.write(argument)
        elif what == "delete":
            if os.path.isdir(whole) and not os.path.islink(whole):
                shutil.rmtree(whole)
            else:
                os.unlink(whole)
        elif what == "rename":
            os.rename(whole, os.path.join(root, argument))
        elif what == "executable":
            mode = os.lstat(whole).st_mode
            if stat.S_ISREG(mode):
                os.chmod(whole, mode ^ 0o111)
        elif what == "link":
            os.symlink(argument, whole)
    except OSError:
        return


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("template") / "repo")


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
@given(before=st.lists(_edits, max_size=4), during=st.lists(_edits, max_size=6))
def test_a_captured_patch_makes_of_the_synced_tree_what_the_run_left(
    template: Path,
    before: list[tuple[str, bytes, bytes]],
    during: list[tuple[str, bytes, bytes]],
) -> None:
    """Checkout + what was synced + the patch = the workspace at the end, file for file."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        repository = root / "repo"
        shutil.copytree(template, repository, symlinks=True)
        for edit in before:
            _edit(os.fsencode(repository), *edit)
        workspace = GitWorkspace()
        intent = intent_for(root, repository)
        made = made_by(workspace, intent)
        synced = root / "synced"
        shutil.copytree(intent.path, synced, symlinks=True, ignore=lambda *_: {".git"})
        assert made.tree == tree_of(synced, root / "synced.git")
        for edit in during:
            _edit(os.fsencode(intent.path), *edit)
        captured = workspace.capture(intent, made)
        patch = captured.patch
        assert captured.files == apply_patch(synced, patch, check=True).files
        apply_patch(synced, patch)
        assert captured.tree == tree_of(synced, root / "after.git")
        (intent.path / ".git").unlink()
        assert captured.tree == tree_of(intent.path, root / "left.git")
        assert Removed() == workspace.remove(intent, made)
        assert not (repository / ".git/worktrees").exists()
