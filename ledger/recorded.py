"""The envelope: what `append` adds around an event. `decide` never sees it.

Rule 1: an event says what happened; only the journal makes a `Recorded` of it, when it is stored.
Rule 2: who acted, on which host and under whose trace are private; how the actor's name was
established is a fact.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ledger.events import Event

Established = Literal["argument", "environment", "os_user"]


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """
    Who acts, and where.

    *via* is how the actor's name was established; *trace* is the run's own trace id (W3C, 32
    hexadecimal digits), *caller_trace* whatever the caller has for one.
    """

    actor: str
    via: Established
    host: str
    trace: str
    on_behalf_of: str | None = None
    caller_trace: str | None = None


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """An event about to be recorded: when it occurred (µs, UTC) and which event caused it."""

    event: Event
    occurred: int
    cause: str | None = None


class Recorded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    An event as the store has it.

    *position* is its gap-free place in the whole log, *version* in its stream; times are
    microseconds in UTC. Where *private* is `missing`, so is everything private: the actor, the
    host, the caller's trace and the event's own private part.
    """

    stream: str
    version: int
    position: int
    topic: str
    id: str
    occurred: int
    recorded: int
    cause: str | None
    trace: str
    via: Established
    event: Event
    private: Literal["present", "missing"]
    actor: str | None = None
    host: str | None = None
    on_behalf_of: str | None = None
    caller_trace: str | None = None
