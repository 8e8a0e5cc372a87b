"""Archives that are not what they should be: each is refused, and leaves nothing anywhere."""

from __future__ import annotations

import hashlib
import io
import os
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters import open_ledger
from adapters.backup.archive import Manifest
from adapters.upkeep import restore_backup, write_backup
from ledger.errors import BackupFailed, BackupRefused
from tests.cli.gesta import LOCAL, profile

Members = dict[str, bytes]


@pytest.fixture
def good(home: Path, repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Members:
    """Give the members of a backup by name, in order."""
    profile(home, "here", LOCAL)
    monkeypatch.setenv("GESTA_PROFILE", "here")
    monkeypatch.chdir(repository)
    with open_ledger() as ledger, ledger.run(task="T-1") as run:
        run.execute(["sh", "-c", "head -c 100000 /dev/zero; echo small >&2"])
    write_backup(tmp_path / "good.tar", os.environ, with_keys=False)
    with tarfile.open(tmp_path / "good.tar") as archive:
        return {info.name: _read(archive, info) for info in archive}


def _read(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(info)
    assert file is not None
    return file.read()


def regular(name: str, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    """Return a regular member."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    return info, data


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    """Return a member that is no regular file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def pack(
    file: Path,
    members: list[tuple[tarfile.TarInfo, bytes]],
    form: int = tarfile.GNU_FORMAT,
    headers: dict[str, str] | None = None,
) -> None:
    """Write *members* as an archive."""
    with tarfile.open(file, "w", format=form, pax_headers=headers) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))


def check_refused(tmp_path: Path, said: str) -> None:
    """Restore `bad.tar`, which must fail with what is *said* and leave nothing."""
    before = {one.name for one in tmp_path.iterdir()}
    with pytest.raises(BackupRefused, match=said):
        restore_backup(tmp_path / "bad.tar", tmp_path / "other", os.environ)
    assert before == {one.name for one in tmp_path.iterdir()}


BLOB = "blobs/sha256/ab/" + "c" * 62


@pytest.mark.parametrize(
    "member",
    [
        regular("../escaped", b"x"),
        regular("/tmp/escaped", b"x"),
        regular("blobs/sha256/ab/../../../../escaped", b"x"),
        regular("home.id", b"0d8d9b4c-0b2f-4f0c-9a52-0a4d6b1f1c11\n"),
        regular("ledger.db-wal", b"x"),
        regular("profiles/.yaml", b"x"),
        regular("profiles/a\n.yaml", b"x"),
        regular("blobs/sha256/AB/" + "c" * 62, b"x"),
        special("keys/link", tarfile.SYMTYPE, "/etc/passwd"),
        special("keys/link", tarfile.LNKTYPE, "ledger.db"),
        special("keys/pipe", tarfile.FIFOTYPE),
        special("keys/device", tarfile.CHRTYPE),
        special("keys/device", tarfile.BLKTYPE),
        special("blobs", tarfile.DIRTYPE),
        special(BLOB, tarfile.GNUTYPE_SPARSE),
        regular("profiles/" + "a" * 200 + ".yaml", b"x"),
    ],
    ids=lambda member: f"{member[0].type!r} {member[0].name[:30]!r}",
)
def test_a_member_that_has_no_place_in_a_backup_is_refused(
    good: Members, tmp_path: Path, member: tuple[tarfile.TarInfo, bytes]
):
    """Other names, paths that lead out, links, devices, directories and sparse files."""
    pack(tmp_path / "bad.tar", [*(regular(*one) for one in good.items()), member])
    check_refused(tmp_path, "has no place in a backup")
    assert not Path("/tmp/escaped").exists()


def test_extended_headers_are_not_interpreted(good: Members, tmp_path: Path):
    """A header that would give the next member another name or size is itself refused."""
    members = [regular(*one) for one in good.items()]
    pack(tmp_path / "bad.tar", members, tarfile.PAX_FORMAT, {"path": "../escaped"})
    check_refused(tmp_path, "has no place in a backup")


def test_a_member_that_is_there_twice_is_refused(good: Members, tmp_path: Path):
    """The second of a name cannot take the place of the one that was checked."""
    pack(
        tmp_path / "bad.tar", [*(regular(*one) for one in good.items()), regular("ledger.db", b"")]
    )
    check_refused(tmp_path, r"its member 'ledger\.db' is there twice")


def test_a_size_that_the_archive_cannot_hold_is_refused(good: Members, tmp_path: Path):
    """A header that claims eight exbibytes costs neither memory nor disk."""
    info = tarfile.TarInfo(BLOB)
    info.size = 2**62
    data = b"".join((info.tobuf(tarfile.GNU_FORMAT), bytes(1024)))
    pack(tmp_path / "bad.tar", [regular(*one) for one in good.items()])
    whole = (tmp_path / "bad.tar").read_bytes().rstrip(b"\0")
    (tmp_path / "bad.tar").write_bytes(whole + bytes(-len(whole) % 512) + data)
    check_refused(tmp_path, "it is cut off in its member 'blobs/")


@pytest.mark.parametrize("keep", [0, 1, 511, 512, 5000])
def test_an_archive_that_is_cut_off_is_refused(good: Members, tmp_path: Path, keep: int):
    """Wherever it ends, it is not taken for a whole one."""
    pack(tmp_path / "bad.tar", [regular(*one) for one in good.items()])
    (tmp_path / "bad.tar").write_bytes((tmp_path / "bad.tar").read_bytes()[:keep])
    check_refused(tmp_path, "cannot restore: ")


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, good: Members):
    """Another program's file is named as what it is not."""
    (tmp_path / "bad.tar").write_bytes(os.urandom(4096))
    check_refused(tmp_path, "it is not a whole tar archive")


@pytest.mark.parametrize("name", ["ledger.db", "profiles/here.yaml"])
def test_a_listed_member_must_be_there_and_be_the_one(good: Members, tmp_path: Path, name: str):
    """One that is missing or has other bytes than the list says is refused."""
    pack(tmp_path / "bad.tar", [regular(*one) for one in good.items() if one[0] != name])
    check_refused(tmp_path, f"its member {name!r} is missing")
    pack(tmp_path / "bad.tar", [regular(*one) for one in {**good, name: b"other"}.items()])
    check_refused(tmp_path, f"its member {name!r} is not the one it lists")


def test_a_member_that_is_not_listed_is_refused(good: Members, tmp_path: Path):
    """A profile cannot be slipped in."""
    extra = regular("profiles/default.yaml", b"sandbox: {enabled: false}\n")
    pack(tmp_path / "bad.tar", [*(regular(*one) for one in good.items()), extra])
    check_refused(tmp_path, r"its member 'profiles/default\.yaml' is not the one it lists")


def test_a_blob_that_is_missing_or_another_is_refused(good: Members, tmp_path: Path):
    """What an event names must be there, with the bytes that the name says."""
    name = next(name for name in good if name.startswith("blobs/"))
    pack(tmp_path / "bad.tar", [regular(*one) for one in good.items() if one[0] != name])
    check_refused(tmp_path, "its blob [0-9a-f]{64} is missing or damaged")
    pack(tmp_path / "bad.tar", [regular(*one) for one in {**good, name: b"other"}.items()])
    check_refused(tmp_path, "its blob [0-9a-f]{64} is missing or damaged")


def repacked(good: Members, tmp_path: Path, change: Callable[[sqlite3.Connection], object]) -> None:
    """Write `bad.tar` with a changed database, and a list that knows of the change."""
    database = tmp_path / "changed.db"
    database.write_bytes(good["ledger.db"])
    with closing(sqlite3.connect(database)) as connection:
        change(connection)
        connection.commit()
    data = database.read_bytes()
    database.unlink()
    relisted(good, tmp_path, data)


def relisted(good: Members, tmp_path: Path, data: bytes, **changes: Any) -> None:
    """Write `bad.tar` with *data* as its database and *changes* in its manifest."""
    manifest = msgspec.json.decode(good["gesta-backup.json"], type=Manifest)
    digest = hashlib.sha256(data).hexdigest()
    files = tuple(
        msgspec.structs.replace(one, size=len(data), sha256=digest)
        if one.name == "ledger.db"
        else one
        for one in manifest.files
    )
    changed = msgspec.structs.replace(manifest, files=files, **changes)
    members = {**good, "gesta-backup.json": msgspec.json.encode(changed), "ledger.db": data}
    pack(tmp_path / "bad.tar", [regular(*one) for one in members.items()])


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE stored_events SET state = x'7B7D' WHERE position = 3", "not those of its leaf"),
        ("UPDATE stored_events SET leaf = zeroblob(32) WHERE position = 3", "the signed head of"),
        ("UPDATE stored_events SET leaf = 'text' WHERE position = 3", "the signed head of"),
        (
            "UPDATE stored_events SET state = 'text' WHERE position = 3",
            "cannot be what was recorded",
        ),
        ("DELETE FROM stored_events WHERE position = 3", "that stood here are gone"),
        ("UPDATE private SET body = x'7B7D' WHERE position = 3", "its private part is not the one"),
        ("UPDATE tree SET size = 1, edge = zeroblob(32)", "the signed head of 1 events does not"),
        ("UPDATE tree SET edge = x'00'", "the stored edge of the tree is not that of its events"),
        ("UPDATE tree SET note = x''", "its last head is not signed"),
        (
            "CREATE TRIGGER t AFTER INSERT ON stored_events BEGIN DELETE FROM private; END",
            "its trigger 't' is not one of ours",
        ),
        ("CREATE VIEW v AS SELECT 1", "its view 'v' is not one of ours"),
        ("PRAGMA user_version = 99", "it was written by a newer version"),
        ("PRAGMA application_id = 7", "it is not a ledger of gesta's"),
    ],
)
def test_a_database_that_does_not_agree_with_itself_is_refused(
    good: Members, tmp_path: Path, statement: str, said: str
):
    """An event, a private part, the tree or the tables that somebody changed are found out."""
    repacked(good, tmp_path, lambda connection: connection.execute(statement))
    check_refused(tmp_path, said)


def test_a_damaged_database_is_refused(good: Members, tmp_path: Path):
    """Pages that SQLite cannot read are said to be damaged."""
    data = bytearray(good["ledger.db"])
    data[4096:12288] = os.urandom(8192)
    relisted(good, tmp_path, bytes(data))
    check_refused(tmp_path, "cannot restore: .*(damaged|malformed)")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"root": "00" * 32}, "its events are not those that it says it has"),
        ({"size": 1}, "its events are not those that it says it has"),
        ({"ledger": "another"}, "its events are not those that it says it has"),
        ({"format": 2}, r"it was written by a newer version \(backup 2, this is 1\)"),
    ],
)
def test_a_manifest_that_contradicts_the_events_is_refused(
    good: Members, tmp_path: Path, changes: dict[str, Any], said: str
):
    """What the archive says of itself is believed only as far as the events bear it out."""
    relisted(good, tmp_path, good["ledger.db"], **changes)
    check_refused(tmp_path, said)


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[" * 100_000, b"\xff", b'{"format": 1, "more": 2}', b"null"]
)
def test_a_manifest_that_is_none_is_refused(good: Members, tmp_path: Path, text: bytes):
    """Whatever stands in its place is refused in one line."""
    members = {**good, "gesta-backup.json": text}
    pack(tmp_path / "bad.tar", [regular(*one) for one in members.items()])
    check_refused(tmp_path, r"its gesta-backup\.json is not one")


def test_a_member_before_the_manifest_is_refused(good: Members, tmp_path: Path):
    """What it holds is said first."""
    members = dict(reversed(good.items()))
    pack(tmp_path / "bad.tar", [regular(*one) for one in members.items()])
    check_refused(tmp_path, "it does not begin as a backup of gesta's does")


def test_a_backup_that_is_not_there_is_said_to_be_missing(tmp_path: Path, home: Path):
    """The file and the reason are named."""
    with pytest.raises(BackupFailed, match=r"cannot restore .*none\.tar into .*: .*No such file"):
        restore_backup(tmp_path / "none.tar", tmp_path / "other", os.environ)
