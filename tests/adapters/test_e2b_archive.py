"""Changes of a tree travel as an archive: whole, exactly, and never out of the tree."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.e2b.guest.listing import changes, list_tree
from adapters.e2b.guest.packing import pack
from adapters.e2b.guest.unpacking import ArchiveRefused, unpack

# A tree as paths of at most three names: content with its mode, a link, or an empty directory.
NAMES = st.sampled_from(["a", "b", "c", "ä", "x y", os.fsdecode(b"\xff")])
ENTRIES = st.one_of(
    st.tuples(st.binary(max_size=40), st.sampled_from([0o644, 0o755, 0o600])),
    st.sampled_from(["->a", "->../b", "->/etc/passwd", "directory"]),
)
TREES = st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), ENTRIES, max_size=8)
Tree = dict[str, object]


def grow(root: Path, tree: Tree) -> None:
    """Make the entries of *tree* below *root*; what is below a file or link is left out."""
    for path in sorted(tree):
        whole = root / path
        if any(parent.is_symlink() or parent.is_file() for parent in whole.parents):
            continue
        whole.parent.mkdir(parents=True, exist_ok=True)
        match tree[path]:
            case (bytes(content), int(mode)):
                whole.write_bytes(content)
                whole.chmod(mode)
            case "directory":
                whole.mkdir()
            case str(link):
                whole.symlink_to(link[2:])


def portrait(root: Path) -> Tree:
    """Return what is below *root*, by everything that travels."""
    return {
        path: (*entry[:4], (root / path).read_bytes() if entry[0] == "f" else 0, 0)
        for path, entry in list_tree(str(root)).items()
    }


@settings(max_examples=25)
@given(before=TREES, after=TREES)
def test_packing_the_changes_and_unpacking_them_gives_the_other_tree(
    before: Tree, after: Tree
) -> None:
    """Whatever one tree has become, its copy becomes by the archive alone."""
    with tempfile.TemporaryDirectory() as directory:
        old, new, copy = (Path(directory, name) for name in ("old", "new", "copy"))
        for root, tree in ((old, before), (new, after), (copy, before)):
            root.mkdir()
            grow(root, tree)
        now = list_tree(str(new))
        archive = io.BytesIO()
        pack(str(new), now, *changes(list_tree(str(old)), now), archive)
        named = unpack(archive, str(copy))

        assert portrait(new) == portrait(copy)
        assert set(named) >= {path for path in now if path not in list_tree(str(old))}


def test_a_tree_that_did_not_change_has_no_changes(tmp_path: Path) -> None:
    """Looking is not changing; writing the same bytes again is, even with the old times."""
    (tmp_path / "file").write_text("same")
    before = list_tree(str(tmp_path))
    assert ([], []) == changes(before, list_tree(str(tmp_path)))

    times = os.stat(tmp_path / "file")
    (tmp_path / "file").write_text("same")
    os.utime(tmp_path / "file", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert (["file"], []) == changes(before, list_tree(str(tmp_path)))


def test_sockets_pipes_and_the_tops_git_stay_where_they_are(tmp_path: Path) -> None:
    """They are no part of the tree; a `.git` further down is a directory like any other."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("")
    (tmp_path / "sub" / ".git").mkdir(parents=True)
    assert ["sub", "sub/.git"] == sorted(list_tree(str(tmp_path)))


def archive_of(*members: tuple[tarfile.TarInfo, bytes], deleted: bytes = b"") -> io.BytesIO:
    """Return an archive that says *deleted* and then has *members*."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for info, content in ((tarfile.TarInfo("deleted"), deleted), *members):
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return made


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    """Return a member of an archive."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    return info


def written(name: str) -> io.BytesIO:
    """Return an archive with one regular file."""
    return archive_of((member(name), b"x"))


def _bare() -> io.BytesIO:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        archive.addfile(member("tree/x"))
    return made


HOSTILE: dict[str, Callable[[], io.BytesIO]] = {
    "an absolute path": lambda: written("tree//etc/x"),
    "a path up": lambda: written("tree/../x"),
    "a path down and up": lambda: written("tree/a/../../x"),
    "a path outside the tree": lambda: written("x"),
    "no name": lambda: written("tree/"),
    "this very directory": lambda: written("tree/./x"),
    "the git pointer": lambda: written("tree/.git"),
    "a way into git": lambda: written("tree/.git/config"),
    "a way through a link": lambda: archive_of(
        (member("tree/l", tarfile.SYMTYPE, "/etc"), b""), (member("tree/l/x"), b"x")
    ),
    "a way through a file": lambda: archive_of((member("tree/f"), b""), (member("tree/f/x"), b"x")),
    "a hard link": lambda: archive_of((member("tree/h", tarfile.LNKTYPE, "/etc/passwd"), b"")),
    "a device": lambda: archive_of((member("tree/d", tarfile.CHRTYPE), b"")),
    "a pipe": lambda: archive_of((member("tree/p", tarfile.FIFOTYPE), b"")),
    "a link to nothing": lambda: archive_of((member("tree/l", tarfile.SYMTYPE, ""), b"")),
    "a deletion above": lambda: archive_of(deleted=b"../victim\0"),
    "a deletion of the git pointer": lambda: archive_of(deleted=b".git\0"),
    "too many files": lambda: archive_of(*((member(f"tree/{n}"), b"") for n in range(12))),
    "too many bytes": lambda: archive_of((member("tree/big"), bytes(3000))),
    "no archive": lambda: io.BytesIO(b"<html>"),
    "nothing": io.BytesIO,
    "half of one": lambda: io.BytesIO(written("tree/x").getvalue()[:-20]),
    "an archive without its beginning": _bare,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_before_anything_is_changed(tmp_path: Path, name: str) -> None:
    """One bad member spoils it: nothing is written, deleted or followed."""
    root = tmp_path / "root"
    root.mkdir()
    (root / ".git").write_text("gitdir: /x\n")
    (tmp_path / "victim").write_text("alive")
    with pytest.raises(ArchiveRefused):
        unpack(HOSTILE[name](), str(root), files=10, size=2000)

    assert [".git"] == os.listdir(root)
    assert "alive" == (tmp_path / "victim").read_text()


def test_a_link_that_is_there_already_leads_nobody_out(tmp_path: Path) -> None:
    """The tree itself may hold links: a path through one is refused, the link replaced."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (root / "link").symlink_to(outside)
    with pytest.raises(ArchiveRefused, match="'link' is no directory on the way"):
        unpack(written("tree/link/x"), str(root))
    unpack(archive_of(deleted=b"link/kept\0"), str(root))
    assert ["kept"] == os.listdir(outside)

    unpack(written("tree/link"), str(root))
    assert "x" == (root / "link").read_text()
    assert ["kept"] == os.listdir(outside)


def test_special_bits_of_a_mode_do_not_travel(tmp_path: Path) -> None:
    """A file that was set-user-id there is an ordinary program here."""
    info = member("tree/program")
    info.mode = 0o6755
    unpack(archive_of((info, b"x")), str(tmp_path))
    assert 0o755 == stat.S_IMODE((tmp_path / "program").stat().st_mode)
