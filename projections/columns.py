"""A row's class as the columns of a plain table: what any tool that reads SQL can read.

Rule 1: numbers, words and truth values are columns of their own type; a path or argument that is
not UTF-8 is a BLOB of its bytes; whatever has parts (an isolation, labels, a list) is JSON text.
Rule 2: encoding and decoding are opposites, and the same row has the same columns for ever:
digests of views are taken over them.
"""

from __future__ import annotations

import base64
import types
from collections.abc import Callable, Sequence
from math import isnan
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from ledger.ostext import Bytes64

Cell = int | float | str | bytes | None
ColumnType = Literal["INTEGER", "REAL", "TEXT", "BLOB"]
RowT = TypeVar("RowT", bound=msgspec.Struct)

_PLAIN: dict[type, ColumnType] = {int: "INTEGER", float: "REAL", str: "TEXT", bytes: "BLOB"}
_json = msgspec.json.Encoder(order="sorted")


class Column(msgspec.Struct, frozen=True):
    """A column: *optional* may be NULL; *form* says how a value is written into it."""

    name: str
    type: ColumnType
    optional: bool
    form: Literal["plain", "truth", "os_text", "json"]


_known: dict[Any, Columns[Any]] = {}


class Columns(Generic[RowT]):
    """The columns of the rows of class *row*, in the order of its fields."""

    def __init__(self, row: type[RowT]) -> None:
        hints = get_type_hints(row)
        self._row = row
        self.all = tuple(_column(name, hints[name]) for name in row.__struct_fields__)
        self.names = tuple(column.name for column in self.all)
        self._encoders: list[tuple[int, Callable[[Any], Cell]]] = [
            (at, _ENCODE[column.form])
            for at, column in enumerate(self.all)
            if column.form not in ("plain", "truth")
        ]
        self._decoders = [
            (at, _decoder(column, hints[column.name]))
            for at, column in enumerate(self.all)
            if column.form != "plain"
        ]

    def is_integer(self, key: tuple[str, ...]) -> bool:
        """Say whether *key* is one integer."""
        return len(key) == 1 and self.all[self.names.index(key[0])].type == "INTEGER"

    def decoder(self, name: str) -> Callable[[Any], Any]:
        """Return what reads the cells of one column; they are not NULL."""
        at = self.names.index(name)
        return dict(self._decoders).get(at, lambda cell: cell)

    def encode(self, row: RowT) -> tuple[Cell, ...]:
        """Return the cells of *row*."""
        values = msgspec.structs.astuple(row)
        if not self._encoders:
            return values
        cells = list(values)
        for at, encode in self._encoders:
            if cells[at] is not None:
                cells[at] = encode(cells[at])
        return tuple(cells)

    def decode(self, cells: Sequence[Cell]) -> RowT:
        """Return the row that *cells* are."""
        values: list[Any] = list(cells)
        for at, decode in self._decoders:
            if values[at] is not None:
                values[at] = decode(values[at])
        return self._row(**dict(zip(self.names, values, strict=True)))

    def check(self, row: RowT) -> None:
        """Raise `ValueError` naming the first column that cannot hold its value in *row*."""
        if type(row) is not self._row:
            raise ValueError(f"cannot keep {row!r} as a row: it is not a {self._row.__name__}")
        for column, value in zip(self.all, msgspec.structs.astuple(row), strict=True):
            try:
                why = _unfit(column, value)
            except (TypeError, ValueError) as error:
                why = str(error)
            if why:
                raise ValueError(f"cannot keep {value!r} in column {column.name}: {why}")


def columns_of(row: type[RowT]) -> Columns[RowT]:
    """Return the columns of a row class."""
    if row not in _known:
        _known[row] = Columns(row)
    return _known[row]


def _column(name: str, hint: Any) -> Column:
    kinds = [kind for kind in _members(hint) if kind is not type(None)]
    optional = len(kinds) < len(_members(hint))
    if set(kinds) == {str, Bytes64}:
        return Column(name, "TEXT", optional, "os_text")
    if all(get_origin(kind) is Literal for kind in kinds):
        kinds = [str] if all(isinstance(word, str) for k in kinds for word in get_args(k)) else []
    if kinds == [bool]:
        return Column(name, "INTEGER", optional, "truth")
    if len(kinds) == 1 and kinds[0] in _PLAIN:
        return Column(name, _PLAIN[kinds[0]], optional, "plain")
    return Column(name, "TEXT", optional, "json")


def _members(hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(member for one in get_args(hint) for member in _members(one))
    return (hint,)


def _decoder(column: Column, hint: Any) -> Callable[[Any], Any]:
    match column.form:
        case "truth":
            return bool
        case "os_text":
            return decode_os_text
        case _:
            return msgspec.json.Decoder(hint).decode


def encode_os_text(text: str | Bytes64) -> Cell:
    """Return text of the operating system as a cell: what is not UTF-8 as its bytes."""
    return base64.b64decode(text.b64) if isinstance(text, Bytes64) else text


def decode_os_text(cell: str | bytes) -> str | Bytes64:
    """Return the text of the operating system that a cell is."""
    return Bytes64(base64.b64encode(cell).decode()) if isinstance(cell, bytes) else cell


def _unfit(column: Column, value: Any) -> str | None:
    """Return why a column cannot hold a value, if it cannot."""
    cell = _ENCODE[column.form](value) if value is not None and column.form in _ENCODE else value
    if isinstance(cell, str):
        cell.encode()
    # What is not a number is nothing to a database.
    is_nothing = cell is None or (isinstance(cell, float) and isnan(cell))
    if is_nothing and not column.optional:
        return "it may not be nothing"
    if isinstance(cell, int) and not -(2**63) <= cell < 2**63:
        return "it has more than 64 bits"
    if not isinstance(cell, int | float | str | bytes | None):
        return f"it is a {type(cell).__name__}"
    return None


def _encode_json(value: Any) -> Cell:
    return _json.encode(value).decode()


_ENCODE: dict[str, Callable[[Any], Cell]] = {"os_text": encode_os_text, "json": _encode_json}
