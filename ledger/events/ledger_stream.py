"""What belongs to no run: the ledger's own stream."""

from __future__ import annotations

from ledger.events.event import Event


class LedgerCreated(Event, frozen=True, kw_only=True):
    """The ledger came to be, in this home."""

    ledger: str
    home: str
