"""Deciding what is on record of a file that is written, read or denied."""

from __future__ import annotations

import pytest

from ledger import events as e
from ledger.decide import deny_file, record_read, record_write, request_write
from ledger.errors import MoveIllegal
from ledger.run import Run
from tests.ledger.stories import CAPTURED, COMPLETED, READY, given_that, requested

OPEN = given_that(*READY)
WRITE = e.FileWriteRequested(file="f1", size=5, private=e.FileText(path="a.txt", before="aa"))
CLOSED = [
    Run(),
    given_that(*READY, requested(1)),
    given_that(*READY, CAPTURED),
    given_that(*READY, COMPLETED),
]


def test_a_write_is_requested_before_it_is_done() -> None:
    """The request names the path, the size and the digest of what is there."""
    assert WRITE == request_write(OPEN, "a.txt", 5, "aa")


def test_a_write_that_was_done_says_what_is_there_now() -> None:
    """The outcome repeats the request and adds the digest after it."""
    expected = e.FileWritten(
        file="f1", size=5, private=e.FileText(path="a.txt", before="aa", after="bb")
    )
    assert expected == record_write(WRITE, "bb")


def test_a_reading_changes_nothing() -> None:
    """What was read has one digest, before and after."""
    expected = e.FileRead(
        file="f1", size=3, private=e.FileText(path="a.txt", before="cc", after="cc")
    )
    assert expected == record_read(OPEN, "a.txt", 3, "cc")


def test_a_denial_says_path_and_rule() -> None:
    """What was denied is on record with its reason, and the rule in the private part."""
    expected = e.FileDenied(
        file="f1",
        action="write",
        reason="protected",
        private=e.FileDeniedText(path="docs/a", rule="paths.protected: docs"),
    )
    assert expected == deny_file(OPEN, "write", "docs/a", "protected", "paths.protected: docs")


def test_a_denied_request_keeps_its_number() -> None:
    """A write that was requested and could not be done is denied under the same number."""
    denied = deny_file(OPEN, "write", "a.txt", "symlink", "it is a link", file="f7")
    assert isinstance(denied, e.FileDenied)
    assert "f7" == denied.file


def test_accesses_are_numbered_in_order() -> None:
    """Requests, readings and denials count; the outcome of a request does not count again."""
    read = record_read(OPEN, "a.txt", 3, "cc")
    run = given_that(*READY, WRITE, record_write(WRITE, "bb"), read)
    assert "f3" == request_write(run, "b.txt", 1, None).file


@pytest.mark.parametrize("run", CLOSED)
def test_no_file_is_touched_but_in_an_open_run(run: Run) -> None:
    """Before, under a command, and from the ending on, neither access nor denial is accepted."""
    with pytest.raises(MoveIllegal, match="cannot write a file in run"):
        request_write(run, "a.txt", 5, None)
    with pytest.raises(MoveIllegal, match="cannot read a file in run"):
        record_read(run, "a.txt", 5, "aa")
    with pytest.raises(MoveIllegal, match="cannot read a file in run"):
        deny_file(run, "read", "a.txt", "missing", "it is not there")
