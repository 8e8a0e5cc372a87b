"""What belongs to no run: the ledger's own stream.

*key* is the one that signs the log from then on, as a vkey. A `KeyChanged`'s *note* says so too,
signed by the key before it, or is `None` if that was lost: see `ledger.keys`.
"""

from __future__ import annotations

from typing import Literal

from ledger.events.event import UNSET, Event, OsText, Private, Text

OrphanKind = Literal["worktree", "sandbox", "blob"]


class LedgerCreated(Event, frozen=True, kw_only=True):
    """The ledger came to be, in this home."""

    ledger: str
    home: str
    key: str | None = None


class KeyChanged(Event, frozen=True, kw_only=True):
    """Another key began to sign the log."""

    key: str
    note: str | None


class LedgerRestored(Event, frozen=True, kw_only=True):
    """The ledger went on from a backup, in another home and under another key."""

    home: str
    key: str
    # The home that was backed up, and when (µs, UTC).
    from_home: str
    taken: int
    # The tree in the backup, and its signed checkpoint, where it had one.
    size: int
    root: str
    note: str | None


class OrphanText(Text, frozen=True, kw_only=True):
    """Paths, ids or digests."""

    names: tuple[OsText, ...]


class OrphanFound(Event, frozen=True, kw_only=True):
    """Things of this home were found that no run on record accounts for."""

    what: OrphanKind
    # Of a sandbox.
    kind: str | None = None
    # The stream that they are marked with, where nothing is on record of it.
    stream: str | None = None
    count: int
    size: int | None = None
    private: Private[OrphanText] = UNSET


class OrphanRemoved(Event, frozen=True, kw_only=True):
    """Things that no run accounts for are gone, and that was checked."""

    what: OrphanKind
    kind: str | None = None
    stream: str | None = None
    count: int
    size: int | None = None
    private: Private[OrphanText] = UNSET
