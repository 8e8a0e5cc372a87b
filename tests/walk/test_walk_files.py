"""Files of the workspace, written and read so that it is on record."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from ledger import events as e
from ledger.errors import FileRefused, MoveIllegal, StoreUnavailable
from ledger.files import FileDenial
from tests.fakes.world import World


def digest(data: bytes) -> str:
    """Return the SHA-256 of *data*, as events have it."""
    return hashlib.sha256(data).hexdigest()


def test_a_write_is_requested_done_and_recorded(world: World) -> None:
    """The request has the digest of what was there, the outcome that of what is."""
    with world.ledger.run() as run:
        run.write_file("notes.txt", b"one")
        run.write_file("notes.txt", b"three")
        assert b"three" == world.machine.trees[run.workspace]["notes.txt"]
        first, second = (digest(b"one"), digest(b"three"))
        expected = [
            e.FileWriteRequested(file="f1", size=3, private=e.FileText(path="notes.txt")),
            e.FileWritten(file="f1", size=3, private=e.FileText(path="notes.txt", after=first)),
            e.FileWriteRequested(
                file="f2", size=5, private=e.FileText(path="notes.txt", before=first)
            ),
            e.FileWritten(
                file="f2",
                size=5,
                private=e.FileText(path="notes.txt", before=first, after=second),
            ),
        ]
        assert expected == world.events(run.stream)[-4:]


def test_the_outcome_of_a_write_names_its_request_as_the_cause(world: World) -> None:
    """Cause and effect are linked in the store."""
    with world.ledger.run() as run:
        run.write_file("notes.txt", b"one")
        requested, written = world.records(run.stream)[-2:]
        assert requested.id == written.cause


@pytest.mark.parametrize("path", ["notes.txt", "/workspace/notes.txt", "./notes.txt"])
def test_a_file_is_read_back_by_any_of_its_names(world: World, path: str) -> None:
    """`/workspace/…` is another spelling of a path relative to the workspace."""
    with world.ledger.run() as run:
        run.write_file("notes.txt", b"one")
        assert b"one" == run.read_file(path)
        expected = e.FileRead(
            file="f2",
            size=3,
            private=e.FileText(path="notes.txt", before=digest(b"one"), after=digest(b"one")),
        )
        assert expected == world.events(run.stream)[-1]


@pytest.mark.parametrize("action", ["write", "read"])
@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/etc/passwd", "it is not in the workspace"),
        ("/workspace/../x", "it is not a file in the workspace"),
        ("../x", "it is not a file in the workspace"),
        ("a/../../x", "it is not a file in the workspace"),
        ("", "it is not a file in the workspace"),
        ("/workspace", "it is not a file in the workspace"),
        ("a\0b", "it is not a file in the workspace"),
    ],
)
def test_no_path_leads_out(world: World, action: str, path: str, why: str) -> None:
    """What is not a file of the workspace is denied, on record, and never touched."""
    with world.ledger.run() as run:
        act = run.read_file if action == "read" else lambda where: run.write_file(where, b"x")
        with pytest.raises(FileRefused) as caught:
            act(path)
        assert f"cannot {action} {path!r}: {why}" == str(caught.value)
        expected = e.FileDenied(
            file="f1",
            action=action,  # type: ignore[arg-type]
            reason="outside",
            private=e.FileDeniedText(path=path, rule=why),
        )
        assert expected == world.events(run.stream)[-1]
        assert "files.write" not in world.machine.fuse.passed
        assert "files.read" not in world.machine.fuse.passed


@pytest.mark.parametrize(
    ("path", "is_protected"),
    [
        ("docs", True),
        ("docs/a", True),
        ("./docs//a", True),
        ("/workspace/docs/a", True),
        ("docs2", False),
        ("a/docs", False),
    ],
)
def test_a_protected_path_is_not_written(
    world_with: Callable[..., World], path: str, is_protected: bool
) -> None:
    """What lies at or below a protected path is denied by the key that protects it."""
    world = world_with(protected=("docs",))
    with world.ledger.run() as run:
        if not is_protected:
            run.write_file(path, b"x")
            return
        with pytest.raises(FileRefused, match=r"paths\.protected: docs"):
            run.write_file(path, b"x")
        assert "protected" == world.only(run.stream, e.FileDenied).reason
        assert {} == world.machine.trees[run.workspace]


def test_a_protected_path_can_be_read(world_with: Callable[..., World]) -> None:
    """Protection is against change."""
    world = world_with(protected=("docs",))
    with world.ledger.run() as run:
        world.machine.trees[run.workspace]["docs/a"] = b"a"
        assert b"a" == run.read_file("docs/a")


def test_a_file_that_cannot_be_read_is_denied(world: World) -> None:
    """What the file system said is the rule that denied it."""
    with world.ledger.run() as run, pytest.raises(FileRefused) as caught:
        run.read_file("missing.txt")
    assert "cannot read 'missing.txt': it is not there" == str(caught.value)
    denied = world.only(run.stream, e.FileDenied)
    assert ("read", "missing") == (denied.action, denied.reason)


def test_a_path_that_is_no_file_is_not_written(world: World) -> None:
    """What stands there and is no file is found before a write is requested."""
    world.files.denials["a"] = FileDenial("symlink", "it is a symbolic link")
    with world.ledger.run() as run, pytest.raises(FileRefused, match="it is a symbolic link"):
        run.write_file("a", b"x")
    assert "symlink" == world.only(run.stream, e.FileDenied).reason
    assert "FileWriteRequested" not in world.kinds(run.stream)


def test_a_write_that_fails_after_its_request_is_denied_under_its_number(world: World) -> None:
    """The denial is the outcome of the request: the same number, and caused by it."""
    world.files.write_denials["a"] = FileDenial("failed", "the disk is full")
    with world.ledger.run() as run, pytest.raises(FileRefused, match="the disk is full"):
        run.write_file("a", b"x")
    records = {type(record.event): record for record in world.records(run.stream)}
    requested, denied = records[e.FileWriteRequested], records[e.FileDenied]
    assert "f1" == denied.event.file  # type: ignore[attr-defined]
    assert requested.id == denied.cause
    assert "FileWritten" not in world.kinds(run.stream)


def test_an_intent_that_cannot_be_recorded_writes_nothing(world: World) -> None:
    """Without the request on record the file stays as it is."""
    with world.ledger.run() as run:
        world.machine.fuse.break_on("store.append", lambda: StoreUnavailable("cannot append"))
        with pytest.raises(StoreUnavailable):
            run.write_file("a", b"x")
        assert {} == world.machine.trees[run.workspace]


def test_a_closed_run_writes_and_reads_nothing(world: World) -> None:
    """After the end no file is touched, and no denial is recorded."""
    with world.ledger.run() as run:
        run.write_file("a", b"x")
        before = run.workspace
        run.close()
        world.machine.trees[before] = {"a": b"x"}
        with pytest.raises(MoveIllegal, match="cannot write a file"):
            run.write_file("a", b"y")
        with pytest.raises(MoveIllegal, match="cannot read a file"):
            run.read_file("a")
        with pytest.raises(MoveIllegal, match="cannot read a file"):
            run.read_file("../a")
        assert {"a": b"x"} == world.machine.trees.pop(before)
