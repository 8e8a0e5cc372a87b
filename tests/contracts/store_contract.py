"""What every event store must do; run over each one.

A test class of an adapter inherits from `StoreContract` and provides the fixture `make_store`:
a function that opens the same ledger anew at every call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from hashlib import sha256

import pytest
from eventsourcing.persistence import ApplicationRecorder, IntegrityError, StoredEvent

from ledger.errors import KeyRefused, StoreUnknown
from ledger.merkle import TreeHead, event_leaf, extend, format_edge, root
from ledger.outcomes import Blob
from ledger.store import PrivatePart, Row, Store

MakeStore = Callable[[], Store]
TOPIC = "test.happened.1"
SALT = b"s" * 16


def facts_of(stream: str, version: int) -> bytes:
    """Return facts that no other event has."""
    return f'{{"stream":"{stream}","version":{version}}}'.encode()


def append(
    store: Store,
    stream: str,
    first: int,
    count: int = 1,
    *,
    topic: str = TOPIC,
    private: bytes | None = b"private",
    blobs: Sequence[Blob] = (),
    keep_head: bool = False,
) -> list[int]:
    """Append *count* events to *stream* from version *first* on; return their positions."""
    versions = range(first, first + count)
    events = [
        StoredEvent(stream, version, topic, facts_of(stream, version)) for version in versions
    ]
    leaves = [event_leaf(stream, one.originator_version, topic, one.state) for one in events]
    part = None if private is None else PrivatePart(SALT, private)
    return list(
        store.insert_events(
            events, leaves=leaves, private=[part] * count, blobs=blobs, keep_head=keep_head
        )
    )


def whole_log(store: Store) -> list[Row]:
    """Return every row, page by page."""
    rows: list[Row] = []
    while page := store.page(after=rows[-1].position if rows else -1, limit=7):
        rows += page
    return rows


def note_of(head: TreeHead) -> bytes:
    """Return what stands for a signed checkpoint here: the store does not look into it."""
    return b"size %d under %s" % (head.size, root(head).hex().encode())


def check_log(store: Store, count: int) -> None:
    """Assert that the log has *count* events, no gap, and the tree that its rows have."""
    rows = whole_log(store)
    assert list(range(count)) == [row.position for row in rows]
    leaves = [event_leaf(row.stream, row.version, row.topic, row.facts) for row in rows]
    assert leaves == [row.leaf for row in rows]
    assert extend(TreeHead(0, ()), leaves) == store.tree_head()
    versions: dict[str, list[int]] = {}
    for row in rows:
        versions.setdefault(row.stream, []).append(row.version)
    for found in versions.values():
        assert list(range(len(found))) == found


class StoreContract:
    """The rules of `ledger.store.Store`."""

    def test_a_new_ledger_is_empty(self, make_store: MakeStore) -> None:
        """There are no rows, and the tree is the empty one."""
        store = make_store()
        assert TreeHead(0, ()) == store.tree_head()
        assert [] == list(store.page())
        assert [] == list(store.stream_rows("a"))

    def test_positions_go_on_over_all_streams_without_a_gap(self, make_store: MakeStore) -> None:
        """Positions count from 0 in the order of appending, whatever the stream."""
        store = make_store()
        assert [0, 1] == append(store, "a", 0, 2)
        assert [2] == append(store, "b", 0)
        assert [3, 4, 5] == append(store, "a", 2, 3)
        check_log(store, 6)

    def test_what_was_appended_is_read_by_another_store(self, make_store: MakeStore) -> None:
        """A second opening of the ledger finds its id, its rows, its tree."""
        first = make_store()
        append(first, "a", 0, 2)
        second = make_store()
        assert first.ledger_id == second.ledger_id
        assert first.page() == second.page()
        assert first.tree_head() == second.tree_head()

    def test_a_row_is_everything_that_was_appended(self, make_store: MakeStore) -> None:
        """Facts, topic, leaf and private part come back byte for byte."""
        store = make_store()
        append(store, "a", 0, private=b"\x00\xff")
        expected = Row(
            position=0,
            stream="a",
            version=0,
            topic=TOPIC,
            facts=facts_of("a", 0),
            leaf=event_leaf("a", 0, TOPIC, facts_of("a", 0)),
            private=PrivatePart(SALT, b"\x00\xff"),
        )
        assert [expected] == list(store.stream_rows("a"))
        assert [expected] == list(store.page())

    def test_an_event_without_a_private_part_has_none(self, make_store: MakeStore) -> None:
        """No private part is not an empty one."""
        store = make_store()
        append(store, "a", 0, private=None)
        append(store, "a", 1, private=b"")
        assert [None, PrivatePart(SALT, b"")] == [row.private for row in store.stream_rows("a")]

    @pytest.mark.parametrize("version", [0, 1, 3, 9])
    def test_a_version_that_is_not_the_next_one_is_refused(
        self, make_store: MakeStore, version: int
    ) -> None:
        """A taken version and a gap are conflicts, and nothing of the append is left."""
        store = make_store()
        append(store, "a", 0, 2)
        before = store.tree_head()
        blob = Blob(sha256(b"blob").hexdigest(), 4, b"blob")
        with pytest.raises(IntegrityError):
            append(store, "a", version, 2, blobs=[blob])
        assert before == store.tree_head()
        assert store.blob_row(blob.digest) is None
        check_log(store, 2)
        assert [2] == append(store, "a", 2)

    def test_a_stream_begins_at_version_0(self, make_store: MakeStore) -> None:
        """A first event of version 1 is a gap."""
        with pytest.raises(IntegrityError):
            append(make_store(), "a", 1)

    def test_two_stores_at_one_version_exactly_one_wins(self, make_store: MakeStore) -> None:
        """What one store appended is a conflict for the other, which goes on after it."""
        first, second = make_store(), make_store()
        assert [0] == append(first, "a", 0)
        with pytest.raises(IntegrityError):
            append(second, "a", 0)
        assert [1] == append(second, "a", 1)
        assert [2] == append(first, "a", 2)
        check_log(first, 3)

    def test_events_that_do_not_follow_one_another_are_refused(self, make_store: MakeStore) -> None:
        """One append is consecutive events of one stream."""
        store = make_store()
        events = [StoredEvent("a", 0, TOPIC, b"{}"), StoredEvent("b", 1, TOPIC, b"{}")]
        with pytest.raises(ValueError, match="cannot append"):
            store.insert_events(events, leaves=[b"l" * 32] * 2, private=[None] * 2)
        assert [] == list(store.page())

    def test_no_events_are_no_append(self, make_store: MakeStore) -> None:
        """Appending nothing changes nothing."""
        store = make_store()
        assert [] == list(store.insert_events([], leaves=[], private=[]))
        assert 0 == store.tree_head().size

    def test_a_part_of_a_stream_is_read_by_version(self, make_store: MakeStore) -> None:
        """`after` is exclusive, `through` inclusive."""
        store = make_store()
        append(store, "a", 0, 5)
        append(store, "b", 0, 1)
        assert [2, 3] == [row.version for row in store.stream_rows("a", after=1, through=3)]
        assert [4] == [row.version for row in store.stream_rows("a", after=3)]
        assert [0, 1] == [row.version for row in store.stream_rows("a", through=1)]

    def test_a_page_is_limited_filtered_and_turned_round(self, make_store: MakeStore) -> None:
        """Limit, topics and direction can be combined."""
        store = make_store()
        for version in range(6):
            append(store, "a", version, topic=("even.1", "odd.1", "other.1")[version % 3])
        found = store.page(after=0, limit=2, topics=["even.1", "odd.1"])
        assert [1, 3] == [row.position for row in found]
        found = store.page(limit=3, newest_first=True)
        assert [5, 4, 3] == [row.position for row in found]
        found = store.page(limit=2, topics=["even.1"], newest_first=True)
        assert [3, 0] == [row.position for row in found]

    def test_a_small_blob_comes_with_its_event(self, make_store: MakeStore) -> None:
        """A row is stored once, and a blob without a row not at all."""
        store = make_store()
        small = Blob(sha256(b"x").hexdigest(), 1, b"x")
        large = Blob("f" * 64, 1_000_000)
        append(store, "a", 0, blobs=[small, large])
        append(store, "a", 1, blobs=[small])
        assert b"x" == store.blob_row(small.digest)
        assert store.blob_row(large.digest) is None

    def test_every_append_signs_its_head(self, make_store: MakeStore) -> None:
        """The note is that of the tree as it now is, whoever asks."""
        store = make_store()
        assert b"" == store.head_note()
        store.sign_with(note_of)
        for version in range(3):
            append(store, "a", version)
            assert note_of(store.tree_head()) == store.head_note() == make_store().head_note()

    def test_a_store_without_a_signer_has_no_note(self, make_store: MakeStore) -> None:
        """And never the note of an earlier head."""
        signing, silent = make_store(), make_store()
        signing.sign_with(note_of)
        append(signing, "a", 0, keep_head=True)
        append(silent, "a", 1, keep_head=True)
        assert b"" == silent.head_note()
        assert silent.checkpoint(2) is None

    def test_what_cannot_be_signed_is_not_appended(self, make_store: MakeStore) -> None:
        """Who appends is told why, and the next append finds everything as it was."""
        store = make_store()
        append(store, "a", 0)

        def refuse(head: TreeHead) -> bytes:
            raise KeyRefused("cannot sign the log: there is no key")

        store.sign_with(refuse)
        with pytest.raises(KeyRefused):
            append(store, "a", 1)
        check_log(store, 1)
        store.sign_with(note_of)
        assert [1] == append(store, "a", 1)
        check_log(store, 2)

    def test_nothing_is_appended_to_a_head_that_nobody_signed(self, make_store: MakeStore) -> None:
        """Only what another one left is looked at, and what is refused changes nothing."""
        silent, store = make_store(), make_store()
        asked: list[int] = []

        def is_signed(head: TreeHead, note: bytes) -> bool:
            asked.append(head.size)
            return note == note_of(head)

        store.sign_with(note_of, is_signed)
        append(store, "a", 0)
        append(store, "a", 1)
        assert [] == asked
        append(silent, "b", 0)
        for _ in range(2):
            with pytest.raises(StoreUnknown, match="signed its head of 3 events"):
                append(store, "a", 2)
        check_log(store, 3)
        store.sign_with(note_of)
        append(store, "a", 2)
        other = make_store()
        other.sign_with(note_of, is_signed)
        append(other, "a", 3)
        assert [3, 3, 4] == asked

    def test_threads_that_write_together_share_a_signature(self, make_store: MakeStore) -> None:
        """There are at most as many as appends, each of a head that came to be."""
        store, signed = make_store(), []
        store.sign_with(lambda head: signed.append(head.size) or note_of(head))  # type: ignore[func-returns-value]
        threads = [
            threading.Thread(target=append, args=(store, f"s{number}", 0)) for number in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(set(signed)) == signed
        assert 12 == signed[-1]
        assert note_of(store.tree_head()) == store.head_note()

    def test_the_head_of_an_append_is_kept_if_that_was_asked(self, make_store: MakeStore) -> None:
        """Kept notes are found by their size, and stay when the log grows."""
        store = make_store()
        store.sign_with(note_of)
        assert store.newest_checkpoint() is None
        append(store, "a", 0, 2, keep_head=True)
        kept = store.head_note()
        append(store, "a", 2)
        assert kept == make_store().checkpoint(2)
        assert (2, kept) == store.newest_checkpoint()
        assert store.checkpoint(3) is None

    def test_a_checkpoint_is_replaced_only_as_it_was_seen(self, make_store: MakeStore) -> None:
        """Of two that add to the same note, the second learns that it was late."""
        store = make_store()
        assert store.keep_checkpoint(7, b"one", instead_of=None)
        assert not store.keep_checkpoint(7, b"other", instead_of=None)
        assert store.keep_checkpoint(7, b"two", instead_of=b"one")
        assert not store.keep_checkpoint(7, b"three", instead_of=b"one")
        assert b"two" == make_store().checkpoint(7)

    def test_a_snapshot_is_of_one_moment(self, make_store: MakeStore) -> None:
        """Everything is in it, and nothing that was appended after it began."""
        store = make_store()
        store.sign_with(note_of)
        append(store, "a", 0, 2, keep_head=True)
        append(store, "b", 0, private=None)
        rows, head = whole_log(store), store.tree_head()
        with store.snapshot() as seen:
            assert (3, format_edge(head), note_of(head)) == seen.head()
            append(store, "a", 2, keep_head=True)
            scanned = [
                (row.position, row.stream, row.version, row.topic, row.facts, row.leaf)
                + ((row.private.salt, row.private.body) if row.private else (None, None))
                for row in rows
            ]
            assert scanned == list(seen.rows())
            assert scanned[2:] == list(seen.rows(after=1))
            assert scanned[:2] == list(seen.stream("a"))
            assert [(row.position, row.leaf) for row in rows] == list(seen.leaves())
            assert [2] == [size for size, _ in seen.checkpoints()]
            assert [] == list(seen.checkpoints(after=2))
        assert 4 == store.tree_head().size

    def test_the_origin_of_the_log_is_that_of_the_ledger(self, make_store: MakeStore) -> None:
        """It names a key: no space and no plus; every opening finds the same."""
        store = make_store()
        assert f"gesta/{store.ledger_id}" == store.origin == make_store().origin

    def test_a_conflict_among_threads_fails_alone(self, make_store: MakeStore) -> None:
        """Of threads that append at once, only those with a taken version are refused."""
        store = make_store()
        append(store, "taken", 0)
        barrier, refused = threading.Barrier(12), []

        def work(number: int) -> None:
            barrier.wait()
            for version in range(10):
                append(store, f"s{number}", version)
                if number % 4 == 0:
                    try:
                        append(store, "taken", 0)
                    except IntegrityError:
                        refused.append(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 30 == len(refused)
        check_log(store, 121)

    def test_threads_at_one_version_exactly_one_wins_each(self, make_store: MakeStore) -> None:
        """Threads that race for every version of one stream leave it without a gap."""
        store = make_store()
        barrier, won = threading.Barrier(8), []

        def work() -> None:
            for version in range(10):
                barrier.wait()
                try:
                    won.append((version, append(store, "a", version)))
                except IntegrityError:
                    continue

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [(version, [version]) for version in range(10)] == sorted(won)
        check_log(store, 10)

    def test_the_library_reads_its_own_way(self, make_store: MakeStore) -> None:
        """Streams and notifications are what the library expects; an id is a position and one."""
        store = make_store()
        assert isinstance(store, ApplicationRecorder)
        assert store.max_notification_id() is None
        append(store, "a", 0, 3)
        append(store, "b", 0, topic="other.1")
        assert 4 == store.max_notification_id()
        events = store.select_events("a", gt=0, lte=2, desc=True, limit=1)
        assert [StoredEvent("a", 2, TOPIC, facts_of("a", 2))] == list(events)
        found = [one.id for one in store.select_notifications(1, 10, stop=3)]
        assert [1, 2, 3] == found
        found = [one.id for one in store.select_notifications(1, 2, inclusive_of_start=False)]
        assert [2, 3] == found
        found = [one.id for one in store.select_notifications(None, 10, topics=["other.1"])]
        assert [4] == found

    def test_a_closed_store_lets_go(self, make_store: MakeStore) -> None:
        """Closing twice is closing once, and another store finds everything."""
        store = make_store()
        append(store, "a", 0)
        store.close()
        store.close()
        check_log(make_store(), 1)
