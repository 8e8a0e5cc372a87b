"""Isolation: what is lost between what was asked and what was had."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given

from ledger.isolation import AXES, Axis, Isolation, Limits, asked_of, lost
from tests.strategies import isolations

STRONG = Isolation(
    boundary="machine",
    filesystem="workspace",
    network="none",
    processes="own",
    limits=Limits(memory_mb=100, processes=10, output_mb=1),
    record="out_of_reach",
)
WEAK = Isolation(
    boundary="process",
    filesystem="host",
    network="host",
    processes="host",
    limits=Limits(),
    record="reachable",
)


@pytest.mark.parametrize("axis", AXES)
def test_each_axis_is_lost_alone(axis: Axis) -> None:
    """Weakening one axis loses that axis and no other."""
    assert (axis,) == lost(STRONG, msgspec.structs.replace(STRONG, **{axis: getattr(WEAK, axis)}))


@pytest.mark.parametrize("axis", AXES)
def test_gaining_an_axis_loses_nothing(axis: Axis) -> None:
    """More than was asked for is no loss."""
    assert () == lost(WEAK, msgspec.structs.replace(WEAK, **{axis: getattr(STRONG, axis)}))


def test_everything_is_lost_in_the_order_of_the_axes() -> None:
    """From the strongest to the weakest every axis is lost, in the one order there is."""
    assert AXES == lost(STRONG, WEAK)


@given(one=isolations)
def test_nothing_is_lost_to_the_same(one: Isolation) -> None:
    """Whoever had what was asked for has lost nothing."""
    assert () == lost(one, one)


@given(one=isolations, two=isolations, three=isolations)
def test_a_loss_does_not_come_from_nowhere(
    one: Isolation, two: Isolation, three: Isolation
) -> None:
    """What is lost from the first to the third is lost on one of the two ways between."""
    assert set(lost(one, three)) <= set(lost(one, two)) | set(lost(two, three))


@pytest.mark.parametrize(
    ("asked", "had", "expected"),
    [
        (None, None, ()),
        (None, 5, ()),
        (5, 5, ()),
        (5, 4, ()),
        (5, 6, ("limits",)),
        (5, None, ("limits",)),
    ],
)
@pytest.mark.parametrize("name", Limits.__struct_fields__)
def test_a_limit_is_lost_if_it_is_not_set_or_set_higher(
    name: str, asked: int | None, had: int | None, expected: tuple[Axis, ...]
) -> None:
    """A stricter limit than was asked for is none lost; one that nobody asked for neither."""
    wanted = msgspec.structs.replace(STRONG, limits=Limits(**{name: asked}))
    given_ = msgspec.structs.replace(STRONG, limits=Limits(**{name: had}))
    assert expected == lost(wanted, given_)


@pytest.mark.parametrize(
    ("kind", "boundary", "record"),
    [
        ("e2b", "machine", "out_of_reach"),
        ("docker", "container", "out_of_reach"),
        ("bubblewrap", "namespace", "out_of_reach"),
        ("local", "process", "reachable"),
        ("a-plug-in", "process", "reachable"),
    ],
)
def test_a_kind_promises_what_its_nature_gives(kind: str, boundary: str, record: str) -> None:
    """The boundary and the record's reach follow from the kind; nothing is claimed of others."""
    limits = Limits(memory_mb=1)
    asked = asked_of(kind, filesystem="workspace", network="none", limits=limits)
    assert (boundary, record) == (asked.boundary, asked.record)
    assert ("workspace", "none", "own", limits) == (
        asked.filesystem,
        asked.network,
        asked.processes,
        asked.limits,
    )
