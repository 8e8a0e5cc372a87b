"""The uncommitted work that an earlier run began with, as it is on record."""

from __future__ import annotations

import msgspec


class RecordedWork(msgspec.Struct, frozen=True, kw_only=True):
    """*patch* is against the base commit, `None` where there was none; *tree* is what both give."""

    patch: bytes | None
    manifest: bytes
    tree: str
