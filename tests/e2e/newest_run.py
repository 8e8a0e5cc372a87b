"""Reads what is on record of the newest run of the ledger that the environment names."""

from __future__ import annotations

from typing import TypeVar

from adapters import open_ledger
from ledger import events as e

Kind = TypeVar("Kind", bound=e.Event)


def recorded(kind: type[Kind]) -> list[Kind]:
    """Return its events of one kind."""
    with open_ledger() as ledger:
        return [record.event for record in ledger.events() if isinstance(record.event, kind)]


def order() -> list[str]:
    """Return the kinds of its events, in order."""
    with open_ledger() as ledger:
        return [type(record.event).__name__ for record in ledger.events()]
