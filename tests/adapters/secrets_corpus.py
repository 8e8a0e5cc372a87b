"""Secrets that no one ever had, put together here, so that no file holds one for a scanner to find.

Rule: what looks like a secret is made at run time, by concatenation or from a rule's own pattern.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import strategies as st

from adapters.redaction import RuleRedactor
from adapters.redaction.rule import Rule
from adapters.redaction.search import WINDOW

DRAWN = "q7W2" + "eR5t" * 9
AWS = "AK" + "IA" + "QX7RT2LM9PKD4HSV"
GITHUB = "gh" + "p_" + DRAWN[:36]
BEGIN, END = "-----BEGIN RSA PRIV" + "ATE KEY-----", "-----END RSA PRIV" + "ATE KEY-----"
KEY_LINES = ["MIIEow" + DRAWN[:30] * 2, "aB3+/x" + DRAWN[5:35] * 2, "Zz09" + DRAWN[:8] + "=="]
PEM = "\n".join([BEGIN, *KEY_LINES, END]) + "\n"
JWT = "ey" + "J" + DRAWN[:20] + ".ey" + "J" + DRAWN[3:30] + "." + DRAWN[:22]

KNOWN = {"MY_API_KEY": "blue/whale+of 42 'tons'", "OTHER_TOKEN": "zebra-zebra", "A_SECRET": "tiny"}
MULTILINE = {"SSH_PRIVATE_KEY": "first line of nothing\nsecond line of nothing\nthird one\n"}

# Pieces of which texts are made that are hard to cut: beginnings and ends of secrets, and between.
FRAGMENTS = [
    *("\n", "\r\n", "\r", " ", "=", ": ", '"', "'", "\0", "\x1b[31m", "\\n", "[redacted:", "]"),
    *("password", "TOKEN=", "--token ", "api_key = ", "://u:", "@host", "curl -u a:", "Bearer "),
    *(AWS, AWS[:9], AWS[9:], GITHUB, GITHUB[:20], DRAWN, DRAWN[:7], JWT, "Authorization: Basic "),
    *(BEGIN, END, BEGIN + "\n", KEY_LINES[0] + "\n", KEY_LINES[2] + "\n", PEM, PEM[:90], PEM[90:]),
    *KNOWN.values(),
    *(KNOWN["MY_API_KEY"][:11], KNOWN["MY_API_KEY"][11:], "zebra-"),
    *(MULTILINE["SSH_PRIVATE_KEY"], "first line of nothing\n", "internal-123456"),
    *("_TOKEN=", "mysql ", " -p", "sk-" + DRAWN[:32], ";Pwd=", "|", "<password>", "</password>"),
    *("plain words", "2026-01-02T03:04:05Z ", "task-", "x" * 90, "é", "[redacted:known-value]"),
]
# A piece and how often it comes: what is tried is how secrets lie to the windows of long lines.
_pieces = st.one_of(
    st.tuples(st.sampled_from(FRAGMENTS).map(str.encode), st.just(1)),
    st.tuples(st.binary(max_size=6), st.just(1)),
    st.tuples(
        st.sampled_from([b"-", b"k", b"=", b" ", b"ab "]), st.integers(WINDOW // 3, WINDOW + 9)
    ),
)
streams = st.lists(_pieces, max_size=25)


def joined(stream: Sequence[tuple[bytes, int]]) -> bytes:
    """Return the bytes of what `streams` gives."""
    return b"".join(piece * count for piece, count in stream)


def redactor(*patterns: str) -> RuleRedactor:
    """Return a redactor with all rules, known values of one line and of several, and *patterns*."""
    knowing = RuleRedactor(["default", *patterns]).knowing({**KNOWN, **MULTILINE})
    assert isinstance(knowing, RuleRedactor)
    return knowing


def in_pieces(of: RuleRedactor, pieces: Sequence[bytes]) -> tuple[bytes, dict[str, int]]:
    """Return what a stream makes of *pieces*, and its counts."""
    stream = of.stream()
    out = b"".join([*map(stream.feed, pieces), stream.finish()])
    return out, stream.counts


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Return *data* cut at *places*."""
    bounds = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(bounds)]


def examples(rule: Rule) -> st.SearchStrategy[str]:
    """Return texts that the pattern of *rule* matches from its beginning to its end."""
    return st.from_regex(re.compile(rule.pattern, re.ASCII), fullmatch=True)
