"""What no run accounts for is told in the ledger's own stream, before it goes and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ledger import events as e
from ledger.ostext import from_os
from ledger.recorded import Said

if TYPE_CHECKING:
    from ledger.drift import Pass


def tell_found(
    look: Pass,
    what: e.OrphanKind,
    names: Sequence[str],
    *,
    kind: str | None = None,
    stream: str | None = None,
    size: int | None = None,
) -> str:
    """Record what was found and is about to be removed; return the event's id."""
    event = e.OrphanFound(
        what=what,
        kind=kind,
        stream=stream,
        count=len(names),
        size=size,
        private=e.OrphanText(names=tuple(map(from_os, names))),
    )
    said = Said(event=event, occurred=look.hands.clock.now())
    return look.hands.journal.append_own([said], look.who)[0].id


def tell_removed(
    look: Pass,
    found: str,
    what: e.OrphanKind,
    names: Sequence[str],
    *,
    kind: str | None = None,
    stream: str | None = None,
    size: int | None = None,
) -> None:
    """Record that what was *found*, by that event's id, is gone."""
    event = e.OrphanRemoved(
        what=what,
        kind=kind,
        stream=stream,
        count=len(names),
        size=size,
        private=e.OrphanText(names=tuple(map(from_os, names))),
    )
    said = Said(event=event, occurred=look.hands.clock.now(), cause=found)
    look.hands.journal.append_own([said], look.who)
