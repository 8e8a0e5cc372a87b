"""Secrets kept out of what a person typed or was told: the messages, labels and names of events.

Rule 1: every event passes here on its way to the record; commands and streams were redacted where
they were read, word by word and byte by byte.
Rule 2: paths and ids stay as they are: cleaning up finds things by them.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from ledger import events as e
from ledger.events import Event, Text
from ledger.redaction import Redactor

DEFAULT_PATTERNS = ("default",)

E_ = TypeVar("E_", bound=Event)

_WORDS: dict[type[Text], str] = {
    e.CleanupText: "message",
    e.FallbackText: "messages",
    e.MessageText: "message",
    e.ReasonText: "message",
    e.RunOpenedText: "labels",
}


def withhold(redactor: Redactor, event: E_) -> E_:
    """Return *event* with the secrets taken out of its words."""
    text = getattr(event, "private", None)
    if not isinstance(text, Text) or type(text) not in _WORDS:
        return event
    name = _WORDS[type(text)]
    words = getattr(text, name)
    clean = _redacted(redactor, words)
    if clean == words:
        return event
    return msgspec.structs.replace(event, private=msgspec.structs.replace(text, **{name: clean}))


def _redacted(redactor: Redactor, words: Any) -> Any:
    if isinstance(words, str):
        return redactor.text(words).value
    if isinstance(words, dict):
        return {key: redactor.text(value).value for key, value in words.items()}
    return tuple(redactor.text(word).value for word in words)
