"""Whom a verifier trusts: logs, witnesses, and how many of them must have seen a head.

The file is a C2SP tlog-policy:

    log gesta/4f1c2a5e-6a0e-4d6a-9f2b-0a4c6f1b7d11+2b6f5a0c+AT0o…
    witness auditor auditor.example/w1+0e5f3b1a+BFq… https://auditor.example/
    witness partner partner.example/w2+1c2d3e4f+BGh…
    group both all auditor partner
    quorum both

Rule 1: names are only for the file itself: a witness is its key. No key counts twice.
Rule 2: what is not understood is refused, with its line: a policy that is weaker than its author
meant is worse than none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from ledger.errors import ProofInvalid
from ledger.note import format_vkey, parse_vkey
from ledger.signing import COSIGNATURE, ED25519, VerifierKey

NONE: Final = "none"
_LEAST: Final = {"witness": 2, "log": 1, "group": 3, "quorum": 1}
_MOST: Final = {"witness": 3, "log": 2, "quorum": 1}


class KnownWitness(msgspec.Struct, frozen=True):
    """A witness of a policy; *url* is where it takes heads, `None` where that is not said."""

    name: str
    key: VerifierKey
    url: str | None = None


class Group(msgspec.Struct, frozen=True):
    """At least *threshold* of *members*, witnesses or groups by name."""

    name: str
    threshold: int
    members: tuple[str, ...]


class Policy(msgspec.Struct, frozen=True):
    """Which logs and witnesses are known, and what *quorum* is required, `none` for no witness."""

    logs: tuple[VerifierKey, ...] = ()
    witnesses: tuple[KnownWitness, ...] = ()
    groups: tuple[Group, ...] = ()
    quorum: str = NONE

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """The keys of all witnesses."""
        return tuple(witness.key for witness in self.witnesses)

    def is_content(self, cosigners: Iterable[VerifierKey]) -> bool:
        """Say whether the quorum is there, if these keys have cosigned."""
        seen = set(cosigners)
        content = {witness.name for witness in self.witnesses if witness.key in seen}
        for group in self.groups:
            # A group stands after its members.
            if sum(member in content for member in group.members) >= group.threshold:
                content.add(group.name)
        return self.quorum == NONE or self.quorum in content


def parse_policy(data: bytes) -> Policy:
    """Return the policy that a file holds; raises `ProofInvalid`, naming the line."""
    reader = _Reader()
    for number, line in enumerate(_lines(data), 1):
        words = line.replace("\t", " ").split(" ")
        words = [word for word in words if word]
        if words and not words[0].startswith("#"):
            try:
                reader.take(*words)
            except ProofInvalid as error:
                raise ProofInvalid(f"cannot use policy: line {number}: {error}") from error
    if reader.quorum is None:
        raise ProofInvalid("cannot use policy: it has no line `quorum`")
    return Policy(tuple(reader.logs), tuple(reader.witnesses), tuple(reader.groups), reader.quorum)


def format_policy(policy: Policy) -> bytes:
    """Return a file that holds *policy*."""
    lines = [f"log {format_vkey(key)}" for key in policy.logs]
    for witness in policy.witnesses:
        url = f" {witness.url}" if witness.url else ""
        lines.append(f"witness {witness.name} {format_vkey(witness.key)}{url}")
    for group in policy.groups:
        lines.append(f"group {group.name} {group.threshold} {' '.join(group.members)}")
    lines.append(f"quorum {policy.quorum}")
    # Octets that are not ASCII are opaque, and come back as they were.
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def with_witness(policy: Policy, witness: KnownWitness, least: int) -> Policy:
    """
    Return *policy* with one more witness, and *least* of all its witnesses as the quorum.

    Raises `ProofInvalid` for a witness that is there, and for more than there are.
    """
    witnesses = (*policy.witnesses, witness)
    if not 1 <= least <= len(witnesses):
        raise ProofInvalid(f"cannot ask for {least} of {len(witnesses)} witnesses")
    name = "witnesses"
    while name in {one.name for one in witnesses}:
        name += "-"
    group = Group(name, least, tuple(one.name for one in witnesses))
    grown = Policy(policy.logs, witnesses, (group,), name)
    return parse_policy(format_policy(grown))


def _lines(data: bytes) -> Iterator[str]:
    text = data.decode("utf-8", "surrogateescape")
    if any(
        (character < " " and character not in "\t\n") or character == "\x7f" for character in text
    ):
        raise ProofInvalid("cannot use policy: it has control characters")
    if text and not text.endswith("\n"):
        raise ProofInvalid("cannot use policy: its last line does not end")
    yield from text.split("\n")


class _Reader:
    """What was read so far, line by line."""

    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: list[KnownWitness] = []
        self.groups: list[Group] = []
        self.quorum: str | None = None
        self._names: set[str] = {NONE}
        self._members: set[str] = set()

    def take(self, kind: str, *words: str) -> None:
        """Take in the words of one line."""
        if kind not in _LEAST:
            raise ProofInvalid(f"{kind!r} is not a kind of line")
        if not _LEAST[kind] <= len(words) <= _MOST.get(kind, len(words)):
            raise ProofInvalid(f"a line `{kind}` has other words after it")
        match kind:
            case "log":
                self.logs.append(_key(words[0], ED25519, self.logs))
            case "witness":
                key = _key(words[1], COSIGNATURE, [one.key for one in self.witnesses])
                self._name(words[0])
                self.witnesses.append(KnownWitness(words[0], key, words[2] if words[2:] else None))
            case "group":
                self._group(words[0], words[1], words[2:])
            case _:
                if self.quorum is not None or words[0] not in self._names:
                    raise ProofInvalid(f"quorum {words[0]!r} is not defined above, or a second one")
                self.quorum = words[0]

    def _name(self, name: str) -> None:
        if name in self._names:
            raise ProofInvalid(f"the name {name!r} is taken")
        self._names.add(name)

    def _group(self, name: str, least: str, members: tuple[str, ...]) -> None:
        for member in members:
            if member == NONE or member not in self._names or member in self._members:
                raise ProofInvalid(f"member {member!r} is not defined above, or is in a group")
            self._members.add(member)
        count = {"any": "1", "all": str(len(members))}.get(least, least)
        if not (count.isascii() and count.isdigit()) or not 1 <= int(count) <= len(members):
            raise ProofInvalid(f"{least!r} is not a number of {len(members)} members")
        self._name(name)
        self.groups.append(Group(name, int(count), members))


def _key(text: str, algorithm: int, known: list[VerifierKey]) -> VerifierKey:
    key = parse_vkey(text)
    if key.algorithm != algorithm:
        raise ProofInvalid(f"the key {text} is not one for that: its type is {key.algorithm}")
    if key.public in {one.public for one in known}:
        raise ProofInvalid(f"the key {text} is there already")
    return key
