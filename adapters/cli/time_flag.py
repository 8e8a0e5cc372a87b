"""The flags that take a time, and those that go back in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from adapters.cli.times import parse_time

if TYPE_CHECKING:
    from adapters.reader import Reader


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

AT = click.option(
    "--at", type=click.IntRange(0), metavar="N", help="As of the event at this position of the log."
)
AS_OF = click.option("--as-of", type=TIME, help="As of then: the log before anything later in it.")


def cut(reader: Reader, at: int | None, as_of: int | None) -> int | None:
    """Return the position of the last event that counts; `None` if all do."""
    if at is not None and as_of is not None:
        raise click.UsageError("give either --at or --as-of", click.get_current_context())
    return at if as_of is None else reader.queries.last_before(as_of)
