"""Whether a live view is what its events say: a fresh rebuild beside it, compared row by row.

Rule 1: both sides are read as of one position; what is appended meanwhile makes no difference.
Rule 2: a digest is the SHA-256 over every row of every table, in the order of the keys, each row
the JSON array of its cells and a line feed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import zip_longest

import msgspec

from ledger.store import Store
from projections.columns import Cell
from projections.engine import Engine, Progress
from projections.projection import Projection
from projections.views import Snapshot, Views

_encoder = msgspec.json.Encoder()
_Cells = tuple[Cell, ...]


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """What a projection's rows amount to at a *position*: the SHA-256, and how many there are."""

    name: str
    position: int
    rows: int
    sha256: str


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first row that is not the same, as it is in the view and as it should be."""

    table: str
    live: _Cells | None
    rebuilt: _Cells | None


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A projection's live rows and, unless they are as a rebuild has them, where they are not."""

    digest: Digest
    difference: Difference | None


def digest(snapshot: Snapshot, projection: Projection) -> Digest | None:
    """Return the digest of a projection's rows; `None` if there is no such view."""
    standing = snapshot.standing(projection.name)
    if standing is None:
        return None
    total, count = hashlib.sha256(), 0
    for table in projection.tables:
        total.update(f"{table.name}\n".encode())
        for cells in snapshot.scan(table):
            total.update(_encoder.encode(cells))
            total.update(b"\n")
            count += 1
    return Digest(
        name=projection.name, position=standing.position, rows=count, sha256=total.hexdigest()
    )


def digests(views: Views, projections: Sequence[Projection]) -> list[Digest]:
    """Return the digests of all *projections* that there are views of, as of one moment."""
    with views.snapshot() as snapshot:
        found = [digest(snapshot, projection) for projection in projections]
    return [one for one in found if one is not None]


def check(
    store: Store, views: Views, projections: Sequence[Projection], progress: Progress | None = None
) -> list[Checked]:
    """Compare every live view with one that is folded anew from *store*, as far as it has come."""
    results = []
    with views.snapshot() as live:
        for projection in projections:
            found = digest(live, projection)
            if found is None:
                continue
            with views.scratch() as scratch:
                Engine(store, scratch, [projection]).through(found.position, progress)
                with scratch.snapshot() as rebuilt:
                    difference = next(_differences(projection, live, rebuilt), None)
            results.append(Checked(digest=found, difference=difference))
    return results


def _differences(projection: Projection, live: Snapshot, rebuilt: Snapshot) -> Iterator[Difference]:
    for table in projection.tables:
        for ours, theirs in zip_longest(live.scan(table), rebuilt.scan(table)):
            if ours != theirs:
                yield Difference(table=table.name, live=ours, rebuilt=theirs)
