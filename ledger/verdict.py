"""What verification says: what was found, and how far that can be relied on.

Rule 1: integrity and assurance are two answers. Whether the log agrees with itself and with what
the verifier kept is one; who vouches for it is the other.
Rule 2: a verdict is a word of the list below and never "complete": nobody can tell from a log what
was never put into it.

Integrity: `INTACT`; `MISSING`: a private part or a blob is gone without an erasure on record;
`INVALID`: the log contradicts itself or its signatures; `DIVERGED`: it agrees with itself, and
contradicts a head that the verifier kept, so there are two histories.

Assurance: `NONE` where integrity is lost; `SELF-CHECKED`: by a key found beside the ledger, which
whoever can write there may have used; `SIGNED`: by a key that the verifier brought; `WITNESSED
k/n`: and cosigned by a quorum of the verifier's own policy.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Integrity = Literal["INTACT", "MISSING", "INVALID", "DIVERGED"]
Assurance = Literal["NONE", "SELF-CHECKED", "SIGNED", "WITNESSED"]
Kind = Literal["missing", "invalid", "diverged"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """
    One thing that is wrong.

    *position* is the index in the log, or the first of those it may be; *stream* and *version* are
    `None` where it is not one event's.
    """

    kind: Kind
    what: str
    position: int | None = None
    stream: str | None = None
    version: int | None = None


class Findings:
    """What was found so far: of each kind the number, and the first ones whole."""

    MOST = 100

    def __init__(self) -> None:
        self.first: list[Finding] = []
        self.counted: dict[Kind, int] = {}

    def add(self, *findings: Finding) -> None:
        """Take in *findings*, one by one."""
        for finding in findings:
            counted = self.counted.get(finding.kind, 0) + 1
            self.counted[finding.kind] = counted
            if counted <= self.MOST:
                self.first.append(finding)

    def sort(self) -> None:
        """Put them in the order of the log; what has no place in it comes first."""
        self.first.sort(key=lambda one: -1 if one.position is None else one.position)

    def merge(self, counted: dict[Kind, int], first: list[Finding]) -> None:
        """Take in what another one has."""
        for finding in first:
            if sum(one.kind == finding.kind for one in self.first) < self.MOST:
                self.first.append(finding)
        for kind, count in counted.items():
            self.counted[kind] = self.counted.get(kind, 0) + count


class Cosigned(msgspec.Struct, frozen=True, kw_only=True):
    """
    The largest head that witnesses vouch for: *witnesses* of *known* cosigned it.

    *since* is when the last of them did, in seconds since 1970. *quorum* is whether the policy is
    content; *brought* whether the verifier brought that policy.
    """

    size: int
    witnesses: int
    known: int
    since: int
    quorum: bool
    brought: bool


class Reach(msgspec.Struct, frozen=True):
    """In how many of the checked runs a command could reach the ledger's files, and not."""

    reachable: int = 0
    out_of_reach: int = 0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """
    What came of verification.

    *size* and *root* are the head's. *checked* events, from *since* on, were held against it, of
    *stream* alone if that is not `None`. *findings* are the first ones of each kind, *counted*
    says how many there are. *kept* heads are stored, *signatures* of them were checked. *known* is
    the size of the head that the verifier kept. *blobs* is how many blobs were read, *views*
    whether the views were compared.
    """

    origin: str
    size: int
    root: str
    since: int
    stream: str | None
    checked: int
    counted: dict[Kind, int]
    findings: tuple[Finding, ...]
    assurance: Assurance
    key: str | None
    policy_brought: bool
    cosigned: Cosigned | None
    known: int | None
    kept: int
    signatures: int
    blobs: int | None
    views: bool
    reach: Reach

    @property
    def integrity(self) -> Integrity:
        """The worst of what was found."""
        if "invalid" in self.counted:
            return "INVALID"
        if "diverged" in self.counted:
            return "DIVERGED"
        return "MISSING" if self.counted else "INTACT"

    @property
    def exit_code(self) -> int:
        """0 if nothing is wrong, 3 if the log diverged, 1 if anything else is."""
        match self.integrity:
            case "INTACT":
                return int(self.policy_brought and self.assurance != "WITNESSED")
            case "DIVERGED":
                return 3
            case _:
                return 1
