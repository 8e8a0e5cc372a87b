"""A stored event as other tools take it: one JSON object, or one row of flat columns.

Rule 1: facts and private parts are passed on as they are stored, byte for byte: an event of a
type that this version does not know is exported like any other.
Rule 2: what cannot be read is passed on as bytes, and nothing stops at it.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ledger.codec import TOPICS
from ledger.store import Row

COLUMNS = (
    "position",
    "stream",
    "version",
    "topic",
    "event",
    "occurred_at",
    "recorded_at",
    "id",
    "cause",
    "trace",
    "via",
    "actor",
    "on_behalf_of",
    "host",
    "caller_trace",
    "missing",
    "facts",
    "private",
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Facts(msgspec.Struct, frozen=True, kw_only=True):
    occurred: int | None = None
    recorded: int | None = None
    id: str | None = None
    cause: str | None = None
    trace: str | None = None
    via: str | None = None
    event: msgspec.Raw = msgspec.Raw(b"null")


class _Private(msgspec.Struct, frozen=True, kw_only=True):
    actor: str | None = None
    host: str | None = None
    on_behalf_of: str | None = None
    caller_trace: str | None = None
    event: msgspec.Raw = msgspec.Raw(b"null")


class _Line(msgspec.Struct, frozen=True):
    position: int
    stream: str
    version: int
    topic: str
    event: str | None
    occurred_at: str | None
    recorded_at: str | None
    leaf: str
    facts: msgspec.Raw
    salt: str | None
    private: msgspec.Raw | None


_facts = msgspec.json.Decoder(_Facts)
_private = msgspec.json.Decoder(_Private)
_raw = msgspec.json.Decoder(msgspec.Raw)
_encoder = msgspec.json.Encoder()


def export_json(row: Row) -> bytes:
    """Return a stored event as one JSON object, without a line feed; see docs/json.md."""
    facts = _envelope(_facts, row.facts) or _Facts()
    part = row.private
    return _encoder.encode(
        _Line(
            row.position,
            row.stream,
            row.version,
            row.topic,
            _name(row.topic),
            _time(facts.occurred),
            _time(facts.recorded),
            row.leaf.hex(),
            _as_json(row.facts),
            part.salt.hex() if part else None,
            _as_json(part.body) if part else None,
        )
    )


def export_cells(row: Row) -> tuple[str, ...]:
    """Return a stored event as the texts of `COLUMNS`; what is not there is empty."""
    facts = _envelope(_facts, row.facts)
    part = row.private
    private = _envelope(_private, part.body) if part else None
    said, who = facts or _Facts(), private or _Private()
    values = (
        str(row.position),
        row.stream,
        str(row.version),
        row.topic,
        _name(row.topic),
        _time(said.occurred),
        _time(said.recorded),
        said.id,
        said.cause,
        said.trace,
        said.via,
        who.actor,
        who.on_behalf_of,
        who.host,
        who.caller_trace,
        "false" if part else "true",
        _text(row.facts if facts is None else bytes(facts.event)),
        _text(part.body if part and private is None else bytes(who.event)),
    )
    return tuple("" if value is None else value for value in values)


def _envelope(decoder: msgspec.json.Decoder[Any], data: bytes) -> Any:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _as_json(data: bytes) -> msgspec.Raw:
    """Return stored JSON as it is; of bytes that are no JSON, an object that holds them."""
    try:
        data.decode()
        return msgspec.Raw(_raw.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return msgspec.Raw(b'{"b64":"%s"}' % base64.b64encode(data))


def _text(data: bytes) -> str:
    text = bytes(_as_json(data)).decode()
    return "" if text == "null" else text


def _name(topic: str) -> str | None:
    kind = TOPICS.get(topic)
    return None if kind is None else kind.__name__


def _time(microseconds: int | None) -> str | None:
    if microseconds is None:
        return None
    try:
        when = _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return None
    return when.isoformat(timespec="microseconds").replace("+00:00", "Z")
