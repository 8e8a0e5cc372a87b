"""No false alarm: whatever honest writers do, verification finds nothing wrong.

Ten thousand histories, by twenty seeds: each goes on from where the one before it stopped, and is
verified as a verifier might, with whatever was kept at some earlier time.
"""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random

import pytest

from adapters.ed25519_signer import Ed25519Signer, check_ed25519
from ledger import events as e
from ledger import merkle
from ledger.checkpoint import Checkpoint, is_head_signed, read_checkpoint, sign_head
from ledger.journal import Journal
from ledger.keys import change_note
from ledger.merkle import TreeHead
from ledger.note import format_vkey
from ledger.recorded import Provenance, Said
from ledger.sealing import sign_seal
from ledger.verify import Verified, Verifier, Wanted
from tests.fakes.clock import FakeClock
from tests.fakes.randomness import FixedRandomness
from tests.ledger.samples import OPENING

SEEDS, LEDGERS, HISTORIES = 20, 10, 50
WHO = Provenance(actor="ann", via="os_user", host="h", trace="ab" * 16, on_behalf_of="bob")
STEPS = (
    e.SandboxLost(ordinal=1),
    e.CleanedUp(ending=False, resource="branch", ordinal=1),
    e.CommandLost(command="c1", reason="process"),
    OPENING["sandbox created, and how soon"],
)


class Keys:
    """Signs the heads of the log *origin* by whoever is among *signers*."""

    def __init__(self, origin: str, signers: list[Ed25519Signer]) -> None:
        self._origin = origin
        self._signers = signers

    def sign(self, head: TreeHead) -> bytes:
        """Return the checkpoint of *head*."""
        return sign_head(head, self._origin, self._signers)

    def is_signed(self, head: TreeHead, note: bytes) -> bool:
        """Say whether *note* is of *head*, and one of them signed it."""
        return is_head_signed(head, note, [one.key for one in self._signers], check_ed25519)


class Writer:
    """An honest writer of one ledger, and its verifier's memory."""

    def __init__(self, directory: Path, random: Random) -> None:
        self.random = random
        self.signers: list[Ed25519Signer] = []
        self.journal = Journal(
            {
                "PERSISTENCE_MODULE": "adapters.sqlite_store",
                "SQLITE_DBNAME": str(directory / f"{random.random()}.db"),
                "ORIGINATOR_ID_TYPE": "text",
                "GESTA_SYNCHRONOUS": "OFF",
            },
            clock=FakeClock(1_750_000_000_000_000),
            randomness=FixedRandomness(random.randrange(2**32)),
            keys=lambda origin: Keys(origin, self.signers),
        )
        self.store = self.journal.store
        self.journal.create_ledger("home-1", WHO, self._new_key)
        self.versions: dict[str, int] = {}
        self.states: list[Verified] = []
        self.kept: list[Checkpoint] = []
        self.keys = [self.signers[0].key]

    def _new_key(self) -> str:
        signer = Ed25519Signer(self.store.origin, self.random.randbytes(32))
        self.signers.insert(0, signer)
        return format_vkey(signer.key)

    def go_on(self) -> None:
        """Do what honest writers do, a few times."""
        for _ in range(self.random.randrange(1, 4)):
            action = self.random.choice((self._open, self._step, self._step, self._seal))
            action()
        if self.random.random() < 0.05:
            self._rotate()
        if self.random.random() < 0.3:
            self.kept.append(read_checkpoint(self.store.head_note()))

    def _append(self, stream: str, *events: e.Event) -> None:
        said = [Said(event=event, occurred=1, cause=None) for event in events]
        self.journal.append(stream, self.versions.get(stream, -1), said, WHO)
        self.versions[stream] = self.versions.get(stream, -1) + len(events)

    def _open(self) -> None:
        stream = f"run-{len(self.versions)}"
        self._append(stream, OPENING["run opened"], *self.random.choices(STEPS, k=2))

    def _step(self) -> None:
        if self.versions:
            stream = self.random.choice(sorted(self.versions))
            self._append(stream, *self.random.choices(STEPS, k=self.random.randrange(1, 4)))

    def _seal(self) -> None:
        if not self.versions:
            return
        stream = self.random.choice(sorted(self.versions))
        rows = list(self.store.stream_rows(stream))
        root = merkle.root_of([row.leaf for row in rows]).hex()
        size = self.store.tree_head().size
        seal = e.RunSealed(count=len(rows), root=root, log_size=size)
        ledger, signer = self.store.ledger_id, self.signers[0]
        sign = partial(sign_seal, ledger=ledger, rows=rows, signer=signer)
        said = [Said(event=seal, occurred=1, cause=None)]
        self.journal.append(stream, self.versions[stream], said, WHO, sign=sign)
        self.versions[stream] += 1

    def _rotate(self) -> None:
        vkey = self._new_key()
        new, *old = self.signers
        self.journal.change_key(vkey, change_note(new, old), WHO)
        self.keys.append(new.key)
        if self.random.random() < 0.5:
            del self.signers[1:]

    def verify(self) -> Verified:
        """Verify with something of what was kept at some time."""
        random = self.random
        state = random.choice(self.states) if self.states and random.random() < 0.8 else None
        known = random.sample(self.kept, k=min(len(self.kept), random.randrange(3)))
        one = random.random() < 0.2 and not state and self.versions
        wanted = Wanted(
            since=state.head if state else merkle.EMPTY,
            epochs=state.epochs if state else (),
            stream=random.choice(sorted(self.versions)) if one else None,
            known=tuple(head for head in known if not state or head.size > state.head.size),
            keys=tuple(random.sample(self.keys, k=random.randrange(2))),
            all_signatures=random.random() < 0.1,
        )
        with self.store.snapshot() as snapshot:
            verified = Verifier(
                snapshot,
                wanted,
                ledger=self.store.ledger_id,
                origin=self.store.origin,
                check=check_ed25519,
            ).verify()
        if wanted.stream is None:
            self.states.append(verified)
        return verified


@pytest.mark.parametrize("seed", range(SEEDS))
def test_an_honest_history_is_intact(seed: int, tmp_path: Path) -> None:
    """Five hundred histories a seed; whoever brings a key, whichever, is told that it signed."""
    random = Random(seed)
    for _ in range(LEDGERS):
        writer = Writer(tmp_path, random)
        with closing(writer.journal):
            for number in range(HISTORIES):
                writer.go_on()
                report = writer.verify().report
                assert (0, {}) == (report.exit_code, report.counted), (
                    seed,
                    number,
                    report.findings[:4],
                )
                assert report.assurance in {"SELF-CHECKED", "SIGNED"}, (seed, number)
