"""What belongs to no run: the ledger's own stream.

*key* is the one that signs the log from then on, as a vkey. A `KeyChanged`'s *note* says so too,
signed by the key before it, or is `None` if that was lost: see `ledger.keys`.
"""

from __future__ import annotations

from ledger.events.event import Event


class LedgerCreated(Event, frozen=True, kw_only=True):
    """The ledger came to be, in this home."""

    ledger: str
    home: str
    key: str | None = None


class KeyChanged(Event, frozen=True, kw_only=True):
    """Another key began to sign the log."""

    key: str
    note: str | None
