"""What a command was given as a secret is found again, in every form in which it comes back."""

from __future__ import annotations

import base64
import html
import json
import shlex
import subprocess
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.redaction import RuleRedactor
from adapters.redaction.known_values import BLOCK
from tests.adapters.secrets_corpus import DRAWN, MULTILINE, cut, in_pieces

VALUE = "p@ss/word + 'q\"uo\\te' & <é>"

FORMS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda value: value,
    "base64": base64.b64encode,
    "base64, unpadded": lambda value: base64.b64encode(value).rstrip(b"="),
    "base64 for URLs": base64.urlsafe_b64encode,
    "base64 for URLs, unpadded": lambda value: base64.urlsafe_b64encode(value).rstrip(b"="),
    "URL": lambda value: urllib.parse.quote(value, safe="").encode(),
    "URL, a path": lambda value: urllib.parse.quote(value).encode(),
    "URL, in small letters": lambda value: urllib.parse.quote(value, safe="").lower().encode(),
    "form": lambda value: urllib.parse.quote_plus(value).encode(),
    "JSON": lambda value: json.dumps(value.decode())[1:-1].encode(),
    "JSON, not only ASCII": lambda value: json.dumps(value.decode(), ensure_ascii=False).encode(),
    "JSON in JSON": lambda value: json.dumps(json.dumps(value.decode())[1:-1]).encode(),
    "shell": lambda value: shlex.quote(value.decode()).replace("'\"'\"'", "'\\''").encode(),
    "HTML": lambda value: html.escape(value.decode()).encode(),
}


def knowing(*values: str) -> RuleRedactor:
    ours = RuleRedactor([]).knowing({f"TOKEN_{n}": value for n, value in enumerate(values)})
    assert isinstance(ours, RuleRedactor)
    return ours


@pytest.mark.parametrize("form", FORMS)
def test_a_known_value_is_found_in_every_form(form: str) -> None:
    """Encoded as programs encode it, a known value is taken out and leaves nothing of itself."""
    # Only digits follow a percent sign in capitals and small letters alike.
    value = VALUE.lower()
    data = b"before " + FORMS[form](value.encode()) + b" after"
    out, counts = in_pieces(knowing(value), [data])
    assert {"known-value": 1} == counts
    assert out.startswith(b"before ")
    assert out.endswith(b" after")
    assert len(out) <= len(b"before '[redacted:known-value]==' after")


@given(
    st.binary(max_size=7), st.binary(max_size=7), st.text("abcXYZ01-+/ ", min_size=8, max_size=40)
)
def test_base64_is_found_wherever_the_value_lies_in_what_was_encoded(
    before: bytes, after: bytes, value: str
) -> None:
    """At any of the three offsets, at most two characters of base64 at each end are left."""
    value = "q" + value.strip() + "7" * 7
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        out, counts = in_pieces(knowing(value), [encode(before + value.encode() + after)])
        assert {"known-value"} == set(counts)
        left = out.replace(b"[redacted:known-value]", b"")
        assert len(left) <= (len(before) + len(after) + 6) * 4 / 3 + 3


@pytest.mark.parametrize("value", [DRAWN, MULTILINE["SSH_PRIVATE_KEY"].strip(), VALUE])
def test_a_known_value_split_at_every_place_is_found(value: str) -> None:
    """Wherever a read ends, also at every byte, the value is taken out whole."""
    data = f"a\nb {value} c\nd".encode()
    expected = (b"a\nb [redacted:known-value] c\nd", {"known-value": 1})
    for place in range(len(data)):
        assert expected == in_pieces(knowing(value), [data[:place], data[place:]])
    assert expected == in_pieces(knowing(value), cut(data, range(len(data))))


def test_base64_that_was_broken_into_lines_is_found() -> None:
    """What base64(1) prints of a long value holds no line of it afterwards."""
    value = DRAWN * 5
    printed = subprocess.run(["base64"], input=value.encode(), capture_output=True, check=True)
    out, _ = in_pieces(knowing(value), [printed.stdout])
    assert b"" == out.replace(b"[redacted:known-value]", b"").replace(b"=", b"").strip()


def test_a_line_of_a_value_of_several_lines_is_found() -> None:
    """Each longer line of a value is taken out alone too, with either end of line."""
    ours = knowing("short\n" + DRAWN + "\nthe last line of it\n")
    assert "x [redacted:known-value] y" == ours.text(f"x {DRAWN} y").value
    whole = ours.text(f"a short\r\n{DRAWN}\r\nthe last line of it\r\nb")
    assert "a [redacted:known-value]\r\nb" == whole.value


@given(st.integers(0, 3000), st.integers(0, 200))
def test_a_huge_value_is_one_redaction(size: int, before: int) -> None:
    """A value of many blocks is found whole, and a part of it by each block."""
    value = "".join(chr(97 + n * n * 7 % 26) + str(n) for n in range(200 + size))
    ours = knowing(value)
    data = b"." * before + value.encode() + b"."
    assert (b"." * before + b"[redacted:known-value].", {"known-value": 1}) == in_pieces(
        ours, cut(data, range(0, len(data), 1000))
    )
    assert value.encode()[:BLOCK] not in in_pieces(ours, [value.encode()[: BLOCK + 9]])[0]


def test_short_values_are_left_alone_and_named() -> None:
    """A value of fewer than eight characters is not looked for, and its variable is named."""
    ours = RuleRedactor().knowing(
        {"B_TOKEN": "seven77", "A_SECRET": " abc \n", "C_TOKEN": "eight888"}
    )
    assert ("A_SECRET", "B_TOKEN") == ours.left_alone
    assert "seven77 abc [redacted:known-value]" == ours.text("seven77 abc eight888").value


def test_what_is_known_adds_up() -> None:
    """A redactor that learns more forgets nothing; one that learns nothing new is itself."""
    first = RuleRedactor().knowing({"A_TOKEN": DRAWN, "B_TOKEN": "abc"})
    second = first.knowing({"C_TOKEN": "something else", "PATH": "/bin:/usr/bin"})
    assert ("B_TOKEN",) == second.left_alone
    assert "[redacted:known-value] [redacted:known-value] /bin:/usr/bin" == (
        second.text(f"{DRAWN} something else /bin:/usr/bin").value
    )
    assert second is second.knowing({"A_TOKEN": DRAWN})


def test_a_password_in_a_url_of_the_environment_is_known() -> None:
    """The password of `DATABASE_URL` is found where it stands alone."""
    ours = RuleRedactor().knowing({"DATABASE_URL": f"postgres://app:{DRAWN}@db:5432/app"})
    assert "connecting with [redacted:known-value]" == ours.text(f"connecting with {DRAWN}").value


def test_a_value_that_is_in_a_marker_is_taken_out_and_markers_stay() -> None:
    """Even a value like `known-value` is found, and what was redacted stays as it is."""
    ours = knowing("known-value", "redacted")
    out = ours.text("a known-value was redacted")
    assert "a [redacted:known-value] was [redacted:known-value]" == out.value
    assert out.value == ours.text(out.value).value


def test_values_that_are_no_text_are_found() -> None:
    """A value with bytes that are not UTF-8 is looked for by its bytes."""
    ours = knowing("caf\udce9-caf\udce9-1234")
    assert b"x [redacted:known-value] y" == ours.data(b"x caf\xe9-caf\xe9-1234 y").value
    assert "x [redacted:known-value] y" == ours.text("x caf\udce9-caf\udce9-1234 y").value
