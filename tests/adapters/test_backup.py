"""Backup and restore: the same ledger in another home, under another name."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from adapters import open_ledger
from adapters.home import Home, home_id
from adapters.upkeep import restore_backup, write_backup
from ledger import events as e
from ledger.errors import BackupFailed, BlobMissing, HomeRefused, MoveIllegal, StoreUnavailable
from ledger.note import parse_note
from tests.adapters.old_stores import contents
from tests.cli.gesta import LOCAL, ROOT, gesta, profile

LARGE = 100_000


@pytest.fixture
def recorded(home: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the home of a ledger with one run, a large and a small blob, and a profile."""
    profile(home, "here", LOCAL)
    monkeypatch.setenv("GESTA_PROFILE", "here")
    monkeypatch.chdir(repository)
    with open_ledger() as ledger, ledger.run(task="T-1", run="R-1") as run:
        run.execute(["sh", "-c", f"head -c {LARGE} /dev/zero; echo small >&2"])
    return home


def backup(file: Path, *, with_keys: bool = False) -> None:
    """Write a backup that misses nothing."""
    assert () == write_backup(file, os.environ, with_keys=with_keys).missing


def large_blob(home: Path) -> Path:
    """Return the file of the run's large blob."""
    digest = hashlib.sha256(bytes(LARGE)).hexdigest()
    return home / "blobs" / "sha256" / digest[:2] / digest[2:]


def test_a_restored_ledger_equals_the_original(recorded: Path, tmp_path: Path):
    """Events, private parts, blobs, tree, ledger id and profiles are the same, bit for bit."""
    backup(tmp_path / "b.tar")
    before = contents(recorded / "ledger.db")
    done = restore_backup(tmp_path / "b.tar", tmp_path / "other", os.environ)
    after = contents(tmp_path / "other" / "ledger.db")
    assert before["events"] == after["events"][: done.events]
    assert before["private"] == after["private"][: done.events]
    assert (before["blobs"], before["identity"]) == (after["blobs"], after["identity"])
    assert large_blob(recorded).read_bytes() == large_blob(tmp_path / "other").read_bytes()
    assert LOCAL == (tmp_path / "other" / "profiles" / "here.yaml").read_text()
    with open_ledger(tmp_path / "other") as ledger:
        assert "succeeded" == ledger.status("T-1/R-1")
        assert bytes(LARGE) == ledger.hands.blobs.read(hashlib.sha256(bytes(LARGE)).hexdigest())


def test_a_restored_ledger_goes_on_under_a_new_home_and_says_where_it_comes_from(
    recorded: Path, tmp_path: Path
):
    """The first new event names old home, size and root; both ledgers then go their own ways."""
    old = home_id(Home(recorded))
    with open_ledger() as ledger:
        size = ledger.journal.store.tree_head().size
    written = write_backup(tmp_path / "b.tar", os.environ, with_keys=False)
    done = restore_backup(tmp_path / "b.tar", tmp_path / "other", os.environ)
    new = home_id(Home(tmp_path / "other"))
    with open_ledger(tmp_path / "other") as ledger:
        first = next(iter(ledger.journal.read(after=size - 1)))
        event = first.event
        assert isinstance(event, e.LedgerRestored)
        assert (new, old, size, written.root) == (
            event.home,
            event.from_home,
            event.size,
            event.root,
        )
        assert (ledger.journal.store.ledger_id, size) == (first.stream, first.position)
        origin = ledger.journal.store.origin
        assert f"gesta/{ledger.journal.store.ledger_id}/{new}" == origin
        assert event.key.startswith(f"{origin}+")
        assert event.note is not None
        assert event.note.startswith(f"gesta/{ledger.journal.store.ledger_id}\n{size}\n")
        with ledger.run(task="T-1", run="R-2") as run:
            assert new == run.state.home
    assert (old, new) == (done.from_home, done.home_id)
    assert old != new
    assert uuid.UUID(new).version == 4


def test_what_the_original_has_open_is_not_touched_by_the_restored_ledger(
    recorded: Path, tmp_path: Path
):
    """A run of the other home can be read and not be worked in; its worktree stays."""
    with open_ledger() as ledger:
        active = ledger.open(task="T-1", run="R-2")
        workspace = active.workspace
    backup(tmp_path / "b.tar")
    restore_backup(tmp_path / "b.tar", tmp_path / "other", os.environ)
    with open_ledger(tmp_path / "other") as ledger:
        assert "open" == ledger.status("R-2")
        with pytest.raises(MoveIllegal, match=r"cannot work in run R-2: it belongs to home"):
            ledger.resume("R-2").__enter__()
    assert workspace.is_dir()
    with open_ledger() as ledger, ledger.resume("R-2") as active:
        active.close()
    assert not workspace.exists()


def test_a_backup_made_while_others_append_is_whole(recorded: Path, tmp_path: Path):
    """Three processes append events and blobs all the time; each backup passes every check."""
    program = f"""
import os, sys
from adapters import open_ledger
number = 0
with open_ledger() as ledger:
    print("ready", flush=True)
    while True:
        number += 1
        with ledger.run(task="T-{{}}") as run:
            run.execute(["head", "-c", str({LARGE} + number), "/dev/zero"])
"""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", program.replace("{}", str(number))],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        )
        for number in range(3)
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert b"ready\n" == writer.stdout.readline()
        sizes: list[int] = []
        while len(sizes) < 4 or sizes[0] == sizes[-1]:
            file = tmp_path / f"{len(sizes)}.tar"
            backup(file)
            place = tmp_path / f"home-{len(sizes)}"
            sizes.append(restore_backup(file, place, os.environ).events)
        assert [None] * 3 == [writer.poll() for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    assert sizes == sorted(sizes)


def test_a_missing_or_damaged_blob_is_reported_and_stays_missing(recorded: Path, tmp_path: Path):
    """What is not whole in the store is named, is not in the backup, and nothing hides that."""
    large = large_blob(recorded)
    large.write_bytes(large.read_bytes()[:-1])
    digest = hashlib.sha256(bytes(LARGE)).hexdigest()
    done = write_backup(tmp_path / "b.tar", os.environ, with_keys=False)
    assert (digest,) == done.missing
    assert (digest,) == restore_backup(tmp_path / "b.tar", tmp_path / "o", os.environ).missing
    with open_ledger(tmp_path / "o") as ledger, pytest.raises(BlobMissing):
        ledger.hands.blobs.read(digest)


def test_an_erased_private_part_does_not_stand_in_the_way(recorded: Path, tmp_path: Path):
    """A private row that is gone is gone in the backup, too; the tree is whole without it."""
    with closing(sqlite3.connect(recorded / "ledger.db")) as connection:
        connection.execute("DELETE FROM private WHERE position = 2")
        connection.commit()
    backup(tmp_path / "b.tar")
    restore_backup(tmp_path / "b.tar", tmp_path / "o", os.environ)
    positions = [row[0] for row in contents(tmp_path / "o" / "ledger.db")["private"]]
    assert 2 not in positions
    assert 1 in positions


def test_a_backup_never_replaces_a_file(recorded: Path, tmp_path: Path):
    """What is there under the name stays; nothing else is left behind."""
    (tmp_path / "b.tar").write_text("precious")
    with pytest.raises(BackupFailed, match=r"cannot write backup .*: it exists; give another name"):
        write_backup(tmp_path / "b.tar", os.environ, with_keys=False)
    assert "precious" == (tmp_path / "b.tar").read_text()


def test_a_backup_that_fails_leaves_nothing(recorded: Path, tmp_path: Path):
    """Without room for it there is no file under the name, and no draft beside it."""
    place = tmp_path / "small"
    place.mkdir()
    program = """
import os, resource, sys
from pathlib import Path
from adapters.upkeep import write_backup
from ledger.errors import BackupFailed
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (38_000, 38_000))
try:
    write_backup(Path(sys.argv[1]), os.environ, with_keys=False)
except BackupFailed as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(place / "b.tar")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("cannot write backup ")
    assert [] == list(place.iterdir())


def test_a_backup_is_closed_to_others(recorded: Path, tmp_path: Path):
    """Whoever may read the ledger may read its backup, and nobody else."""
    backup(tmp_path / "b.tar")
    assert 0o600 == (tmp_path / "b.tar").stat().st_mode & 0o777
    restore_backup(tmp_path / "b.tar", tmp_path / "o", os.environ)
    assert 0o700 == (tmp_path / "o").stat().st_mode & 0o777


def test_there_is_no_backup_of_a_ledger_that_is_not_there(home: Path, tmp_path: Path):
    """A mistyped home is not made."""
    with pytest.raises(StoreUnavailable, match=r"cannot back it up: there is no ledger in .*home"):
        write_backup(tmp_path / "b.tar", os.environ, with_keys=False)
    assert not home.exists()


@pytest.mark.parametrize("what", ["file in it", "file", "link to nothing"])
def test_a_home_that_holds_anything_is_not_restored_into(recorded: Path, tmp_path: Path, what: str):
    """Only an empty place becomes a home; what is there stays as it is."""
    backup(tmp_path / "b.tar")
    place = tmp_path / "other"
    match what:
        case "file in it":
            place.mkdir()
            (place / "notes").touch()
        case "file":
            place.touch()
        case _:
            place.symlink_to("nowhere")
    with pytest.raises(HomeRefused, match="it is not empty; name another place"):
        restore_backup(tmp_path / "b.tar", place, os.environ)
    assert {"b.tar", "home", "other", "repository"} == {one.name for one in tmp_path.iterdir()}


def test_an_empty_directory_becomes_the_home(recorded: Path, tmp_path: Path):
    """A directory that was made for it is taken."""
    backup(tmp_path / "b.tar")
    (tmp_path / "other").mkdir()
    restore_backup(tmp_path / "b.tar", tmp_path / "other", os.environ)
    assert (tmp_path / "other" / "ledger.db").is_file()


def test_no_home_is_restored_into_a_checkout(recorded: Path, repository: Path, tmp_path: Path):
    """`git clean` would delete it there."""
    backup(tmp_path / "b.tar")
    with pytest.raises(HomeRefused, match="it is inside the git checkout"):
        restore_backup(tmp_path / "b.tar", repository / "home", os.environ)


def test_keys_are_in_a_backup_only_if_they_were_asked_for(recorded: Path, tmp_path: Path):
    """With them the old key comes along, and never signs in the new home."""
    (old,) = (recorded / "keys").iterdir()
    backup(tmp_path / "without.tar")
    backup(tmp_path / "with.tar", with_keys=True)
    restore_backup(tmp_path / "without.tar", tmp_path / "a", os.environ)
    restore_backup(tmp_path / "with.tar", tmp_path / "b", os.environ)
    (fresh,) = (tmp_path / "a" / "keys").iterdir()
    assert old.name != fresh.name
    assert old.read_bytes() == (tmp_path / "b" / "keys" / old.name).read_bytes()
    assert 0o600 == (tmp_path / "b" / "keys" / old.name).stat().st_mode & 0o777
    secret = old.read_text().strip().rpartition("+")[2]
    for path in (tmp_path / "b" / "keys").iterdir():
        assert (secret in path.read_text()) == (path.name == old.name)


def test_two_histories_are_never_signed_by_one_key(recorded: Path, tmp_path: Path):
    """Original and restored ledger go on; every head bears the name and key of its own log."""
    backup(tmp_path / "b.tar", with_keys=True)
    restore_backup(tmp_path / "b.tar", tmp_path / "other", os.environ)
    signed = []
    for home in (recorded, tmp_path / "other"):
        with open_ledger(home) as ledger:
            with ledger.run(task="T-1", run="R-2"):
                pass
            signed.append(parse_note(ledger.journal.store.head_note()))
    ours, theirs = signed
    assert ours.text.partition("\n")[0] != theirs.text.partition("\n")[0]
    assert set() == {(one.name, one.key_id) for one in ours.signatures} & {
        (one.name, one.key_id) for one in theirs.signatures
    }


def test_a_restored_ledger_can_itself_be_backed_up_and_restored(recorded: Path, tmp_path: Path):
    """From home to home the history grows by one event each, and every check passes."""
    place = recorded
    for number in range(3):
        file = tmp_path / f"{number}.tar"
        assert () == write_backup(file, {"GESTA_HOME": str(place)}, with_keys=False).missing
        place = tmp_path / f"home-{number}"
        restore_backup(file, place, os.environ)
    with open_ledger(place) as ledger:
        restored = [r for r in ledger.journal.read() if isinstance(r.event, e.LedgerRestored)]
    assert 3 == len(restored)


def test_a_restored_ledger_verifies(recorded: Path, tmp_path: Path):
    """Heads kept under the old name hold by the old key, later ones by the new one."""
    backup(tmp_path / "b.tar")
    restore_backup(tmp_path / "b.tar", tmp_path / "other", os.environ)
    with open_ledger(tmp_path / "other") as ledger, ledger.run(task="T-1"):
        pass
    done = gesta(
        "verify", "--blobs", "--signatures", cwd=tmp_path, GESTA_HOME=str(tmp_path / "other")
    )
    assert 0 == done.code, done.out + done.err.encode()
