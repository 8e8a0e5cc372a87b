"""What a verification leaves for the next one: a file of the verifier's own, in JSON.

Rule: it is trusted as the verifier's memory. The edge is only used if it has the stated root, and
the head counts as one that the verifier kept.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from ledger import merkle
from ledger.checkpoint import Checkpoint
from ledger.errors import InputInvalid, ProofInvalid
from ledger.keys import Epoch
from ledger.merkle import TreeHead, format_edge, parse_head
from ledger.note import format_vkey, parse_vkey
from ledger.verify import Verified


class _Epoch(msgspec.Struct, forbid_unknown_fields=True):
    position: int
    key: str
    vouched: bool


class _State(msgspec.Struct, forbid_unknown_fields=True):
    origin: str
    size: int
    root: str
    edge: bytes
    keys: list[_Epoch]


class Remembered(msgspec.Struct, frozen=True):
    """A head that was verified, with what is needed to go on from it."""

    head: TreeHead
    epochs: tuple[Epoch, ...]
    known: Checkpoint


def save_state(path: Path, verified: Verified) -> None:
    """Write what *verified* leaves to *path*, whole or not at all; raises `InputInvalid`."""
    report = verified.report
    state = _State(
        origin=report.origin,
        size=verified.head.size,
        root=merkle.root(verified.head).hex(),
        edge=format_edge(verified.head),
        keys=[_Epoch(one.position, format_vkey(one.key), one.vouched) for one in verified.epochs],
    )
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(msgspec.json.encode(state) + b"\n")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InputInvalid(f"cannot write {path}: {error.strerror}") from error


def read_state(path: Path) -> Remembered:
    """Return what an earlier verification left in *path*; raises `InputInvalid`."""
    try:
        state = msgspec.json.decode(path.read_bytes(), type=_State)
        head = parse_head(state.size, state.edge)
        epochs = [Epoch(one.position, parse_vkey(one.key), one.vouched) for one in state.keys]
    except OSError as error:
        raise InputInvalid(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, ProofInvalid, ValueError) as error:
        raise InputInvalid(
            f"cannot go on from {path}: `gesta verify --save` did not write it"
        ) from error
    root = merkle.root(head)
    if root.hex() != state.root:
        raise InputInvalid(f"cannot go on from {path}: its edge is not that of its root")
    return Remembered(head, tuple(epochs), Checkpoint(state.origin, state.size, root))
