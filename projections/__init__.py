"""What the facts mean to a reader: pure folds of the events, and queries over them.

A projection of your own is a class with a name, a version, its tables and a handler an event type;
see `projections.projection`, and `gesta project --help`.
"""

from projections.projection import Projection, Table, on
from projections.rows import Rows

__all__ = ["Projection", "Rows", "Table", "on"]
