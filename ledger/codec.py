"""Event to stored bytes and back, through a registry of stable names.

Rule 1: a stored name (`command.executed.1`) says what happened and in which version of its shape;
it never says where the class lives. A name once stored is never reused.
Rule 2: facts are UTF-8 JSON with sorted keys. They carry the commitment to the private part:
SHA-256 of its salt and its bytes.
Rule 3: what was stored is what is hashed; decoding never re-serialises to check anything.

Facts of a stored event, with the event's own facts under `event`:

    {"cause":null,"commitment":"<64 hex>","event":{…},"id":"<32 hex>","occurred":1,"recorded":2,
     "trace":"<32 hex>","via":"os_user"}

Private part: `{"actor":…,"caller_trace":…,"event":{…},"host":…,"on_behalf_of":…}`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container
from functools import cache
from typing import Any, Generic, TypeVar, cast

import msgspec

from ledger import events as e
from ledger.errors import EventUnknown
from ledger.events import UNSET, Event, UnsetType
from ledger.recorded import Established, Provenance, Recorded, Said
from ledger.store import PrivatePart, Row
from ledger.upcast import is_old, upcast

TOPICS: dict[str, type[Event]] = {
    "artifact.stored.1": e.ArtifactStored,
    "cleaned.up.1": e.CleanedUp,
    "cleanup.failed.1": e.CleanupFailed,
    "command.cancelled.1": e.CommandCancelled,
    "command.denied.1": e.CommandDenied,
    "command.executed.1": e.CommandExecuted,
    "command.lost.1": e.CommandLost,
    "command.not_started.1": e.CommandNotStarted,
    "command.outcome_found.1": e.CommandOutcomeFound,
    "command.requested.1": e.CommandRequested,
    "command.timed_out.1": e.CommandTimedOut,
    "fallback.refused.1": e.FallbackRefused,
    "fallback.taken.1": e.FallbackTaken,
    "file.denied.1": e.FileDenied,
    "file.read.1": e.FileRead,
    "file.write_requested.1": e.FileWriteRequested,
    "file.written.1": e.FileWritten,
    "key.changed.1": e.KeyChanged,
    "ledger.created.2": e.LedgerCreated,
    "ledger.restored.1": e.LedgerRestored,
    "legacy_event.imported.1": e.LegacyEventImported,
    "orphan.found.1": e.OrphanFound,
    "orphan.removed.1": e.OrphanRemoved,
    "patch.captured.1": e.PatchCaptured,
    "protected_path.changed.1": e.ProtectedPathChanged,
    "run.abandoned.1": e.RunAbandoned,
    "run.completed.1": e.RunCompleted,
    "run.opened.1": e.RunOpened,
    "run.sealed.2": e.RunSealed,
    "sandbox.created.3": e.SandboxCreated,
    "sandbox.lost.1": e.SandboxLost,
    "worktree.created.1": e.WorktreeCreated,
}
TOPIC_OF: dict[type[Event], str] = {kind: topic for topic, kind in TOPICS.items()}

E_ = TypeVar("E_", bound=Event)
T_ = TypeVar("T_")
# What bytes that somebody else put there can make of the decoder besides its own error.
_NOT_JSON = (UnicodeDecodeError, RecursionError, KeyError)


class Envelope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The facts of a stored event that are not the event's own."""

    id: str
    occurred: int
    recorded: int
    cause: str | None
    trace: str
    via: Established
    commitment: str


class _Facts(Envelope, Generic[E_], frozen=True, kw_only=True):
    event: E_


# Makes what is to be stored of a seal, under the envelope that it is stored with.
SignSeal = Callable[[e.RunSealed, Envelope], e.RunSealed]


class _Private(msgspec.Struct, frozen=True, kw_only=True):
    actor: str
    host: str
    on_behalf_of: str | None
    caller_trace: str | None
    event: msgspec.Raw | UnsetType = UNSET


class _PrivateOf(msgspec.Struct, Generic[T_], frozen=True, kw_only=True, gc=False):
    actor: str
    host: str
    on_behalf_of: str | None
    caller_trace: str | None
    event: T_ | UnsetType = UNSET


_encoder = msgspec.json.Encoder(order="sorted")
_private_decoders: dict[type[Event], msgspec.json.Decoder[_PrivateOf[Any]]] = {}


def commitment(part: PrivatePart) -> str:
    """Return what the facts say of a private part: the hexadecimal SHA-256 of salt and bytes."""
    return hashlib.sha256(part.salt + part.body).hexdigest()


def encode(
    said: Said,
    who: Provenance,
    *,
    id: str,
    recorded: int,
    salt: bytes,
    sign: SignSeal | None = None,
) -> tuple[str, bytes, PrivatePart]:
    """
    Return the stored name, the facts and the private part of an event.

    *sign* signs a `RunSealed`: its Statement binds the envelope, which is made here.
    """
    event = said.event
    text = getattr(event, "private", UNSET)
    private = PrivatePart(
        salt,
        _encoder.encode(
            _Private(
                actor=who.actor,
                host=who.host,
                on_behalf_of=who.on_behalf_of,
                caller_trace=who.caller_trace,
                event=UNSET if text is UNSET else msgspec.Raw(_encoder.encode(text)),
            )
        ),
    )
    if text is not UNSET:
        event = msgspec.structs.replace(event, private=UNSET)
    envelope = Envelope(
        id=id,
        occurred=said.occurred,
        recorded=recorded,
        cause=said.cause,
        trace=who.trace,
        via=who.via,
        commitment=commitment(private),
    )
    if sign is not None and isinstance(event, e.RunSealed):
        event = sign(event, envelope)
    facts = _Facts(**msgspec.structs.asdict(envelope), event=event)
    return TOPIC_OF[type(event)], encode_facts(facts), private


def encode_facts(facts: _Facts[Any]) -> bytes:
    """Return the one spelling of an event's facts."""
    return _encoder.encode(facts)


def decode_facts(topic: str, facts: bytes) -> _Facts[Any]:
    """Return envelope and event of stored facts; raises `EventUnknown`, `msgspec.DecodeError`."""
    try:
        if not is_old(topic):
            return _facts_decoder(topic).decode(facts)
        stored = msgspec.json.decode(facts, type=dict[str, Any])
        event = msgspec.convert(stored["event"], dict[str, Any])
        topic, stored["event"] = upcast(topic, event)
        newest: Any = _Facts[_class_of(topic)]  # type: ignore[misc]
        return cast("_Facts[Any]", msgspec.convert(stored, newest))
    except _NOT_JSON as error:
        raise msgspec.DecodeError(f"stored facts are not what was recorded: {error}") from error


def decode(row: Row, private: Container[type[Event]] | None = None) -> Recorded:
    """
    Return a stored row as the event that it records.

    Where *private* names types of events, the private parts of others are left unread. Raises
    `EventUnknown`, and `msgspec.DecodeError` for what was never recorded so.
    """
    try:
        return _decode(row, private)
    except _NOT_JSON as error:
        raise msgspec.DecodeError(f"a private part is not what was recorded: {error}") from error


def _decode(row: Row, private: Container[type[Event]] | None) -> Recorded:
    facts = decode_facts(row.topic, row.facts)
    event, who = facts.event, None
    if row.private is not None and (private is None or type(event) in private):
        who = _private_decoder(type(event)).decode(row.private.body)
        if who.event is not UNSET:
            event = msgspec.structs.replace(event, private=who.event)
    return Recorded(
        stream=row.stream,
        version=row.version,
        position=row.position,
        topic=row.topic,
        id=facts.id,
        occurred=facts.occurred,
        recorded=facts.recorded,
        cause=facts.cause,
        trace=facts.trace,
        via=facts.via,
        event=event,
        private="missing" if row.private is None else "present",
        actor=who.actor if who else None,
        host=who.host if who else None,
        on_behalf_of=who.on_behalf_of if who else None,
        caller_trace=who.caller_trace if who else None,
    )


def _class_of(topic: str) -> type[Event]:
    try:
        return TOPICS[topic]
    except KeyError:
        raise EventUnknown(
            f"cannot read event {topic}: this version does not know it; use a newer gesta"
        ) from None


@cache
def _facts_decoder(topic: str) -> msgspec.json.Decoder[_Facts[Any]]:
    return msgspec.json.Decoder(_Facts[_class_of(topic)])  # type: ignore[misc]


def _private_decoder(kind: type[Event]) -> msgspec.json.Decoder[_PrivateOf[Any]]:
    decoder = _private_decoders.get(kind)
    if decoder is None:
        fields = msgspec.structs.fields(kind)
        text: Any = next((field.type for field in fields if field.name == "private"), UnsetType)
        decoder = msgspec.json.Decoder(_PrivateOf[text])
        _private_decoders[kind] = decoder
    return decoder
