"""The event store as the ledger uses it: append, load, read.

Rule 1: this is the one place where events are recorded; only it makes a `Recorded`.
Rule 2: an append is durable, private parts, small blobs and tree included, when it returns.
Rule 3: of two appends at one version one wins. Who loses gets `VersionConflict`, unless the event
found there is its own: then the store had kept it and only the answer was lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, cast

import msgspec
from eventsourcing.application import Application
from eventsourcing.persistence import IntegrityError, Mapper, PersistenceError, StoredEvent
from eventsourcing.utils import Environment

from ledger.codec import SignSeal, decode, decode_facts, encode
from ledger.errors import StoreUnavailable, VersionConflict
from ledger.events import Event, KeyChanged, LedgerCreated, LedgerRestored, RunSealed
from ledger.recorded import Provenance, Recorded, Said
from ledger.replay import fold
from ledger.run import Run
from ledger.sealing import leaf_of
from ledger.store import Row, Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventsourcing.utils import EnvType

    from ledger.outcomes import Blob
    from ledger.ports import Clock, Randomness
    from ledger.signing import HeadKeys

_PAGE = 1000
# With these the signed head is kept as a checkpoint: at a run's end, and where keys change.
_KEPT = (RunSealed, KeyChanged, LedgerRestored)


class _FactsMapper(Mapper[str]):
    """Turns stored facts into events, for the repository; it never writes."""

    def __init__(self) -> None:
        pass

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        return decode_facts(stored_event.topic, stored_event.state).event


class Journal(Application[str]):
    """
    Every stream of one ledger.

    *environment* configures the store, as `eventsourcing` has it (PERSISTENCE_MODULE and the
    module's own keys); the process's own environment is not consulted. *keys* returns, for the
    log's origin, what signs its heads.
    """

    name = "gesta"

    def __init__(
        self,
        environment: EnvType,
        *,
        clock: Clock,
        randomness: Randomness,
        keys: Callable[[str], HeadKeys],
    ) -> None:
        super().__init__(environment)
        self._clock = clock
        self._randomness = randomness
        self.store = cast("Store", self.recorder)
        self._keys = keys(self.store.origin)
        self.store.sign_with(self._keys.sign, self._keys.is_signed)

    def construct_env(self, name: str, env: EnvType | None = None) -> Environment:
        """Return *env* alone: a variable meant for another application must not reach ours."""
        return Environment(name, dict(env or {}))

    def construct_mapper(self) -> Mapper[str]:
        """Return the mapper of our own names."""
        return _FactsMapper()

    def append(
        self,
        stream: str,
        expected: int,
        said: Sequence[Said],
        who: Provenance,
        *,
        blobs: Sequence[Blob] = (),
        sign: SignSeal | None = None,
    ) -> list[Recorded]:
        """
        Record events of one stream, all or none, and return them as recorded.

        *expected* is the version of the stream's last event, -1 for a new stream. *blobs* are
        those that the events name. *sign* signs what is a seal among them. Raises
        `VersionConflict`, `StoreUnavailable`, `KeyRefused`.
        """
        rows = [
            self._row(stream, expected + 1 + offset, one, who, sign)
            for offset, one in enumerate(said)
        ]
        stored = [StoredEvent(stream, row.version, row.topic, row.facts) for row in rows]
        try:
            positions = self.store.insert_events(
                stored,
                leaves=[row.leaf for row in rows],
                private=[row.private for row in rows],
                blobs=blobs,
                keep_head=any(isinstance(one.event, _KEPT) for one in said),
            )
        except IntegrityError as error:
            return self._own_or_conflict(stream, rows, error)
        except PersistenceError as error:
            raise StoreUnavailable(f"cannot append to the ledger: {error}") from error
        placed = zip(rows, positions, strict=True)
        return [decode(msgspec.structs.replace(row, position=at)) for row, at in placed]

    def load(self, stream: str, *, through: int | None = None) -> Run:
        """Return the state of a run, as of version *through*; `Run()` if nothing is on record."""
        found: Any = self.repository.get(stream, version=through, projector_func=_project)
        return cast("Run", found)

    def first(self, stream: str) -> Recorded | None:
        """Return a stream's first event, or `None` if there is none."""
        rows = self.store.stream_rows(stream, through=0)
        return decode(rows[0]) if rows else None

    def last(self, stream: str) -> Recorded | None:
        """Return a stream's last event, or `None` if there is none."""
        found = self.recorder.select_events(stream, desc=True, limit=1)
        if not found:
            return None
        rows = self.store.stream_rows(stream, after=found[0].originator_version - 1)
        return decode(rows[-1])

    def history(self, stream: str) -> list[Recorded]:
        """Return a stream's events, private parts included, in order."""
        return [decode(row) for row in self.store.stream_rows(stream)]

    def read(self, *, after: int = -1, topics: Sequence[str] = ()) -> Iterator[Recorded]:
        """Yield the events of all streams above position *after*, in the order recorded."""
        while page := self.store.page(after=after, limit=_PAGE, topics=topics):
            yield from map(decode, page)
            after = page[-1].position

    def latest(self, *, topics: Sequence[str], limit: int) -> list[Recorded]:
        """Return the newest *limit* events of these stored names, newest first."""
        page = self.store.page(limit=limit, topics=topics, newest_first=True)
        return [decode(row) for row in page]

    def rows(self, stream: str) -> Sequence[Row]:
        """Return a stream's events as they are stored, in order."""
        return self.store.stream_rows(stream)

    def create_ledger(self, home: str, who: Provenance, make_key: Callable[[], str]) -> None:
        """
        Record that the ledger came to be, if that is not on record.

        *make_key* is called then: it makes the key that signs the log, and returns its vkey.
        """
        if self.store.tree_head().size:
            return
        ledger = self.store.ledger_id
        event = LedgerCreated(ledger=ledger, home=home, key=make_key())
        try:
            self.append(ledger, -1, [Said(event=event, occurred=self._clock.now())], who)
        except VersionConflict:
            # Another process that opened the new ledger was first; the event is on record.
            return

    def change_key(self, key: str, note: str | None, who: Provenance) -> None:
        """
        Record that another *key* signs from now on; *note* is `ledger.keys.change_note`'s.

        Without one nobody vouches for what was recorded before, and the log says so.
        """
        said = [Said(event=KeyChanged(key=key, note=note), occurred=self._clock.now())]
        with self._trusting_head() if note is None else nullcontext():
            self.append_own(said, who)

    def is_head_signed(self) -> bool:
        """Say whether a key of ours signed the log as it is."""
        return self._keys.is_signed(self.store.tree_head(), self.store.head_note())

    def append_own(self, said: Sequence[Said], who: Provenance) -> list[Recorded]:
        """Record events of the ledger's own stream, whoever else does at the same time."""
        ledger = self.store.ledger_id
        while True:
            last = self.recorder.select_events(ledger, desc=True, limit=1)
            version = last[0].originator_version if last else -1
            try:
                return self.append(ledger, version, said, who)
            except VersionConflict:
                continue

    def restore_ledger(self, restored: LedgerRestored, who: Provenance) -> None:
        """
        Record that the ledger goes on from a backup, which the caller has verified.

        Nothing else is on record after that.
        """
        ledger = self.store.ledger_id
        last = len(self.store.stream_rows(ledger)) - 1
        with self._trusting_head():
            self.append(ledger, last, [Said(event=restored, occurred=self._clock.now())], who)

    @contextmanager
    def _trusting_head(self) -> Iterator[None]:
        """Append within the block to a head that none of our keys signed."""
        self.store.sign_with(self._keys.sign)
        try:
            yield
        finally:
            self.store.sign_with(self._keys.sign, self._keys.is_signed)

    def _row(
        self, stream: str, version: int, said: Said, who: Provenance, sign: SignSeal | None
    ) -> Row:
        random = self._randomness.bytes(32)
        topic, facts, private = encode(
            said, who, id=random[:16].hex(), recorded=self._clock.now(), salt=random[16:], sign=sign
        )
        leaf = leaf_of(stream, version, topic, facts)
        return Row(
            position=-1,
            stream=stream,
            version=version,
            topic=topic,
            facts=facts,
            leaf=leaf,
            private=private,
        )

    def _own_or_conflict(
        self, stream: str, rows: Sequence[Row], error: IntegrityError
    ) -> list[Recorded]:
        first, last = rows[0].version, rows[-1].version
        there = list(self.store.stream_rows(stream, after=first - 1, through=last))
        if [row.facts for row in there] == [row.facts for row in rows]:
            return [decode(row) for row in there]
        raise VersionConflict(
            f"cannot append version {first} to stream {stream}: another writer was first"
        ) from error


def _project(initial: Any, events: Any) -> Any:
    return fold(cast("Iterator[Event]", events), initial)
