"""Times, durations and sizes in words."""

from __future__ import annotations

import time

import pytest

from adapters.cli.times import duration, local, parse_time, plural, size, utc

MOMENT = 1_795_407_276_000_001


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch):
    """Stand in a time zone that is an hour before UTC, for the test."""
    monkeypatch.setenv("TZ", "XYZ-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_for_machines_a_time_is_utc_with_microseconds():
    """No fraction is lost, none is left out."""
    assert "2026-11-23T04:14:36.000001Z" == utc(MOMENT)
    assert "1970-01-01T00:00:00.000000Z" == utc(0)


def test_on_the_screen_a_time_is_local_with_its_offset(in_berlin: None):
    """A reader sees the clock on their wall, and which one that is."""
    assert "2026-11-23 05:14:36+01:00" == local(MOMENT)


def test_a_time_is_typed_with_or_without_offset_or_as_a_while_ago(in_berlin: None):
    """Without an offset it is local."""
    assert MOMENT - 1 == parse_time("2026-11-23T05:14:36") == parse_time("2026-11-23T04:14:36Z")
    assert parse_time("2026-11-23T00:00") == parse_time("2026-11-23")
    assert abs(time.time() - 7200 - parse_time("2h") / 1e6) < 60


@pytest.mark.parametrize("text", ["", "yesterday", "2", "h", "2026-13-01", "-1h"])
def test_what_is_no_time_is_refused(text: str):
    """Nothing is guessed."""
    with pytest.raises(ValueError):  # noqa: PT011  # the caller words the message
        parse_time(text)


def test_durations_sizes_and_counts_are_in_the_unit_that_is_easiest_to_read():
    """Small ones keep their precision, large ones their magnitude."""
    assert ["", "0.003 s", "59.999 s", "1 min 0 s", "2 h 5 min"] == [
        duration(value) for value in (None, 3_000, 59_999_000, 60_000_000, 7_500_000_000)
    ]
    assert ["", "999 B", "1.0 kB", "2.5 MB", "3.0 TB"] == [
        size(value) for value in (None, 999, 1000, 2_500_000, 3_000_000_000_000)
    ]
    assert ["0 files", "1 file", "2 files"] == [plural(count, "file") for count in range(3)]
