"""What we left beside the ledger, or a machine answers, and somebody has damaged since."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from adapters.e2b.errors import E2BError
from adapters.e2b.request import decode_result
from adapters.git.marker import read_marker
from adapters.legacy_journal import JournalFile
from adapters.locks import FlockRunLock
from adapters.profiles import PolicyProvider
from adapters.spool import SpoolFiles
from adapters.verify_state import read_state
from ledger.errors import InputInvalid

STREAM = "01a21100-d584-7ff1-9a7a-48a59a36635f"
DAMAGED = {
    "nothing": b"",
    "half": b'{"stream": "01',
    "text for a list": b'"text"',
    "a list": b"[1, 2]",
    "null": b"null",
    "no UTF-8": b'{"stream":"\xff","kind":"\xff","pid":"\xff","origin":"\xff"}',
    "a key that is no UTF-8": b'{"\xff":1}',
    "half of a surrogate pair": b'{"stream":"\\ud800","kind":"\\ud800"}',
    "not Latin-1": '{"kind":"clone","path":"\u2603"}'.encode(),
    "deep": b'{"unknown":' * 20_000,
    "deep inside": b'{"unknown":' + b"[" * 20_000,
}
damaged = pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)


@damaged
def test_a_damaged_outcome_is_left_and_told(data: bytes, tmp_path: Path) -> None:
    """Recovery goes on without it, and the file stays."""
    file = tmp_path / f"{STREAM}-c1.json"
    file.write_bytes(data)
    spool = SpoolFiles(tmp_path)
    assert ([STREAM], [], [(STREAM, str(file))]) == (
        spool.streams(),
        spool.kept(STREAM),
        spool.damaged(),
    )
    assert data == file.read_bytes()


@damaged
def test_a_damaged_hint_is_none_and_the_lock_is_had(data: bytes, tmp_path: Path) -> None:
    """Whether a run is alive is never decided by what its lock file says."""
    (tmp_path / f"{STREAM}.lock").write_bytes(data)
    with FlockRunLock(tmp_path).hold(STREAM) as hold:
        assert () == hold.left


@damaged
def test_a_damaged_marker_proves_nothing(data: bytes, tmp_path: Path) -> None:
    """A directory whose marker cannot be read is not known to be ours."""
    (tmp_path / "workspace.json").write_bytes(data)
    assert read_marker(tmp_path) is None


@damaged
def test_a_machine_that_answers_nonsense_is_an_error_of_its_own(data: bytes) -> None:
    """Whatever a sandbox that we do not trust says, it is an outcome and no crash."""
    with pytest.raises(E2BError, match="cannot be understood"):
        decode_result(data)


@damaged
def test_a_damaged_state_of_a_verification_is_refused_in_one_line(
    data: bytes, tmp_path: Path
) -> None:
    """It is named, and it is said that `gesta verify --save` did not write it."""
    (tmp_path / "state").write_bytes(data)
    with pytest.raises(InputInvalid, match="did not write it") as caught:
        read_state(tmp_path / "state")
    assert 1 == len(str(caught.value).splitlines())


@damaged
def test_a_damaged_copy_of_a_profile_is_compiled_again(data: bytes, tmp_path: Path) -> None:
    """The copy saves time and decides nothing."""
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "p.yaml").write_text("sandbox: {type: local}\n")
    provider = PolicyProvider(tmp_path / "profiles", {})
    rules = provider.load("p")
    (copy,) = (tmp_path / "cache" / "policies").iterdir()
    compiled = copy.read_bytes()
    copy.write_bytes(data)
    assert (rules, compiled) == (provider.load("p"), copy.read_bytes())


def test_a_journal_at_a_path_that_no_file_can_have_is_refused() -> None:
    """A NUL in it is an error of ours, not of the operating system, and is one line."""
    with pytest.raises(InputInvalid, match="embedded null byte") as caught:
        JournalFile(Path(os.fsdecode(b"a\0\n")))
    assert str(caught.value).isprintable()
