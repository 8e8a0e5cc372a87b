"""Blob files that no event names are collected.

Rule 1: a file is collected while nobody is between making one and recording the event that names
it; what was recorded up to then is read first.
Rule 2: what names a blob is looked for in the stored bytes: events that this version does not know
keep their blobs. Where 64 hexadecimal digits stand by chance, a blob stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ledger.capture import blobs_of
from ledger.drift import Drift, Pass, ended
from ledger.errors import GestaError
from ledger.orphans import tell_found, tell_removed

if TYPE_CHECKING:
    from ledger.hands import Hands

_DIGEST = re.compile(rb"[0-9a-f]{64}")
_PAGE = 1000
# Names that one event of the ledger's stream holds: it stays under 32 KiB.
_TOLD_AT_ONCE = 400


def blob_drifts(look: Pass) -> Iterator[Drift]:
    """Yield the files that no event names, and those that a dead writer left unfinished."""
    inventory = look.hands.inventory
    files = dict(inventory.blob_files())
    position = _forget_named(look.hands, files, after=-1)
    if files and not look.act:
        yield from (_drift(name, size) for name, size in sorted(files.items()))
    elif files:
        yield from _collect(look, files, position)
    for name, size in inventory.dead_drafts().items():
        drift = Drift(what="draft", name=name, why=f"its writer died; {size} bytes")
        if look.act:
            try:
                inventory.remove_draft(name)
            except GestaError as error:
                drift = ended(drift, str(error), "removed")
            else:
                drift = ended(drift, None, "removed")
        yield drift


def _collect(look: Pass, files: dict[str, int], position: int) -> Iterator[Drift]:
    with look.hands.inventory.collecting() as alone:
        if not alone:
            why = "somebody is writing blobs; run gc again later"
            yield from (ended(_drift(*one), why, "removed") for one in sorted(files.items()))
            return
        _forget_named(look.hands, files, after=position)
        names = sorted(files)
        for at in range(0, len(names), _TOLD_AT_ONCE):
            yield from _remove(look, {name: files[name] for name in names[at : at + _TOLD_AT_ONCE]})


def _remove(look: Pass, files: Mapping[str, int]) -> Iterator[Drift]:
    told = tell_found(look, "blob", list(files), size=sum(files.values()))
    gone: dict[str, int] = {}
    for name, size in files.items():
        try:
            look.hands.inventory.remove_blob(name)
        except GestaError as error:
            yield ended(_drift(name, size), str(error), "removed")
        else:
            gone[name] = size
    if gone:
        tell_removed(look, told, "blob", list(gone), size=sum(gone.values()))
    yield from (ended(_drift(name, size), None, "removed") for name, size in gone.items())


def _forget_named(hands: Hands, files: dict[str, int], *, after: int) -> int:
    """Take those out of *files* that an event above *after* names; return the last one's place."""
    for stream in hands.spool.streams():
        for _, spooled in hands.spool.kept(stream):
            output = spooled.output
            for blob in (*blobs_of(output), *(result.blob for result in output.results)):
                files.pop(blob.digest, None)
    while files and (page := hands.journal.store.page(after=after, limit=_PAGE)):
        for row in page:
            stored = row.facts if row.private is None else row.facts + row.private.body
            for digest in _DIGEST.findall(stored):
                files.pop(digest.decode(), None)
        after = page[-1].position
    return after


def _drift(name: str, size: int) -> Drift:
    return Drift(what="blob", name=name, why=f"no event names it; {size} bytes")
