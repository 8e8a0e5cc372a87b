"""The fake keeps the contract of views, as a real place of views does."""

from __future__ import annotations

import pytest

from tests.contracts.views_contract import ViewsContract
from tests.fakes.views import MemoryViews


@pytest.fixture
def views() -> MemoryViews:
    """Give empty views."""
    return MemoryViews()


class TestMemoryViews(ViewsContract):
    """The views in memory are views."""
