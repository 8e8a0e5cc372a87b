"""What tests of the walk ask for: processes with a real store and fake hands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.world import World, rules


@pytest.fixture
def world_with(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Give a maker of processes: each with a profile of sample rules and the changes named."""
    made: list[World] = []

    def make(**changes: Any) -> World:
        directory = tmp_path / f"ledger-{len(made)}"
        directory.mkdir()
        made.append(World(directory, profile=rules(**changes)))
        return made[-1]

    yield make
    for world in made:
        world.end()


@pytest.fixture
def world(world_with: Callable[..., World]) -> World:
    """Give a process whose profile asks for E2B and may fall back to a local sandbox."""
    return world_with()
