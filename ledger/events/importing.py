"""What is on record of journals that the system kept which this one replaces."""

from __future__ import annotations

from ledger.events.event import UNSET, BlobName, Event, Private, Text


class LegacyText(Text, frozen=True, kw_only=True):
    """
    What the line said: *type*, *time* and *trace* as they stood there, `None` where they did not.

    *file* is the SHA-256 of the whole journal as it was read. *payload* is the payload's JSON,
    *others* an object of what else the line had. Secrets were taken out by the rules whose digest
    is *rule_set*.
    """

    file: str
    type: str
    time: str | None = None
    trace: str | None = None
    payload: BlobName | None = None
    others: BlobName | None = None
    rule_set: str | None = None


class LegacyEventImported(Event, frozen=True, kw_only=True):
    """A line of the replaced system's journal was imported; nothing of ours saw it happen."""

    task: str
    run: str | None
    line: int
    size: int
    redactions: dict[str, int] = {}
    private: Private[LegacyText] = UNSET
