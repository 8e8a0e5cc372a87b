"""What the tests of projections may ask for: views, in memory and in SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adapters.sqlite_views import SQLiteViews
from tests.fakes.views import MemoryViews

if TYPE_CHECKING:
    from projections.views import Views


@pytest.fixture(params=["memory", "sqlite"])
def views(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Views]:
    """Give empty views, once in memory and once in SQLite."""
    if request.param == "memory":
        yield MemoryViews()
        return
    kept = SQLiteViews(tmp_path / "views.db", "ledger-1")
    yield kept
    kept.close()
