"""What the facts mean to a reader: pure folds of the events, and queries over them.

Front door: a projection of your own is a class with a name, a version, its tables and a handler an
event type; see `projections.projection`, and `gesta project --help`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from projections.projection import Projection, Table, on
    from projections.rows import Rows

__all__ = ["Projection", "Rows", "Table", "on"]


def __getattr__(name: str) -> Any:
    # Imported when first asked for: the command line asks whether this package is its own.
    if name not in __all__:
        raise AttributeError(f"module 'projections' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"projections.{'rows' if name == 'Rows' else 'projection'}"), name)
