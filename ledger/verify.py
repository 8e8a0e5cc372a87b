"""Verification of a ledger: the whole log, the part after a head verified before, or one run.

Rule 1: the tree is built again from the stored leaves, and the leaves are held against the stored
events. Neither waits for the other: events are checked in parts, wherever there is somebody to.
Rule 2: what the log says of its own keys is only as good as the log. Whoever brings a key, a
policy or an earlier head gets an answer that rests on that.
Rule 3: verification can be taken up again: what it needs of the past is the tree's head with its
edge, and which keys were valid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from ledger import merkle
from ledger.assurance import Vouching, head_text
from ledger.blob_check import check_blobs
from ledger.checkpoint import Checkpoint
from ledger.codec import decode_facts
from ledger.errors import GestaError
from ledger.event_check import Part, check_part, check_run, hash_or_zeros
from ledger.keys import Epoch, KeyHistory
from ledger.merkle import HASH_SIZE, TreeHead, format_edge
from ledger.note import format_vkey
from ledger.ports import BlobStore
from ledger.signing import Check, VerifierKey
from ledger.store import Snapshot
from ledger.tree_check import KeptHead, TreeCheck
from ledger.verdict import Finding, Findings, Reach, Report
from ledger.witness_policy import Policy

# Events that one part has.
PART = 25_000

# Is told how many events are checked, and how many there are.
Progress = Callable[[int, int], object]
# Yields what came of the events from one position to below another, in parts, in order.
Parts = Callable[[int, int], Iterable[Part]]
# Says what in the views is not what the events make of them.
ViewsCheck = Callable[[], Iterable[str]]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is to be verified, and what the verifier brought.

    *since* is a head that was verified before, with the *epochs* of its keys. *stream* is the one
    run to verify. *known* are heads that the verifier kept, *keys* are the verifier's own. *policy*
    names witnesses; *policy_brought* says whether the verifier brought it. With *all_signatures*
    those of every kept head are checked, else of the newest ones.
    """

    since: TreeHead = merkle.EMPTY
    epochs: tuple[Epoch, ...] = ()
    stream: str | None = None
    known: tuple[Checkpoint, ...] = ()
    keys: tuple[VerifierKey, ...] = ()
    policy: Policy | None = None
    policy_brought: bool = False
    all_signatures: bool = False


class Verified(msgspec.Struct, frozen=True):
    """What verification says, and what a later one needs to go on from here."""

    report: Report
    head: TreeHead
    epochs: tuple[Epoch, ...]


class Verifier:
    """
    Verifies one ledger, as of *snapshot*.

    *ledger* and *origin* are the store's. *check* is Ed25519's. *parts* checks events elsewhere;
    without it that is done here. *blobs* and *views* are checked too, where they are given.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        wanted: Wanted,
        *,
        ledger: str,
        origin: str,
        check: Check,
        parts: Parts | None = None,
        blobs: BlobStore | None = None,
        views: ViewsCheck | None = None,
    ) -> None:
        self._findings = Findings()
        self._snapshot = snapshot
        self._wanted = wanted
        self._ledger = ledger
        self._check = check
        self._parts = parts or self._check_here
        self._blobs = blobs
        self._views = views
        self._size, self._edge, self._note = snapshot.head()
        self._history = self._read_keys()
        self._vouching = Vouching(self._history, wanted.keys, wanted.policy, check, self._findings)
        self._origin = origin
        self._seen: list[tuple[int, set[VerifierKey], int]] = []
        self._signatures = 0
        self._checked = 0
        self._reach = {"reachable": 0, "out_of_reach": 0}

    def verify(self, progress: Progress = lambda done, total: None) -> Verified:
        """Verify, and say what came of it; *progress* is told how far that is."""
        wanted, first = self._wanted, self._wanted.since.size
        each = self._vouch if wanted.all_signatures else None
        tree = TreeCheck(wanted.since, wanted.known, self._origin_at, self._findings, each)
        kept = self._snapshot.checkpoints(after=first)
        tree.run(self._leaves(first, progress), kept, self._size)
        if wanted.stream is not None:
            keys = [epoch.key for epoch in self._history.epochs]
            self._take(check_run(self._snapshot, wanted.stream, self._ledger, keys, self._check))
        tree.explain(self._size)
        signers = self._check_head(tree.head)
        if each is None:
            for one in dict.fromkeys([*tree.cosigned, *tree.newest]):
                self._vouch(one)
        blobs = self._check_blobs(first)
        self._findings.sort()
        report = self._report(tree, signers, blobs)
        return Verified(report, tree.head, tuple(self._history.epochs))

    def _report(self, tree: TreeCheck, signers: set[VerifierKey], blobs: int | None) -> Report:
        wanted = self._wanted
        assurance = self._vouching.assurance(self._size, signers)
        cosigned = self._vouching.cosigned(self._seen, brought=wanted.policy_brought)
        if assurance == "SIGNED" and cosigned and cosigned.brought and cosigned.quorum:
            assurance = "WITNESSED"
        key = self._history.at(self._size)
        return Report(
            origin=self._origin_at(self._size),
            size=self._size,
            root=merkle.root(tree.head).hex(),
            since=wanted.since.size,
            stream=wanted.stream,
            checked=self._checked,
            counted=self._findings.counted,
            findings=tuple(self._findings.first),
            assurance=assurance,
            key=format_vkey(key) if key else None,
            policy_brought=wanted.policy_brought,
            cosigned=cosigned,
            known=max((one.size for one in wanted.known), default=None),
            kept=tree.kept,
            signatures=self._signatures,
            blobs=blobs,
            views=self._views is not None,
            reach=Reach(**self._reach),
        )

    def _leaves(self, first: int, progress: Progress) -> Iterator[bytes]:
        """Yield the stored leaves, those of the whole log as their events are checked."""
        if self._wanted.stream is not None:
            for _, leaf in self._snapshot.leaves(after=first - 1):
                yield hash_or_zeros(leaf)
            return
        for part in self._parts(first, self._size):
            self._take(part)
            progress(self._checked, self._size - first)
            starts = range(0, len(part.leaves), HASH_SIZE)
            yield from [part.leaves[start : start + HASH_SIZE] for start in starts]

    def _take(self, part: Part) -> None:
        self._checked += len(part.leaves) // HASH_SIZE
        self._findings.merge(part.counted, part.first)
        for word, count in part.reach.items():
            self._reach[word] += count

    def _check_here(self, first: int, end: int) -> Iterator[Part]:
        for begin in range(first, end, PART):
            # The last part has no end: whatever stands after the head is looked at too.
            until = begin + PART
            yield check_part(self._snapshot, begin, until if until < end else None)

    def _check_head(self, head: TreeHead) -> set[VerifierKey]:
        if not self._size:
            return set()
        if head.size != self._size:
            # That is a finding already, and what was signed cannot be compared with anything.
            return set()
        if format_edge(head) != self._edge:
            what = "the stored edge of the tree is not that of its events"
            self._findings.add(Finding(kind="invalid", what=what, position=self._size))
        if not self._note:
            what = "its last head is not signed"
            self._findings.add(Finding(kind="invalid", what=what, position=self._size))
            return set()
        text = head_text(self._origin_at(self._size), self._size, merkle.root(head))
        return self._vouch((self._size, self._note, text))

    def _vouch(self, kept: KeptHead) -> set[VerifierKey]:
        size, note, text = kept
        signers, since = self._vouching.signers(size, note, text)
        self._signatures += 1
        if signers:
            self._seen.append((size, signers, since))
        return signers

    def _check_blobs(self, first: int) -> int | None:
        if self._views is not None:
            for what in self._views():
                self._findings.add(Finding(kind="invalid", what=what))
        if self._blobs is None:
            return None
        stream = self._wanted.stream
        rows = (
            self._snapshot.rows(after=first - 1)
            if stream is None
            else self._snapshot.stream(stream)
        )
        return check_blobs(rows, self._blobs, self._findings)

    def _origin_at(self, size: int) -> str:
        return self._vouching.origin(size, self._origin)

    def _read_keys(self) -> KeyHistory:
        history = KeyHistory(self._check, self._wanted.epochs)
        for row in self._snapshot.stream(self._ledger):
            position, topic, facts = row[0], row[3], row[4]
            named = topic.startswith(("ledger.created.", "ledger.restored.", "key.changed."))
            if named and self._wanted.since.size <= position < self._size:
                try:
                    history.take(position, decode_facts(topic, facts).event)
                except (GestaError, msgspec.DecodeError, TypeError) as error:
                    what = f"which key it names cannot be read: {error}"
                    self._findings.add(Finding(kind="invalid", what=what, position=position))
        return history
