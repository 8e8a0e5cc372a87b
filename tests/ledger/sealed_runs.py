"""Runs as rows of a store, sealed with a key of the tests' own, without a store."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from adapters.ed25519_signer import Ed25519Signer
from ledger import events as e
from ledger import merkle
from ledger.codec import encode
from ledger.events import Event
from ledger.recorded import Provenance, Said
from ledger.sealing import leaf_of, sign_seal
from ledger.signing import Signer
from ledger.store import Row
from tests.ledger.samples import CLOSING, COMMANDS, OPENING

LEDGER = "7d444840-9dc0-11d1-b245-5ffdce74fad2"
STREAM = "0190163d-8694-739b-aea5-966c26f8ad91"
SIGNER = Ed25519Signer(f"gesta/{LEDGER}", b"s" * 32)
WHO = Provenance(actor="ann", via="os_user", host="host.example", trace="0" * 32)
# Where the run's first record stands in its log.
FIRST = 20

EVENTS: tuple[Event, ...] = (
    OPENING["run opened"],
    OPENING["sandbox created, and how soon"],
    COMMANDS["command requested"],
    COMMANDS["command executed"],
    COMMANDS["command requested, its arguments a blob"],
    e.CommandTimedOut(command="c2"),
    replace(COMMANDS["command denied"], command="c3"),
    CLOSING["patch captured"],
    CLOSING["run completed"],
)


def rows_of(events: Sequence[Event], after: Sequence[Row] = ()) -> list[Row]:
    """Return *after* and the rows of *events* that follow it."""
    rows = list(after)
    for event in events:
        rows.append(_row(rows, event, None))
    return rows


def sealed(rows: Sequence[Row], signer: Signer = SIGNER) -> Row:
    """Return the row of the seal over *rows*."""
    root = merkle.root_of([row.leaf for row in rows])
    draft = e.RunSealed(count=len(rows), root=root.hex(), log_size=rows[-1].position + 1)
    return _row(rows, draft, signer)


def _row(rows: Sequence[Row], event: Event, signer: Signer | None) -> Row:
    version = len(rows)
    noise = hashlib.sha256(f"{version}".encode()).digest()
    topic, facts, private = encode(
        Said(event=event, occurred=1_000 + version),
        WHO,
        id=noise[:16].hex(),
        recorded=2_000 + version,
        salt=noise[16:],
        sign=partial(sign_seal, ledger=LEDGER, rows=rows, signer=signer) if signer else None,
    )
    return Row(
        position=FIRST + version,
        stream=STREAM,
        version=version,
        topic=topic,
        facts=facts,
        leaf=leaf_of(STREAM, version, topic, facts),
        private=private,
    )
