"""Whether the views agree with one run's own events, folded again from the stored bytes.

Rule 1: the run's events alone are folded; what views know of other runs is left out.
Rule 2: figures that add up many runs cannot be told apart by run; a rebuild checks them.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ledger.recorded import Recorded
from projections.columns import columns_of
from projections.criteria import Criteria
from projections.projection import Projection, Table
from projections.rows import Key, Rows
from projections.views import Tables


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """One table of a view, and the first row of the run in which it is not what the events say."""

    view: str
    table: str
    rows: int
    live: msgspec.Struct | None = None
    folded: msgspec.Struct | None = None

    @property
    def agrees(self) -> bool:
        """Whether every row is what the events say."""
        return self.live == self.folded


def agreements(
    tables: Tables, projections: Sequence[Projection], history: Sequence[Recorded]
) -> list[Agreement]:
    """Compare what the views have of one run with the fold of its *history*, table by table."""
    found = []
    for projection in projections:
        if projection.by_stream:
            rows = _fold(projection, history)
            stream = history[0].stream
            found += [
                _compare(projection, table, rows, tables, stream) for table in projection.tables
            ]
    return found


def _fold(projection: Projection, history: Sequence[Recorded]) -> Rows:
    handlers = projection.handlers
    rows = Rows(lambda table, key: None)
    for record in history:
        folding = handlers.kinds.get(type(record.event), handlers.every)
        if folding is not None:
            folding(record, rows)
    projection.settle(rows)
    return rows


def _compare(
    projection: Projection,
    table: Table[msgspec.Struct],
    rows: Rows,
    tables: Tables,
    stream: str,
) -> Agreement:
    changed = next((changed for one, changed in rows.changes() if one.name == table.name), {})
    folded = {key: row for key, row in changed.items() if row is not None}
    order = ", ".join(f't."{name}"' for name in table.key)
    criteria = Criteria(table).equal(stream=stream)
    live = {_key(table, row): row for row in criteria.read(tables, order=order)}
    agreement = Agreement(view=projection.name, table=table.name, rows=len(live))
    for key in sorted(live.keys() | folded.keys(), key=repr):
        ours, theirs = live.get(key), folded.get(key)
        if not _same(table, ours, theirs):
            return msgspec.structs.replace(agreement, live=ours, folded=theirs)
    return agreement


def _key(table: Table[msgspec.Struct], row: msgspec.Struct) -> Key:
    return tuple(getattr(row, name) for name in table.key)


def _same(
    table: Table[msgspec.Struct], ours: msgspec.Struct | None, theirs: msgspec.Struct | None
) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    encode = columns_of(table.row).encode
    return encode(ours) == encode(theirs)
