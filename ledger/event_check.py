"""Stored events held against their own leaves, their runs and their private parts.

Rule 1: proof is over stored bytes. Nothing is serialised again to be checked, and an event of a
type that this version does not know is checked like any other.
Rule 2: a part of the log is checked without the others, so that processes can share the work, and
in memory that does not grow with the log: what is kept is the leaves of runs without a seal yet.
What lies before the part, or comes after a seal, is looked up.
Rule 3: this loop is what verification costs. It spells an event's record from pieces that it
keeps, and reads the commitment where our own encoder always writes it; a test holds both against
the ordinary way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from hashlib import sha256
from itertools import islice
from typing import Literal

import msgspec

from ledger import merkle
from ledger.errors import GestaError
from ledger.merkle import HASH_SIZE
from ledger.sealing import SEALED, check_seal, check_seal_signature, leaf_of
from ledger.signing import Check, VerifierKey
from ledger.store import PrivatePart, Row, ScannedRow, Snapshot
from ledger.verdict import Finding, Findings, Kind

# Returns the stored leaves of a stream's first events, as many as that number.
LeavesOf = Callable[[str, int], list[bytes]]

_NO_CAUSE, _CAUSE = b'{"cause":null,"commitment":"', b'{"cause":"'
_AFTER_CAUSE = b'","commitment":"'
_CHUNK = 2_048
_NO_HASH = bytes(HASH_SIZE)
_SANDBOX = "sandbox.created."
# Whoever changed a row may have put in what is not even of the right type.
_NOT_RECORDED = (GestaError, msgspec.MsgspecError, AttributeError, TypeError, ValueError)
_ALTERED = "its facts, stream, version or topic are not those of its leaf"


class _Committed(msgspec.Struct):
    commitment: str


class _Seal(msgspec.Struct):
    count: int
    root: str


class _SealFacts(msgspec.Struct):
    event: _Seal


class _Had(msgspec.Struct):
    record: Literal["reachable", "out_of_reach"]


class _Sandbox(msgspec.Struct):
    had: _Had


class _SandboxFacts(msgspec.Struct):
    event: _Sandbox


_committed = msgspec.json.Decoder(_Committed)
_seal = msgspec.json.Decoder(_SealFacts)
_sandbox = msgspec.json.Decoder(_SandboxFacts)


class Part(msgspec.Struct, frozen=True):
    """
    What came of checking a part of the log.

    *leaves* are those stored, one after another; one that is no hash is all zeros. *counted* is
    how many findings of each kind there are, *first* the first of them. *reach* counts the runs
    whose sandboxes left the ledger within a command's reach, and the others.
    """

    leaves: bytes
    counted: dict[Kind, int]
    first: list[Finding]
    reach: dict[str, int]


class _Run:
    """The leaves of a run up to here, and how its stream is spelled in JSON."""

    __slots__ = ("leaves", "reach", "spelled")

    def __init__(self, stream: str, leaves: list[bytes]) -> None:
        self.spelled = _spell(stream)
        self.leaves = leaves
        self.reach: str | None = None


class EventCheck:
    """Checks events in the order of the log, from position *first* on; see `LeavesOf`."""

    def __init__(self, leaves_of: LeavesOf, first: int = 0) -> None:
        self._leaves_of = leaves_of
        self._findings = Findings()
        self._runs: dict[str, _Run] = {}
        self._reach = {"reachable": 0, "out_of_reach": 0}
        self._topics: dict[str, str] = {}
        self._expected = first
        self._leaves: list[bytes] = []

    def result(self) -> Part:
        """Return what came of all rows so far."""
        reach = dict(self._reach)
        for run in self._runs.values():
            if run.reach is not None:
                reach[run.reach] += 1
        return Part(b"".join(self._leaves), self._findings.counted, self._findings.first, reach)

    def check(self, rows: Iterable[ScannedRow]) -> None:
        """Check the next *rows*."""
        runs, topics, leaves, digest = self._runs, self._topics, self._leaves, sha256
        for row in rows:
            position, stream, version, topic, facts, leaf, salt, body = row
            if position != self._expected:
                self._miss(position)
            self._expected = position + 1
            kept = hash_or_zeros(leaf)
            leaves.append(kept)
            run = runs.get(stream) or self._begin(row)
            if len(run.leaves) != version:
                self.say(row, f"version {len(run.leaves)} of its stream should stand here")
            run.leaves.append(kept)
            try:
                spelled = topics.get(topic) or self._spell_topic(topic)
                if topic == SEALED:
                    found = leaf_of(stream, version, topic, facts)
                else:
                    found = digest(
                        f'\0{{"facts":"{digest(facts).hexdigest()}","stream":{run.spelled},'
                        f'"topic":{spelled},"version":{version}}}'.encode()
                    ).digest()
                if found != leaf:
                    self.say(row, _ALTERED)
                if body is None or salt is None:
                    self.say(row, "its private part is gone, with no erasure on record", "missing")
                elif digest(salt + body).hexdigest().encode() != _commitment(facts):
                    self.say(row, "its private part is not the one that its facts commit to")
                if topic == SEALED or topic.startswith(_SANDBOX):
                    self._look_closer(row, run)
            except _NOT_RECORDED as error:
                self.say(row, f"it cannot be what was recorded: {error}")

    def _begin(self, row: ScannedRow) -> _Run:
        """Return the run of *row*, of which nothing is in hand, as it was before it."""
        _, stream, version, *_ = row
        known = isinstance(stream, str) and isinstance(version, int) and version > 0
        run = _Run(stream, self._leaves_of(stream, version) if known else [])
        self._runs[stream] = run
        return run

    def _spell_topic(self, topic: str) -> str:
        self._topics[topic] = _spell(topic)
        return self._topics[topic]

    def _look_closer(self, row: ScannedRow, run: _Run) -> None:
        _, stream, version, topic, facts, *_ = row
        if topic != SEALED:
            if run.reach != "reachable":
                run.reach = _sandbox.decode(facts).event.had.record
            return
        seal = _seal.decode(facts).event
        # What comes after a seal is seldom, and looks the run up again.
        del self._runs[stream]
        if run.reach is not None:
            self._reach[run.reach] += 1
        if (seal.count, seal.root) != (version, merkle.root_of(run.leaves[:version]).hex()):
            self.say(row, "it seals other records than those of its run")

    def _miss(self, found: int) -> None:
        gone = f"the events up to {found - 1} that stood here are gone"
        what = gone if found > self._expected else f"another event than {found} should stand here"
        self._findings.add(Finding(kind="invalid", what=what, position=self._expected))

    def skip_to(self, position: int) -> None:
        """Say that the next row stands at *position*: those between are another run's."""
        self._expected = position

    def expect(self, end: int | None) -> None:
        """Say that the rows should have gone up to below *end*."""
        if end is not None and self._expected != end:
            self._miss(end)

    def say(self, row: ScannedRow, what: str, kind: Kind = "invalid") -> None:
        """Take in what is wrong with *row*."""
        finding = Finding(kind=kind, what=what, position=row[0], stream=row[1], version=row[2])
        self._findings.add(finding)


def hash_or_zeros(leaf: object) -> bytes:
    """Return a stored leaf as the hash that it should be."""
    return leaf if isinstance(leaf, bytes) and len(leaf) == HASH_SIZE else _NO_HASH


def check_part(snapshot: Snapshot, first: int, end: int | None = None) -> Part:
    """Check the events from position *first* to below *end*, or to the last one."""

    def leaves_of(stream: str, count: int) -> list[bytes]:
        return [hash_or_zeros(row[5]) for row in islice(snapshot.stream(stream), count)]

    check = EventCheck(leaves_of, first)
    rows = snapshot.rows(after=first - 1, below=end)
    while chunk := list(islice(rows, _CHUNK)):
        check.check(chunk)
    check.expect(end)
    return check.result()


def check_run(
    snapshot: Snapshot, stream: str, ledger: str, keys: Collection[VerifierKey], ed25519: Check
) -> Part:
    """
    Check the events of one run wherever they stand, and its seals against all that they say.

    *keys* are those of the log.
    """
    rows = list(snapshot.stream(stream))
    check = EventCheck(lambda stream, count: [hash_or_zeros(row[5]) for row in rows[:count]])
    for row in rows:
        check.skip_to(row[0])
        check.check([row])
    records = [_row(row) for row in rows]
    for version, record in enumerate(records):
        if record.topic == SEALED:
            try:
                check_seal(record, records[:version], ledger=ledger)
                check_seal_signature(record, keys, ed25519)
            except (GestaError, msgspec.DecodeError) as error:
                check.say(rows[version], str(error))
    return check.result()


def _commitment(facts: bytes) -> bytes:
    if facts[:28] == _NO_CAUSE:
        return facts[28:92]
    if facts[:10] == _CAUSE and facts[42:58] == _AFTER_CAUSE:
        return facts[58:122]
    return _committed.decode(facts).commitment.encode()


def _row(row: ScannedRow) -> Row:
    position, stream, version, topic, facts, leaf, salt, body = row
    private = None if salt is None or body is None else PrivatePart(salt, body)
    return Row(
        position=position,
        stream=stream,
        version=version,
        topic=topic,
        facts=facts,
        leaf=leaf,
        private=private,
    )


def _spell(text: str) -> str:
    return msgspec.json.encode(text).decode()
