"""Which key signs the log, and who may trust the next one because of the one before."""

from __future__ import annotations

import pytest

from adapters.ed25519_signer import Ed25519Signer, check_ed25519
from ledger.checkpoint import parse_checkpoint
from ledger.errors import ProofInvalid
from ledger.events import KeyChanged, LedgerCreated
from ledger.keys import KeyHistory, change_note
from ledger.note import format_note, format_vkey, parse_note, sign_text

FIRST, SECOND, THIRD = (Ed25519Signer("example/log", letter * 32) for letter in (b"1", b"2", b"3"))


def created(signer: Ed25519Signer | None) -> LedgerCreated:
    """Return the event that names the first key."""
    return LedgerCreated(ledger="l", home="h", key=format_vkey(signer.key) if signer else None)


def changed(new: Ed25519Signer, old: Ed25519Signer | None) -> KeyChanged:
    """Return the event that names the next key, vouched for by *old*."""
    note = change_note(new, [old]) if old else None
    return KeyChanged(key=format_vkey(new.key), note=note)


def history(*events: tuple[int, LedgerCreated | KeyChanged]) -> KeyHistory:
    """Return the keys that a log names at these positions."""
    found = KeyHistory(check_ed25519)
    for position, event in events:
        found.take(position, event)
    return found


def test_a_key_is_valid_by_the_size_of_the_log() -> None:
    """From the event that names it on, up to the next one."""
    found = history((0, created(FIRST)), (7, changed(SECOND, FIRST)))
    assert [None, FIRST.key, FIRST.key] == [found.at(size) for size in (0, 1, 7)]
    assert [SECOND.key, SECOND.key] == [found.at(size) for size in (8, 100)]


def test_trust_goes_from_key_to_key_by_their_word() -> None:
    """Who kept an old key may trust a newer one; not the other way round."""
    found = history((0, created(FIRST)), (7, changed(SECOND, FIRST)), (9, changed(THIRD, SECOND)))
    assert [True, True, True] == [found.reaches(FIRST.key, size) for size in (1, 8, 10)]
    assert [False, True, True] == [found.reaches(SECOND.key, size) for size in (1, 8, 10)]
    assert [False, False, True] == [found.reaches(THIRD.key, size) for size in (1, 8, 10)]


def test_a_lost_key_says_nothing_and_the_trust_ends() -> None:
    """The new key signs, and only who brings it can tell that it is the right one."""
    found = history((0, created(FIRST)), (7, changed(SECOND, None)), (9, changed(THIRD, SECOND)))
    assert SECOND.key == found.at(8)
    assert not found.reaches(FIRST.key, 8)
    assert not found.reaches(FIRST.key, 10)
    assert found.reaches(SECOND.key, 10)


def test_a_ledger_from_before_keys_names_none() -> None:
    """Nobody is known to sign it."""
    assert history((0, created(None))).at(5) is None


@pytest.mark.parametrize(
    "note",
    [
        change_note(THIRD, [FIRST]),
        change_note(SECOND, [THIRD]),
        change_note(SECOND, []),
        change_note(SECOND, [FIRST]).replace("is signed", "was signed"),
        format_note(sign_text("anything\n", [SECOND, FIRST])).decode(),
        "no note",
    ],
    ids=["other key", "other signer", "no signer", "other words", "other text", "no note"],
)
def test_a_note_that_does_not_say_so_is_refused(note: str) -> None:
    """The old key has to have said just this."""
    with pytest.raises(ProofInvalid, match="cannot"):
        history((0, created(FIRST)), (7, KeyChanged(key=format_vkey(SECOND.key), note=note)))


def test_what_changes_a_key_is_no_checkpoint() -> None:
    """Nobody can show it as a head that the key signed."""
    with pytest.raises(ProofInvalid, match="cannot read"):
        parse_checkpoint(parse_note(change_note(SECOND, [FIRST]).encode()).text)
