"""The store in SQLite: the contract, and what real processes do to one file."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from eventsourcing.application import Application
from eventsourcing.persistence import IntegrityError, NotSupportedError
from eventsourcing.utils import Environment

from adapters.sqlite_store import Factory, SQLiteStore, open_store
from ledger.errors import StoreUnavailable, StoreUnknown
from ledger.store import Store
from tests.contracts.store_contract import MakeStore, StoreContract, append, check_log, note_of

ROOT = Path(__file__).parents[2]
PREAMBLE = """
import sys
from pathlib import Path
from adapters.sqlite_store import open_store
from tests.contracts.store_contract import append
path, number = Path(sys.argv[1]), int(sys.argv[2])
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger is."""
    return tmp_path / "ledger.db"


@pytest.fixture
def make_store(path: Path) -> Iterator[MakeStore]:
    """Open the ledger at every call; close all of them at the end."""
    stores: list[SQLiteStore] = []

    def make() -> Store:
        stores.append(open_store(path, synchronous="OFF"))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def start(program: str, path: Path, number: int = 0) -> subprocess.Popen[str]:
    """Start a process that runs *program* after the preamble."""
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + program, str(path), str(number)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def results(processes: list[subprocess.Popen[str]]) -> list[str]:
    """Return what each process printed, all of them ended well."""
    found = [process.communicate(timeout=100)[0] for process in processes]
    assert [0] * len(processes) == [process.returncode for process in processes], found
    return found


class TestSQLiteStore(StoreContract):
    """SQLite keeps the contract of every store."""


def test_eight_processes_that_open_a_new_ledger_and_append_lose_nothing(path: Path) -> None:
    """Everybody opens the same ledger, nobody gets an error, positions and tree are whole."""
    program = """
store = open_store(path)
print(store.ledger_id)
for version in range(10):
    append(store, f"s{number}", version)
    append(store, f"t{number}", version * 2, 2)
"""
    ids = results([start(program, path, number) for number in range(8)])
    assert 1 == len(set(ids))
    with closing(open_store(path)) as store:
        assert store.ledger_id == ids[0].strip()
        check_log(store, 8 * 10 * 3)


def test_two_processes_at_one_version_exactly_one_wins(path: Path) -> None:
    """Of processes that race for every version of one stream, one wins each."""
    program = """
from eventsourcing.persistence import IntegrityError
store = open_store(path, synchronous="OFF")
won = 0
print("ready", flush=True)
sys.stdin.readline()
for version in range(100):
    try:
        append(store, "a", version)
        won += 1
    except IntegrityError:
        pass
print(won)
"""
    processes = [start(program, path, number) for number in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
    won = [int(text) for text in results(processes)]
    assert 100 == sum(won)
    with closing(open_store(path)) as store:
        check_log(store, 100)


def test_a_killed_writer_leaves_a_whole_ledger(path: Path) -> None:
    """After SIGKILL in the middle of appending, all that was answered is there, in one tree."""
    program = """
store = open_store(path)
for version in range(100_000):
    append(store, "a", version)
    print(version, flush=True)
"""
    process = start(program, path)
    assert process.stdout is not None
    for _ in range(50):
        answered = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    rest = process.communicate()[0].splitlines()
    answered = max([answered, *(int(line) for line in rest if line)])
    with closing(open_store(path)) as store:
        size = store.tree_head().size
        assert size in (answered + 1, answered + 2)
        check_log(store, size)
        append(store, "a", size)


def test_a_full_disk_is_said_and_survived(path: Path) -> None:
    """A write beyond the limit fails as unavailable; the ledger is whole and goes on."""
    program = """
import resource
from ledger.errors import StoreUnavailable
store = open_store(path)
append(store, "a", 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
version = 1
try:
    while version < 1000:
        append(store, "a", version, private=b"x" * 5000)
        version += 1
except StoreUnavailable as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
append(store, "a", version)
print(version)
"""
    message, version = results([start(program, path)])[0].splitlines()
    assert message.startswith("cannot append to the ledger: ")
    with closing(open_store(path)) as store:
        check_log(store, int(version) + 1)


def test_a_commit_that_failed_is_not_in_the_way_of_the_next(path: Path) -> None:
    """An append without room fails as unavailable and leaves nothing; the next one works."""
    with closing(open_store(path, synchronous="OFF")) as store:
        append(store, "a", 0)
        connection = store.connections.connection_for_writing()
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreUnavailable, match=r"^cannot append to the ledger: .* full$"):
            append(store, "a", 1, private=b"x" * 100_000)
        check_log(store, 1)
        assert [1] == append(store, "a", 1, private=b"x" * 100_000)
        check_log(store, 2)


def test_a_process_that_forks_while_threads_append_loses_nothing(path: Path) -> None:
    """Children forked in the middle of appending go on with connections of their own."""
    program = """
import os, threading
store = open_store(path, synchronous="OFF")
def work(name):
    for version in range(50):
        append(store, name, version)
        store.tree_head()
threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
for thread in threads:
    thread.start()
children = []
for n in range(4):
    child = os.fork()
    if child == 0:
        work(f"c{n}")
        os._exit(0)
    children.append(child)
for thread in threads:
    thread.join()
store.close()
assert [0] * 4 == [os.waitpid(child, 0)[1] for child in children]
"""
    results([start(program, path)])
    with closing(open_store(path)) as store:
        check_log(store, 400)


def test_a_forked_child_goes_on_when_its_parent_closed_the_ledger(path: Path) -> None:
    """The parent, closing, does not take itself for the last and remove the child's log."""
    program = """
import os
store = open_store(path, synchronous="OFF")
append(store, "a", 0)
asking, answering = os.pipe()
child = os.fork()
if child == 0:
    append(store, "a", 1)
    os.write(answering, b"x")
    os.close(answering)
    sys.stdin.readline()
    append(store, "a", 2)
    os._exit(0)
os.read(asking, 1)
store.close()
print("closed", flush=True)
assert 0 == os.waitpid(child, 0)[1]
"""
    process = start(program, path)
    assert process.stdout is not None
    assert "closed\n" == process.stdout.readline()
    results([process])
    with closing(open_store(path)) as store:
        check_log(store, 3)


def test_reading_does_not_wait_for_a_writer(path: Path) -> None:
    """While another holds the write lock, rows, tree and blobs are read as before it."""
    with closing(open_store(path)) as store:
        append(store, "a", 0)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("DELETE FROM private")
            check_log(store, 1)
            assert [True] == [row.private is not None for row in store.page()]
            assert store.blob_row("0" * 64) is None


def test_one_append_is_a_fixed_number_of_statements(path: Path) -> None:
    """Begin, look, event, private part, tree, commit: six, however large the ledger is."""
    with closing(open_store(path)) as store:
        for version in range(20):
            append(store, "a", version)
        store.close()
        seen: list[str] = []
        store.connections.trace = seen.append
        append(store, "a", 20)
        seen.clear()
        append(store, "a", 21)
        verbs = ["BEGIN", "SELECT", "INSERT", "INSERT", "UPDATE", "COMMIT"]
        assert verbs == [text.split()[0] for text in seen]
        seen.clear()
        append(store, "a", 22, 10)
        assert 4 + 2 * 10 == len(seen)


def test_a_signature_costs_no_statement(path: Path) -> None:
    """It goes with the tree; only where the head is kept for good there is one more."""
    with closing(open_store(path)) as store:
        store.sign_with(note_of)
        append(store, "a", 0)
        store.close()
        seen: list[str] = []
        store.connections.trace = seen.append
        append(store, "a", 1)
        seen.clear()
        append(store, "a", 2)
        assert 6 == len(seen)
        seen.clear()
        append(store, "a", 3, keep_head=True)
        assert 7 == len(seen)


def test_each_read_is_one_statement(path: Path) -> None:
    """Rows come with their private parts in one statement."""
    with closing(open_store(path)) as store:
        append(store, "a", 0, 30)
        store.close()
        seen: list[str] = []
        store.connections.trace = seen.append
        store.tree_head()
        for read in (
            lambda: store.stream_rows("a"),
            store.page,
            store.tree_head,
            store.head_note,
            store.newest_checkpoint,
            lambda: store.checkpoint(1),
            lambda: store.blob_row("0" * 64),
            lambda: store.select_events("a"),
        ):
            seen.clear()
            read()
            assert 1 == len(seen), seen


def test_a_commit_is_synced_unless_less_was_asked_for(path: Path) -> None:
    """The writing connection syncs at every commit by default, and the environment can say less."""
    for asked, level in (("", 2), ("off", 0), ("normal", 1)):
        environment = {
            "SQLITE_DBNAME": str(path),
            "ORIGINATOR_ID_TYPE": "text",
            "GESTA_SYNCHRONOUS": asked,
        }
        with closing(Factory(environment)) as factory:
            connection = factory.application_recorder().connections.connection_for_writing()
            assert (level,) == connection.execute("PRAGMA synchronous").fetchone()
            assert ("wal",) == connection.execute("PRAGMA journal_mode").fetchone()


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("CREATE TRIGGER t AFTER INSERT ON private BEGIN DELETE FROM private; END", "trigger 't'"),
        ("CREATE VIEW v AS SELECT * FROM private", "view 'v'"),
        ("CREATE TABLE stored_snapshots (x)", "table 'stored_snapshots'"),
        ("CREATE INDEX i ON stored_events (topic)", "index 'i'"),
        ("ALTER TABLE private ADD COLUMN more", "table 'private'"),
    ],
)
def test_a_database_with_foreign_objects_is_refused(path: Path, statement: str, name: str) -> None:
    """What we did not make is named, and the ledger is not opened."""
    open_store(path).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute(statement)
    with pytest.raises(StoreUnknown, match=f"cannot open .*{name} is not one of ours"):
        open_store(path)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DROP INDEX stored_events_stream", "'stored_events_stream' is missing"),
        ("DELETE FROM tree", "identity or its tree is missing"),
        ("DELETE FROM identity", "identity or its tree is missing"),
        ("PRAGMA application_id = 7", "not a ledger of gesta's"),
        (
            "PRAGMA user_version = 9",
            r"it was written by a newer version \(store 9, this is 2\)",
        ),
    ],
)
def test_a_database_that_is_not_ours_any_more_is_refused(
    path: Path, statement: str, said: str
) -> None:
    """A ledger that lacks a part, bears another mark or is newer is not opened."""
    open_store(path).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute(statement)
        other.commit()
    with pytest.raises(StoreUnknown, match=f"cannot open .*{said}"):
        open_store(path)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    """Another program's file is not opened, and stays as it is."""
    path.write_bytes(b"something else\n" * 100)
    with pytest.raises(StoreUnknown, match=r"cannot open .*: file is not a database"):
        open_store(path)
    assert b"something else\n" * 100 == path.read_bytes()


def test_a_database_of_another_program_is_refused(path: Path) -> None:
    """A database that is not a ledger gets none of our tables."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StoreUnknown, match="not a ledger of gesta's"):
        open_store(path)
    with closing(sqlite3.connect(path)) as other:
        assert [("theirs",)] == other.execute("SELECT name FROM sqlite_schema").fetchall()


def test_a_ledger_that_is_only_to_be_read_is_not_made(path: Path) -> None:
    """With `create` off a missing ledger stays missing."""
    with pytest.raises(StoreUnavailable, match=r"cannot open .*: it does not exist"):
        open_store(path, create=False)
    assert not path.exists()


def test_a_ledger_whose_database_is_gone_is_not_begun_over_its_log(path: Path) -> None:
    """Writes of another database that are waiting beside the place are not taken for ours."""
    Path(f"{path}-wal").write_bytes(b"x" * 100)
    with pytest.raises(StoreUnavailable, match=r"cannot create .* of another database"):
        open_store(path)
    assert not path.exists()


def test_a_killed_creator_leaves_nothing_in_the_way(path: Path) -> None:
    """A half-made draft of a database is replaced, and never opened as one."""
    path.with_name("ledger.db.new").write_bytes(b"half")
    with closing(open_store(path)) as store:
        append(store, "a", 0)
    assert ["ledger.db", "ledger.db.lock"] == sorted(one.name for one in path.parent.iterdir())
    assert 0o600 == path.stat().st_mode & 0o777


def test_events_that_are_not_those_of_the_tree_are_not_appended_to(path: Path) -> None:
    """A tree that was set back does not get a second event at one position."""
    with closing(open_store(path)) as store:
        append(store, "a", 0, 2)
        with closing(sqlite3.connect(path)) as other:
            other.execute("UPDATE tree SET size = 0, edge = x''")
            other.commit()
        with pytest.raises(StoreUnknown, match="its events are not those of its tree"):
            append(store, "b", 0)
        with closing(sqlite3.connect(path)) as other:
            other.execute("UPDATE tree SET size = 5")
            other.commit()
        with pytest.raises(StoreUnknown, match="cannot read the ledger's tree"):
            append(store, "b", 0)
        with pytest.raises(StoreUnknown, match="cannot read the ledger's tree"):
            store.tree_head()


class LedgerApplication(Application[str]):
    """An application of the library's, configured as ours is."""

    name = "gesta"

    def construct_env(self, name: str, env: Any = None) -> Environment:
        """Return *env* alone."""
        return Environment(name, dict(env))


def test_the_library_finds_the_store_by_its_environment(path: Path) -> None:
    """The module is a persistence module: the environment alone makes an application use it."""
    environment = {
        "PERSISTENCE_MODULE": "adapters.sqlite_store",
        "SQLITE_DBNAME": str(path),
        "ORIGINATOR_ID_TYPE": "text",
    }
    application = LedgerApplication(environment)
    assert isinstance(application.recorder, SQLiteStore)
    append(application.recorder, "a", 0, 3)
    found = application.repository.event_store.recorder.select_events("a")
    assert [0, 1, 2] == [one.originator_version for one in found]
    application.close()


@pytest.mark.parametrize(
    ("key", "value"), [("GESTA_SYNCHRONOUS", "maybe"), ("ORIGINATOR_ID_TYPE", "uuid")]
)
def test_an_environment_that_makes_no_ledger_is_refused(path: Path, key: str, value: str) -> None:
    """A key with a value that we cannot keep to is an error that names the key."""
    environment = {"SQLITE_DBNAME": str(path), "ORIGINATOR_ID_TYPE": "text", key: value}
    with pytest.raises(OSError, match=f"cannot use {key}"):
        Factory(environment)


def test_the_librarys_own_tables_are_not_made(path: Path) -> None:
    """Snapshots and tracking are refused: their tables would be foreign to the ledger."""
    with closing(Factory({"SQLITE_DBNAME": str(path), "ORIGINATOR_ID_TYPE": "text"})) as factory:
        for make in (
            factory.aggregate_recorder,
            factory.tracking_recorder,
            factory.process_recorder,
        ):
            with pytest.raises(NotSupportedError):
                make()


def test_a_row_that_cannot_be_stored_fails_alone_in_its_group(path: Path) -> None:
    """Of batches in one transaction the one with an impossible value is taken back."""
    from eventsourcing.persistence import StoredEvent

    from adapters.sqlite.append import Batch
    from ledger.merkle import event_leaf

    def batch(stream: str, version: int, topic: Any) -> Batch:
        leaf = event_leaf(stream, version, "t.1", b"{}")
        return Batch([StoredEvent(stream, version, topic, b"{}")], [leaf], [None], [])

    with closing(open_store(path)) as store:
        outcomes = store.connections.writer().append(
            [batch("a", 0, "t.1"), batch("b", 0, None), batch("b", 1, "t.1"), batch("c", 0, "t.1")]
        )
        assert range(1) == outcomes[0]
        assert isinstance(outcomes[1], StoreUnknown)
        assert isinstance(outcomes[2], IntegrityError)
        assert range(1, 2) == outcomes[3]
        check_log(store, 2)
