"""What somebody can do to a ledger who writes to its files: with the signing key, or without."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from adapters.ed25519_signer import Ed25519Signer, parse_signer
from ledger import merkle
from ledger.checkpoint import sign_head
from ledger.codec import Envelope, decode_facts, encode_facts
from ledger.merkle import format_edge
from ledger.sealing import SEALED, leaf_of, sign_seal
from ledger.store import Row

Change = Callable[[list[list[Any]]], list[list[Any]]]


@contextmanager
def database(home: Path) -> Iterator[sqlite3.Connection]:
    """Open a ledger's database with nothing in the way, and commit at the end."""
    with closing(sqlite3.connect(home / "ledger.db")) as connection:
        yield connection
        connection.commit()


def stolen_key(home: Path) -> Ed25519Signer:
    """Return the key that lies beside the ledger."""
    (path,) = (home / "keys").glob("*.key")
    return parse_signer(path.read_text().splitlines()[0])


def rewrite(home: Path, change: Change, signer: Ed25519Signer | None = None) -> None:
    """
    Write history again, with all that follows from it, and sign it where there is a key.

    *change* is given the rows (stream, version, topic, facts) in order and returns others. What
    cannot be signed keeps the old signature.
    """
    with database(home) as db:
        columns = "originator_id, originator_version, topic, state"
        old = db.execute(f"SELECT {columns}, position FROM stored_events ORDER BY position")
        rows = change([list(row) for row in old.fetchall()])
        private = {
            row[0]: row[1:] for row in db.execute("SELECT position, salt, body FROM private")
        }
        sizes = [row[0] for row in db.execute("SELECT size FROM checkpoints")]
        ledger, origin = db.execute("SELECT ledger_id, origin FROM identity").fetchone()
        for table in ("stored_events", "private"):
            db.execute(f"DELETE FROM {table}")
        leaves = _insert(db, rows, private, ledger, signer)
        head = merkle.extend(merkle.EMPTY, leaves)
        db.execute("UPDATE tree SET size = ?, edge = ?", (head.size, format_edge(head)))
        if signer is None:
            return
        db.execute("UPDATE tree SET note = ?", (sign_head(head, origin, [signer]),))
        db.execute("DELETE FROM checkpoints")
        for size in sizes:
            if size <= head.size:
                note = sign_head(merkle.extend(merkle.EMPTY, leaves[:size]), origin, [signer])
                db.execute("INSERT INTO checkpoints VALUES (?, ?)", (size, note))


def _insert(
    db: sqlite3.Connection,
    rows: list[list[Any]],
    private: dict[int, Any],
    ledger: str,
    signer: Ed25519Signer | None,
) -> list[bytes]:
    runs: dict[str, list[Row]] = {}
    leaves: list[bytes] = []
    for position, (stream, version, topic, facts, was) in enumerate(rows):
        run = runs.setdefault(stream, [])
        said = facts
        if topic == SEALED and signer is not None:
            said = _seal_again(facts, run, position, ledger, signer)
        leaf = leaf_of(stream, version, topic, said)
        row = (position, stream, version, topic, said, leaf)
        db.execute("INSERT INTO stored_events VALUES (?, ?, ?, ?, ?, ?)", row)
        if was in private:
            db.execute("INSERT INTO private VALUES (?, ?, ?)", (position, *private[was]))
        leaves.append(leaf)
        run.append(
            Row(
                position=position,
                stream=stream,
                version=version,
                topic=topic,
                facts=said,
                leaf=leaf,
                private=None,
            )
        )
    return leaves


def _seal_again(
    facts: bytes, run: list[Row], position: int, ledger: str, signer: Ed25519Signer
) -> bytes:
    stored = decode_facts(SEALED, facts)
    envelope = Envelope(**{name: getattr(stored, name) for name in Envelope.__struct_fields__})
    root = merkle.root(merkle.extend(merkle.EMPTY, [row.leaf for row in run]))
    seal = msgspec.structs.replace(
        stored.event, count=len(run), root=root.hex(), log_size=position, signed=None
    )
    again = partial(sign_seal, ledger=ledger, rows=run, signer=signer)(seal, envelope)
    return encode_facts(msgspec.structs.replace(stored, event=again))
