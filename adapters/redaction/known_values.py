"""The values that a command was given as secrets, in every form in which they come back out.

Rule 1: a value of fewer than 8 characters is left alone: it would be found everywhere.
Rule 2: a long form is looked for in blocks, so that a part of it is found too and no search needs
to remember more than one block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ledger.secret_names import looks_secret

SHORTEST = 8
BLOCK = 512
# A line of a value, or of its base64, that is looked for by itself.
_SHORTEST_LINE = 16
# Columns after which base64(1), MIME and PEM break a line.
_COLUMNS = (76, 64)


def secret_values(environment: Mapping[str, str]) -> tuple[frozenset[str], tuple[str, ...]]:
    """
    Return the values that are looked for, and the names whose values are too short for that.

    A password in the URL of any variable is a value too.
    """
    values, left_alone = set(), []
    for name, text in environment.items():
        value = text.strip()
        if not looks_secret(name):
            value = _url_password(value)
            if len(value) >= SHORTEST:
                values.add(value)
        elif len(value) >= SHORTEST:
            values.add(value)
        elif value:
            left_alone.append(name)
    return frozenset(values), tuple(sorted(left_alone))


def forms(value: str) -> frozenset[bytes]:
    """Return every byte string by which *value* is recognised."""
    raw = value.encode("utf-8", "surrogateescape")
    whole = {raw, raw.replace(b"\n", b"\r\n"), *_base64_forms(raw), *_escaped_forms(value)}
    lines = {line.strip() for line in raw.splitlines()} if b"\n" in raw else set()
    found = whole | {line for line in lines if len(line) >= _SHORTEST_LINE}
    return frozenset(block for form in found for block in _blocks(form))


def _blocks(form: bytes) -> Iterator[bytes]:
    for start in range(0, max(1, len(form) - BLOCK + 1), BLOCK):
        yield form[start : start + BLOCK]
    # The last one reaches back, so that none is short.
    yield form[-BLOCK:]


def _base64_forms(raw: bytes) -> Iterator[bytes]:
    """Yield *raw* in base64 (RFC 4648 §4, §5), also where it is part of something longer."""
    import base64

    for altchars in (b"+/", b"-_"):
        padded = base64.b64encode(raw, altchars)
        yield padded
        yield padded.rstrip(b"=")
        for before in range(3):
            encoded = base64.b64encode(b"\0" * before + raw, altchars)
            # Characters that also depend on what stands before and behind are not looked for.
            first = (0, 2, 3)[before]
            last = (0, 3, 2)[(before + len(raw)) % 3]
            yield encoded[first : len(encoded) - last]
        for columns in _COLUMNS:
            for start in range(0, len(padded) if len(padded) > columns else 0, columns):
                line = padded[start : start + columns].rstrip(b"=")
                if len(line) >= _SHORTEST_LINE:
                    yield line


def _escaped_forms(value: str) -> Iterator[bytes]:
    """Yield *value* as URLs, JSON, a shell and HTML write it."""
    import html
    import json
    import urllib.parse

    raw = value.encode("utf-8", "surrogateescape")
    in_urls = (
        urllib.parse.quote(raw),
        urllib.parse.quote(raw, safe=""),
        urllib.parse.quote_plus(raw),
    )
    for quoted in in_urls:
        yield quoted.encode()
        yield _small_percents(quoted).encode()
    for ascii_only in (True, False):
        once = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        for text in (once, once.replace("/", "\\/"), json.dumps(once)[1:-1]):
            yield text.encode("utf-8", "surrogateescape")
    yield raw.replace(b"'", b"'\\''")
    yield html.escape(value).encode("utf-8", "surrogateescape")


def _small_percents(quoted: str) -> str:
    head, *rest = quoted.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in rest)])


def _url_password(text: str) -> str:
    if "://" not in text or "@" not in text:
        return ""
    user_info = text.partition("://")[2].rpartition("@")[0]
    return user_info.partition(":")[2]
