"""Another key for the log: made, put on record by the old one, and in the end alone.

Rule 1: the new key is in the key file before the log names it, and signs from then on beside the
old one. A crash in between leaves a log that both sign; rotating again goes on from there.
Rule 2: the old key goes on signing until that is ended, so that whoever watches the log (a
witness, a verifier's policy) has time to learn the new one.
"""

from __future__ import annotations

from adapters.ed25519_signer import check_ed25519, make_signer
from adapters.key_file import KeyFile
from ledger.errors import KeyRefused
from ledger.events import KeyChanged, LedgerCreated
from ledger.journal import Journal
from ledger.keys import KeyHistory, change_note
from ledger.note import format_vkey
from ledger.recorded import Provenance
from ledger.signing import VerifierKey

_NAMING = ("ledger.created.1", "ledger.created.2", "key.changed.1")


def begin_rotation(journal: Journal, keys: KeyFile, who: Provenance, *, lost: bool) -> VerifierKey:
    """
    Have a new key sign the log beside the old one, or alone if that is *lost*; return it.

    Raises `KeyRefused` if a rotation is under way, or if the key is not lost, or is.
    """
    if lost:
        return _replace_lost(journal, keys, who)
    signers = list(keys.signers())
    if len(signers) > 1 and named_key(journal) == signers[0].key:
        raise KeyRefused(
            "cannot rotate the key: the last rotation is not ended; `gesta key rotate --finish`"
        )
    if len(signers) == 1:
        signers.insert(0, make_signer(keys.name))
        keys.replace(signers)
    new, *old = signers
    journal.change_key(format_vkey(new.key), change_note(new, old), who)
    return new.key


def end_rotation(journal: Journal, keys: KeyFile) -> VerifierKey:
    """Have the newest key sign alone, and forget the old one; raises `KeyRefused`."""
    new, *old = keys.signers()
    if not old:
        raise KeyRefused("cannot end a rotation: one key signs the log")
    if named_key(journal) != new.key:
        raise KeyRefused(
            "cannot end the rotation: the new key is not on record yet; `gesta key rotate`"
        )
    keys.replace([new])
    return new.key


def named_key(journal: Journal) -> VerifierKey | None:
    """Return the key that the log says signs it now; raises `ProofInvalid`."""
    history = KeyHistory(check_ed25519)
    for record in journal.read(topics=_NAMING):
        assert isinstance(record.event, LedgerCreated | KeyChanged)
        history.take(record.position, record.event)
    return history.epochs[-1].key if history.epochs else None


def _replace_lost(journal: Journal, keys: KeyFile, who: Provenance) -> VerifierKey:
    if not keys.exists():
        keys.ensure()
    elif journal.is_head_signed():
        raise KeyRefused(f"cannot replace a lost key: there is one at {keys.path}")
    # Or it is there and has not signed yet: whoever made it in place of a lost one was killed here.
    new = keys.signers()[0]
    journal.change_key(format_vkey(new.key), None, who)
    return new.key
