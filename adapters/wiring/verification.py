"""Puts together what verifies a ledger, and the witnesses that vouch for its head.

Rule: everything is imported where it is used; a ledger that is only written pays for none of it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.wiring import home_of

if TYPE_CHECKING:
    from adapters.witness_client import Asked
    from adapters.witness_server import WitnessServer
    from ledger.ledger import Ledger
    from ledger.signing import VerifierKey
    from ledger.store import Snapshot
    from ledger.verify import Verifier, ViewsCheck, Wanted
    from ledger.witness_policy import Policy


def make_verifier(
    ledger: Ledger,
    snapshot: Snapshot,
    wanted: Wanted,
    *,
    blobs: bool,
    views: ViewsCheck | None = None,
) -> Verifier:
    """
    Return what verifies a ledger as of *snapshot*, in several processes where it is large.

    With *blobs* they are read too; *views* compares the stored views.
    """
    from adapters.ed25519_signer import check_ed25519
    from adapters.sqlite_store import open_store
    from adapters.verify_workers import LARGE, parts_of
    from ledger.verify import Verifier

    store, home = ledger.journal.store, home_of(ledger)
    large = snapshot.head()[0] - wanted.since.size >= LARGE
    return Verifier(
        snapshot,
        wanted,
        ledger=store.ledger_id,
        origin=store.origin,
        check=check_ed25519,
        parts=parts_of(partial(open_store, home.database, create=False)) if large else None,
        blobs=ledger.hands.blobs if blobs else None,
        views=views,
    )


def read_witnesses(ledger: Ledger) -> Policy | None:
    """Return the policy of the witnesses that a ledger's home names, `None` if it names none."""
    from adapters.witness_file import read_policy

    return read_policy(home_of(ledger).witnesses)


def make_witness(
    directory: Path | None, name: str | None, logs: Sequence[VerifierKey], host: str, port: int
) -> tuple[WitnessServer, VerifierKey]:
    """
    Return a witness that can serve, and its key.

    What it remembers is in *directory*, by default in the home; *logs* are added to those that it
    knows. Raises `HomeRefused`, `KeyRefused`, `InputInvalid`.
    """
    import time

    from adapters.ed25519_signer import check_ed25519
    from adapters.home import open_home
    from adapters.key_file import KeyFile, name_in, new_witness_name
    from adapters.witness_memory import WitnessMemory
    from adapters.witness_server import WitnessServer
    from ledger.errors import InputInvalid
    from ledger.signing import COSIGNATURE
    from ledger.witness import Witness

    place = directory or open_home(os.environ).path / "witness"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = place / "witness.key"
    keys = KeyFile(path, name or name_in(path) or new_witness_name(), COSIGNATURE)
    keys.ensure()
    memory = WitnessMemory(place / "witness.db")
    for log in logs:
        memory.add_log(log)
    signer = keys.signers()[0]
    witness = Witness(signer, memory, memory.keys, check_ed25519, lambda: int(time.time()))
    try:
        return WitnessServer(witness, host, port), signer.key
    except OSError as error:
        raise InputInvalid(f"cannot listen at {host}:{port}: {error.strerror}") from error


def ask_witnesses(ledger: Ledger, *, wait: bool, seconds: float) -> list[Asked]:
    """
    Have the witnesses that a ledger's home names cosign its head; none is named, none is asked.

    Without *wait* nobody is asked while another process does so. Raises `StoreError`.
    """
    from adapters.ed25519_signer import check_ed25519
    from adapters.witness_background import syncing
    from adapters.witness_client import sync_witnesses

    policy = read_witnesses(ledger)
    if policy is None:
        return []
    with syncing(home_of(ledger), wait=wait) as our_turn:
        store = ledger.journal.store
        return sync_witnesses(store, policy, check_ed25519, seconds=seconds) if our_turn else []
