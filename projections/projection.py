"""What a projection is: a name, a version, its tables, and one handler an event type.

    class Exits(Projection):
        name, version, tables = "exits", 1, (EXITS,)

        @on(CommandExecuted)
        def count(self, record, rows):
            code = record.event.exit_code
            row = rows.get(EXITS, code) or Exit(code=code, times=0)
            rows.put(EXITS, Exit(code=code, times=row.times + 1))

Rule 1: a handler is a pure fold: it reads its own rows and the record, and writes its own rows.
The same events give the same rows, whatever the pages that they came in.
Rule 2: what is grouped by private text is queried, never accumulated: it could not be taken back.
Rule 3: a projection whose handlers or tables change gets a new version, and is built anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from ledger.errors import InputInvalid
from ledger.events import Event
from ledger.recorded import Recorded
from projections.columns import RowT, columns_of
from projections.rows import Rows

Handler = Callable[[Any, Recorded, Rows], None]
Folding = Callable[[Recorded, Rows], None]
H = TypeVar("H", bound=Handler)

_HANDLES = "_handles"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class Table(msgspec.Struct, Generic[RowT], frozen=True):
    """
    A table: its rows are of class *row*, one for each value of the *key* columns.

    *indexes* are further lists of columns to look rows up by. The words of the *search* columns
    can be searched; such a table has one integer as its key. *about* says for readers what a row
    is; a table without it holds the state of the fold and is nobody else's.
    """

    name: str
    row: type[RowT]
    key: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...] = ()
    search: tuple[str, ...] = ()
    about: str | None = None


class Projection:
    """
    Superclass of all projections.

    Where *by_stream* is set, every row has a column `stream` and is made of the events of that
    stream alone: it can be folded anew without the others, which is how what an erased private
    part gave it is dropped. Otherwise nothing private may be in it.

    *reads_private* names the events whose private parts the handlers look at, `None` all of them:
    of others they are not even read from their bytes.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    tables: ClassVar[tuple[Table[Any], ...]]
    by_stream: ClassVar[bool] = False
    reads_private: ClassVar[frozenset[type[Event]] | None] = None

    def check(self) -> None:
        """Raise `InputInvalid` where the class is not what a projection has to be."""
        cls = type(self)
        problem = _problem(cls) or next(filter(None, map(self._table_problem, cls.tables)), None)
        if problem is None and not self.handlers.is_any:
            problem = "no method is marked with @on"
        if problem is not None:
            raise InputInvalid(f"cannot use projection {cls.__name__}: {problem}")

    def _table_problem(self, table: Table[Any]) -> str | None:
        fields = table.row.__struct_fields__
        for name in (*table.key, *table.search, *(n for index in table.indexes for n in index)):
            if name not in fields:
                return f"table {table.name} has no column {name}"
        if not _NAME.fullmatch(table.name) or table.name.startswith(("gesta_", "sqlite_")):
            return f"a table cannot be called {table.name!r}"
        if not table.key:
            return f"table {table.name} has no key"
        if table.search and not columns_of(table.row).is_integer(table.key):
            return f"table {table.name} has search columns, and its key is not one integer"
        if self.by_stream and "stream" not in fields:
            return f"table {table.name} has no column stream, and by_stream is set"
        return None

    def settle(self, rows: Rows) -> None:
        """Put what handlers kept in `rows.pending` into rows; called when a page ends."""

    @cached_property
    def handlers(self) -> Handlers:
        """What folds each type of event."""
        every: Folding | None = None
        kinds: dict[type[Event], Folding] = {}
        for name in dir(type(self)):
            handled = getattr(getattr(type(self), name), _HANDLES, None)
            if handled is None:
                continue
            if not handled:
                every = getattr(self, name)
            kinds.update(dict.fromkeys(handled, getattr(self, name)))
        return Handlers(kinds, every)


class Handlers(msgspec.Struct, frozen=True):
    """Which function folds an event: that of its type in *kinds*, else *every*, if there is one."""

    kinds: dict[type[Event], Folding]
    every: Folding | None

    @property
    def is_any(self) -> bool:
        """Whether there is one at all."""
        return bool(self.kinds) or self.every is not None


def on(*kinds: type[Event]) -> Callable[[H], H]:
    """
    Mark a method as the handler of these *kinds* of events; without any, of all others.

    The method is given the record, and the rows of its projection's tables.
    """

    def mark(handler: H) -> H:
        setattr(handler, _HANDLES, kinds)
        return handler

    return mark


def _problem(cls: type[Projection]) -> str | None:
    for name in ("name", "version", "tables"):
        if not hasattr(cls, name):
            return f"it has no {name}"
    if not isinstance(cls.name, str) or not _NAME.fullmatch(cls.name):
        return f"its name {cls.name!r} is not of small letters, digits and underscores"
    if not isinstance(cls.version, int) or cls.version < 1:
        return f"its version {cls.version!r} is not a number from 1 on"
    if not isinstance(cls.tables, tuple) or not cls.tables:
        return "its tables are not a tuple of Table"
    if not all(isinstance(table, Table) for table in cls.tables):
        return "its tables are not a tuple of Table"
    return None
