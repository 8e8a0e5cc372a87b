"""What the tests from end to end may ask for besides: the provider of E2B, and a canary."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2b_server import E2BServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[E2BServer]:
    """The provider, here, as the environment says."""
    with E2BServer() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file of the host that a command makes, if it runs on the host."""
    return tmp_path / "canary"
