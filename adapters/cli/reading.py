"""Opens the views for a command that reads, up to date, and says what they cannot know.

Rule: a view that stopped answers as far as it has come, with one line that says how far that is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from adapters.cli.bar import Bar
from adapters.cli.printing import warn

if TYPE_CHECKING:
    from adapters.reader import Reader
    from ledger.ledger import Ledger
    from projections.views import Standing


@contextlib.contextmanager
def reading(ledger: Ledger) -> Iterator[Reader]:
    """Lend what reads *ledger*, with its views at the end of the log."""
    from adapters.wiring import open_reader

    with open_reader(ledger) as reader:
        catch_up(reader)
        yield reader


def catch_up(reader: Reader) -> None:
    """Bring the views up to date, and say which of them stopped."""
    with Bar("reading events") as bar:
        stopped = reader.catch_up(bar.update)
    for standing in stopped:
        warn(stopped_words(standing))


def stopped_words(standing: Standing) -> str:
    """Return the line that says where a projection stopped, and why."""
    failure = standing.failure
    assert failure is not None
    return (
        f"view {standing.name} stops before event {failure.position} ({failure.topic}, version "
        f"{failure.version} of {failure.stream}): {failure.message}"
    )
