"""What `--json` makes of rows: the same names, times in words. docs/json.md shows every shape.

Rule: a field whose name ends in `_at` is a time and is printed as ISO 8601 in UTC with
microseconds; everything else is printed as it stands in the row.
"""

from __future__ import annotations

from typing import Any

import msgspec

from adapters.cli.times import utc


def json_shape(value: Any) -> Any:
    """Return *value* in what JSON has, with times in words."""
    return _timed(msgspec.to_builtins(value))


def _timed(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: utc(inner) if _is_time(key, inner) else _timed(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_timed(inner) for inner in value]
    return value


def _is_time(key: str, value: object) -> bool:
    # A label may be called anything; its value is a text.
    return key.endswith("_at") and isinstance(value, int)
