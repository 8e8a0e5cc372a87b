"""What an event is: something that happened to one run, or to the ledger, said once.

Rule 1: past tense, frozen, keyword-only; its facts are its fields, its private part is one field.
Rule 2: facts are what `evolve` reads: ids, times, kinds, codes, counts, isolation. Whatever a
person typed, named or printed, and every digest of it, is private.
Rule 3: nothing in an event refers back to it, so that no cycle can form and the collector need not
look (`gc=False`): folding a long log makes millions of them.
Rule 4: a private part that is gone is `UNSET`; nothing that decides a run's state may look at it.
"""

from __future__ import annotations

from typing import TypeVar, Union

import msgspec
from msgspec import UNSET, UnsetType

from ledger.ostext import OsText

T = TypeVar("T")

# `X | UNSET`: there, or erased. (Written with Union because a TypeVar needs it.)
Private = Union[T, UnsetType]  # noqa: UP007


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Superclass of all events; never recorded itself."""


class Text(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Superclass of all private parts."""


class BlobName(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The name of a blob: the SHA-256 of what is stored, and its size in bytes."""

    sha256: str
    size: int


__all__ = ["UNSET", "BlobName", "Event", "OsText", "Private", "Text", "UnsetType"]
