"""The home: where it is, who may use it, and its id."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from adapters.home import Home, home_id, open_home
from ledger.errors import HomeRefused

ROOT = Path(__file__).parents[2]
NOBODY = 65534


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"GESTA_HOME": "{}/a/b", "XDG_STATE_HOME": "{}/s", "HOME": "{}/h"}, "a/b"),
        ({"GESTA_HOME": "", "XDG_STATE_HOME": "{}/s", "HOME": "{}/h"}, "s/gesta"),
        ({"XDG_STATE_HOME": "relative", "HOME": "{}/h"}, "h/.local/state/gesta"),
        ({"HOME": "{}/h"}, "h/.local/state/gesta"),
    ],
)
def test_the_environment_says_where_the_home_is(
    tmp_path: Path, environment: dict[str, str], expected: str
) -> None:
    """`GESTA_HOME` comes before `XDG_STATE_HOME`, which comes before the user's directory."""
    found = open_home({name: text.format(tmp_path) for name, text in environment.items()})
    assert Home(tmp_path / expected) == found


def test_a_home_is_made_for_us_alone(tmp_path: Path) -> None:
    """The home and the parents that were missing are closed to others."""
    home = open_home({"GESTA_HOME": str(tmp_path / "new" / "home")})
    for path in (home.path, home.path.parent):
        assert 0o700 == stat.S_IMODE(path.stat().st_mode)
    assert home == open_home({"GESTA_HOME": str(home.path)})


def test_everything_is_inside_the_home(tmp_path: Path) -> None:
    """Database, blobs, keys, locks, profiles, spool and workspaces are seven names in it."""
    home = Home(tmp_path)
    places = [
        home.database,
        home.blobs,
        home.keys,
        home.locks,
        home.profiles,
        home.spool,
        home.workspaces,
    ]
    names = ["ledger.db", "blobs", "keys", "locks", "profiles", "spool", "workspaces"]
    assert [tmp_path / name for name in names] == places


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o720, 0o701, 0o777])
def test_a_home_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    """Any permission for group or others is too much."""
    place = tmp_path / "home"
    place.mkdir()
    place.chmod(mode)
    with pytest.raises(HomeRefused, match=rf"others may use it \(mode {mode:04o}\); chmod 700"):
        open_home({"GESTA_HOME": str(place)})


def test_a_file_is_no_home(tmp_path: Path) -> None:
    """What is not a directory is refused."""
    place = tmp_path / "home"
    place.write_text("")
    with pytest.raises(HomeRefused, match="it is not a directory; set GESTA_HOME"):
        open_home({"GESTA_HOME": str(place)})


def test_a_place_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """The operating system's reason is said."""
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeRefused, match=r"cannot use home .*directory"):
        open_home({"GESTA_HOME": str(tmp_path / "file" / "home")})


@pytest.mark.parametrize("below", ["", "state", "deep/er"])
@pytest.mark.parametrize("git", ["directory", "file"])
def test_a_home_inside_a_checkout_is_refused(tmp_path: Path, below: str, git: str) -> None:
    """Where `git clean` could delete it nothing is made; a linked worktree is a checkout too."""
    marker = tmp_path / ".git"
    marker.mkdir() if git == "directory" else marker.write_text("gitdir: elsewhere\n")
    place = tmp_path / below
    existed = place.exists()
    with pytest.raises(HomeRefused, match=r"inside the git checkout .*; set GESTA_HOME"):
        open_home({"GESTA_HOME": str(place)})
    assert existed == place.exists()


def test_a_link_into_a_checkout_is_refused(tmp_path: Path) -> None:
    """What counts is where the home really is."""
    inside = tmp_path / "checkout" / "state"
    inside.mkdir(parents=True, mode=0o700)
    (tmp_path / "checkout" / ".git").mkdir()
    (tmp_path / "home").symlink_to(inside)
    with pytest.raises(HomeRefused, match="inside the git checkout"):
        open_home({"GESTA_HOME": str(tmp_path / "home")})


def test_our_own_link_to_a_home_is_followed(tmp_path: Path) -> None:
    """A home may be on another disk, behind a link of ours."""
    (tmp_path / "disk").mkdir(mode=0o700)
    (tmp_path / "home").symlink_to(tmp_path / "disk")
    assert tmp_path / "home" == open_home({"GESTA_HOME": str(tmp_path / "home")}).path


@pytest.mark.parametrize("what", ["home", "link"])
def test_another_users_home_or_link_is_refused(tmp_path: Path, what: str) -> None:
    """What another user could change is not used, whichever user we are."""
    if os.geteuid() != 0:
        # The root directory is another user's for everybody but its owner.
        place = Path("/")
    elif what == "home":
        place = tmp_path / "home"
        place.mkdir(mode=0o700)
        os.chown(place, NOBODY, NOBODY)
    else:
        (tmp_path / "disk").mkdir(mode=0o700)
        place = tmp_path / "home"
        place.symlink_to(tmp_path / "disk")
        os.chown(place, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(HomeRefused, match="another user"):
        open_home({"GESTA_HOME": str(place)})


def test_a_home_keeps_its_id(tmp_path: Path) -> None:
    """The id is a random UUID, the same at every reading, another in another home."""
    first = open_home({"GESTA_HOME": str(tmp_path / "first")})
    second = open_home({"GESTA_HOME": str(tmp_path / "second")})
    assert home_id(first) == home_id(first)
    assert home_id(first) != home_id(second)
    assert 4 == uuid.UUID(home_id(first)).version
    assert ["home.id"] == [one.name for one in first.path.iterdir()]


def test_many_processes_give_a_home_one_id(tmp_path: Path) -> None:
    """Of processes that open a new home at once one makes the id, and all of them use it."""
    program = """
import os, sys
from adapters.home import home_id, open_home
print(home_id(open_home(os.environ)))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GESTA_HOME": str(tmp_path / "home")}
    processes = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE)
        for _ in range(8)
    ]
    ids = {process.communicate()[0] for process in processes}
    assert [0] * 8 == [process.returncode for process in processes]
    assert 1 == len(ids)
    assert ["home.id"] == [one.name for one in (tmp_path / "home").iterdir()]


@pytest.mark.parametrize("text", ["", "not a uuid\n", "\xff"])
def test_an_id_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    """A damaged id is not replaced: runs on record carry the old one."""
    home = open_home({"GESTA_HOME": str(tmp_path / "home")})
    (home.path / "home.id").write_text(text, encoding="latin-1")
    with pytest.raises(HomeRefused, match=r"cannot read home id .*: it is not a UUID"):
        home_id(home)
