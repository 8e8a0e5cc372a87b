"""The type of flags that take a time."""

from __future__ import annotations

import click

from adapters.cli.times import parse_time


class TimeType(click.ParamType[int]):
    """A time, as microseconds in UTC."""

    name = "time"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return what *value* means; a usage error if it means nothing."""
        if isinstance(value, int):
            return value
        try:
            return parse_time(value)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is not a time: give 2026-11-23, 2026-11-23T04:00+01:00 or 2h",
                param,
                ctx,
            )


TIME = TimeType()
