"""The rules of one policy, in order, with what finds them and what they are compiled to.

Rule 1: a pattern of the policy is compiled when the set is made, and refused if it cannot be; a
rule of ours is compiled when its keyword is first seen, and raises if it cannot be.
Rule 2: names say in which order rules name what several of them found: known values first, then
what is known by its own shape, then what is known by its place, then the policy's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import msgspec

from adapters.redaction.keywords import Keywords
from adapters.redaction.provider_rules import PROVIDER_RULES
from adapters.redaction.rule import Rule
from adapters.redaction.structure_rules import STRUCTURE_RULES
from ledger.errors import PolicyInvalid

# Raised with every change that the rules themselves do not show: judges, keys, the walk.
VERSION = 1

KNOWN, FLAG = "known-value", "flag"


class RuleSet:
    """*rules* of ours and *patterns* of the policy. Raises `PolicyInvalid`."""

    def __init__(self, rules: Sequence[Rule], patterns: Sequence[str]) -> None:
        self.rules = tuple(rules)
        self.patterns = tuple(patterns)
        self.names = tuple(
            dict.fromkeys(
                [KNOWN, *(rule.name for rule in rules), FLAG]
                + [f"policy-{number}" for number, _ in enumerate(patterns, 1)]
            )
        )
        self.rank = {name: rank for rank, name in enumerate(self.names)}
        self.furthest_back = max((rule.back for rule in rules), default=0)
        words: dict[bytes, list[int]] = {}
        for number, rule in enumerate(self.rules):
            for keyword in rule.keywords:
                words.setdefault(keyword.encode(), []).append(number)
        self.keywords = Keywords(list(words))
        self.of_keyword = list(words.values())
        self._compiled: list[Any] = [None] * len(self.rules)
        self.policy = [
            (self.rank[f"policy-{number}"], _compile_policy(pattern))
            for number, pattern in enumerate(patterns, 1)
        ]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the version, the rules and the policy's patterns, in order."""
        whole = msgspec.json.encode([VERSION, self.rules, self.patterns])
        return hashlib.sha256(whole).hexdigest()

    def compiled(self, number: int) -> Any:
        """Return the expression of a rule."""
        expression = self._compiled[number]
        if expression is None:
            expression = self._compiled[number] = _compile(self.rules[number].pattern)
        return expression


@lru_cache(maxsize=16)
def rule_set(patterns: tuple[str, ...]) -> RuleSet:
    """
    Return the rules that `redact.patterns` asks for: `default` is all of ours.

    Raises `PolicyInvalid` for a pattern that RE2 does not take.
    """
    ours = (*PROVIDER_RULES, *STRUCTURE_RULES) if "default" in patterns else ()
    return RuleSet(ours, [pattern for pattern in patterns if pattern != "default"])


def _compile(pattern: str, *, lines: bool = False) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    options.never_nl = lines
    # Bytes are matched as bytes; only who writes other letters means characters.
    if pattern.isascii():
        options.encoding = re2.Options.Encoding.LATIN1
    return re2.compile(pattern.encode(), options)


def _compile_policy(pattern: str) -> Any:
    import re2

    try:
        return _compile(f"(?m:{pattern})", lines=True)
    except re2.error as error:
        said = error.args[0]
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        raise PolicyInvalid(f"cannot use redact.patterns {pattern!r}: {text}") from error
