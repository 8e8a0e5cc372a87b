"""One rule: where to look, what a secret looks like there, and who has the last word."""

from __future__ import annotations

import msgspec


class Rule(msgspec.Struct, frozen=True):
    """
    Something that is redacted.

    *keywords* are lower-case and found in any case. *pattern* (RE2 over bytes) must match from
    *back* bytes before the keyword on, and stays within the line; its first group, or else all
    of it, is the secret. With *edge* it must not begin inside a word. *judge* names the one of
    `judgement.JUDGES` that has the last word.
    """

    name: str
    keywords: tuple[str, ...]
    pattern: str
    back: int = 0
    edge: bool = False
    judge: str = ""
