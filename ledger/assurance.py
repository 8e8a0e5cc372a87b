"""Who vouches for a head: the log's own key, a key that the verifier brought, witnesses.

Rule 1: a key that lies beside the ledger proves that nobody without it changed the log, and no
more: whoever can write there may have signed. Only what the verifier brought is more than that.
Rule 2: the same of witnesses: those that the ledger's home names are counted, not relied on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ledger.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from ledger.errors import ProofInvalid
from ledger.keys import KeyHistory
from ledger.note import check_note, format_vkey, parse_note
from ledger.signing import Check, VerifierKey
from ledger.verdict import Assurance, Cosigned, Finding, Findings
from ledger.witness_policy import Policy


class Vouching:
    """
    Checks who signed the heads of one log.

    *history* is what the log says of its keys, *keys* are the verifier's own, *policy* says which
    witnesses are known.
    """

    def __init__(
        self,
        history: KeyHistory,
        keys: Sequence[VerifierKey],
        policy: Policy | None,
        check: Check,
        findings: Findings,
    ) -> None:
        self._history = history
        self._keys = tuple(keys)
        self._policy = policy or Policy()
        self._check = check
        self._findings = findings

    def origin(self, size: int, otherwise: str) -> str:
        """Return the origin of the log of *size* leaves: the name of the key that signs it."""
        key = self._history.at(size)
        return key.name if key else otherwise

    def signers(self, size: int, note: bytes, expected: str) -> tuple[set[VerifierKey], int]:
        """
        Return who signed the head of *size*, and the latest time of a witness among them.

        *expected* is its text. What is wrong with it becomes a finding, and nobody has signed.
        """
        valid = self._valid_at(size)
        try:
            signers = self._open(note, expected, valid)
        except ProofInvalid as error:
            what = f"the signed head of {size} events does not hold: {error}"
            self._findings.add(Finding(kind="invalid", what=what))
            return set(), 0
        return set(signers), max((time for time in signers.values() if time), default=0)

    def _open(
        self, note: bytes, expected: str, valid: list[VerifierKey]
    ) -> dict[VerifierKey, int | None]:
        opened = check_note(parse_note(note), [*valid, *self._policy.keys], self._check)
        if opened.text != expected:
            raise ProofInvalid(f"cannot trust head: it is {_describe(opened.text)}")
        signers = dict(opened.signers)
        if signers.keys().isdisjoint(valid):
            names = ", ".join(format_vkey(key) for key in valid) or "none is on record"
            raise ProofInvalid(f"cannot trust head: the log's key did not sign it: {names}")
        return signers

    def assurance(self, size: int, signers: set[VerifierKey]) -> Assurance:
        """Return what the signatures of the last head are worth by themselves."""
        if self._findings.counted.keys() & {"invalid", "diverged"} or not signers:
            return "NONE"
        if not self._keys:
            return "SELF-CHECKED"
        if any(key in signers or self._history.reaches(key, size) for key in self._keys):
            return "SIGNED"
        what = "no key that you brought signed its head, or vouches for the one that did"
        self._findings.add(Finding(kind="invalid", what=what))
        return "NONE"

    def cosigned(
        self, heads: Iterable[tuple[int, set[VerifierKey], int]], *, brought: bool
    ) -> Cosigned | None:
        """Return the largest of *heads* with the quorum, else the largest, `None` of no witness."""
        known, best = set(self._policy.keys), None
        if not known:
            return None
        for size, signers, since in heads:
            witnesses = signers & known
            found = Cosigned(
                size=size,
                witnesses=len(witnesses),
                known=len(known),
                since=since,
                quorum=self._policy.quorum != "none" and self._policy.is_content(witnesses),
                brought=brought,
            )
            if best is None or (found.quorum, found.size) >= (best.quorum, best.size):
                best = found
        return best

    def _valid_at(self, size: int) -> list[VerifierKey]:
        key = self._history.at(size)
        # A log of before keys were on record: whoever brings one says which it is.
        return [key] if key else list(self._keys)


def head_text(origin: str, size: int, root: bytes) -> str:
    """Return what a signed head of the log should say."""
    return format_checkpoint(Checkpoint(origin, size, root))


def _describe(text: str) -> str:
    try:
        stated = parse_checkpoint(text)
    except ProofInvalid:
        return "no checkpoint"
    return f"of {stated.origin}, size {stated.size}, root {stated.root.hex()}"
