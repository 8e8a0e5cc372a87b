"""The golden bytes of every stored event, read from `tests/vectors/events.json`.

Rule: a vector once written is never rewritten. `python -m tests.ledger.vectors` adds those of
`samples.SAMPLES` whose names are new, and touches no other.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from ledger import events as e
from ledger.codec import commitment, encode
from ledger.events import UNSET, Event
from ledger.recorded import Established, Provenance, Said
from ledger.store import PrivatePart, Row

FILE = Path(__file__).parent.parent / "vectors" / "events.json"


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What `append` was given beside the event."""

    id: str
    occurred: int
    recorded: int
    cause: str | None
    trace: str
    via: Established
    actor: str
    host: str
    on_behalf_of: str | None
    caller_trace: str | None


class Vector(msgspec.Struct, frozen=True, kw_only=True):
    """
    One stored event: its bytes, and what they mean.

    *kind* names the class of *event* as it is today, whose *private* part is `None` if nothing
    was said in it. *facts* and *body* are the stored text, byte for byte.
    """

    name: str
    topic: str
    facts: str
    body: str
    salt: str
    commitment: str
    envelope: Envelope
    kind: str
    event: dict[str, Any]
    private: dict[str, Any] | None

    def meant(self) -> Any:
        """Return the event that the vector means, built from plain data."""
        plain = (
            dict(self.event) if self.private is None else {**self.event, "private": self.private}
        )
        return msgspec.convert(plain, getattr(e, self.kind))

    def said(self) -> Said:
        """Return the event with the time and the cause that it was recorded with."""
        envelope = self.envelope
        return Said(event=self.meant(), occurred=envelope.occurred, cause=envelope.cause)

    def who(self) -> Provenance:
        """Return who acted."""
        names = Provenance.__struct_fields__
        return Provenance(**{name: getattr(self.envelope, name) for name in names})

    def row(self, *, private: bool = True) -> Row:
        """Return the row as it lies in a store, with its private part or after that is gone."""
        part = PrivatePart(bytes.fromhex(self.salt), self.body.encode())
        return Row(
            position=7,
            stream="stream-1",
            version=3,
            topic=self.topic,
            facts=self.facts.encode(),
            leaf=b"",
            private=part if private else None,
        )


def load_vectors(file: Path = FILE) -> list[Vector]:
    """Return every vector, in the order in which they were added."""
    return msgspec.json.decode(file.read_bytes(), type=list[Vector])


def make_vector(name: str, event: Event) -> Vector:
    """Return the vector of *event* as this version stores it, under an envelope made of *name*."""
    noise = hashlib.sha512(name.encode()).hexdigest()
    envelope = Envelope(
        id=noise[:32],
        occurred=1_750_000_000_000_000 + int(noise[:6], 16),
        recorded=1_750_000_100_000_000 + int(noise[:6], 16),
        cause=noise[8:40] if noise[0] in "02468ace" else None,
        trace=noise[32:64],
        via=("argument", "environment", "os_user")[int(noise[1], 16) % 3],
        actor=f"ann-{noise[:3]}",
        host="host.example",
        on_behalf_of="bob" if noise[2] in "01234567" else None,
        caller_trace="trace-123" if noise[3] in "01234567" else None,
    )
    text = getattr(event, "private", UNSET)
    bare = event if text is UNSET else msgspec.structs.replace(event, private=UNSET)
    vector = Vector(
        name=name,
        topic="",
        facts="",
        body="",
        salt=noise[64:96],
        commitment="",
        envelope=envelope,
        kind=type(event).__name__,
        event=msgspec.to_builtins(bare),
        private=None if text is UNSET else msgspec.to_builtins(text),
    )
    topic, facts, part = encode(
        Said(event=event, occurred=envelope.occurred, cause=envelope.cause),
        vector.who(),
        id=envelope.id,
        recorded=envelope.recorded,
        salt=bytes.fromhex(vector.salt),
    )
    return msgspec.structs.replace(
        vector,
        topic=topic,
        facts=facts.decode(),
        body=part.body.decode(),
        commitment=commitment(part),
    )


def add_vectors(samples: dict[str, Event], file: Path = FILE) -> list[str]:
    """Add the vectors of those *samples* that have none yet, and return their names."""
    there = load_vectors(file)
    known = {vector.name for vector in there}
    fresh = [make_vector(name, event) for name, event in samples.items() if name not in known]
    plain = msgspec.to_builtins([*there, *fresh])
    file.write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return [vector.name for vector in fresh]


if __name__ == "__main__":
    from tests.ledger.samples import SAMPLES

    for added in add_vectors(SAMPLES):
        sys.stdout.write(f"added {added}\n")
