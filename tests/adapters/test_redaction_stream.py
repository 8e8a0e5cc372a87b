"""A stream comes out the same however it is cut, and nothing but secrets is taken out of it."""

from __future__ import annotations

import base64
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.redaction import RuleRedactor
from adapters.redaction.search import WINDOW
from tests.adapters.secrets_corpus import (
    AWS,
    BEGIN,
    DRAWN,
    END,
    GITHUB,
    JWT,
    KEY_LINES,
    KNOWN,
    MULTILINE,
    PEM,
    cut,
    in_pieces,
    joined,
    redactor,
    streams,
)

PATTERNS = (r"internal-[0-9]{6}", r"x{80}")


@given(streams, st.lists(st.integers(0, 1 << 20), max_size=12))
@example([(b"a\n", 1), (b"x", WINDOW - 8), (AWS.encode(), 1), (b"x", WINDOW)], [WINDOW])
@example([(b"TOKEN=", 1), (b"y", 3 * WINDOW), (b" z", 1)], [5, 7, WINDOW + 9])
@example([(PEM.encode(), 2)], list(range(300)))
def test_any_cutting_gives_the_same_bytes_and_counts(
    stream: list[tuple[bytes, int]], places: list[int]
) -> None:
    """Whether a stream comes at once or in pieces, its bytes and its counts are the same."""
    ours, data = redactor(*PATTERNS), joined(stream)
    assert in_pieces(ours, [data]) == in_pieces(ours, cut(data, places))


@given(streams)
def test_what_was_redacted_stays_as_it_is(stream: list[tuple[bytes, int]]) -> None:
    """Redacting what has been redacted changes no byte."""
    ours = redactor(*PATTERNS)
    once, _ = in_pieces(ours, [joined(stream)])
    assert once == in_pieces(ours, [once])[0]


@given(streams)
def test_no_known_value_is_left(stream: list[tuple[bytes, int]]) -> None:
    """Neither a known value nor its base64 is in what comes out, whatever stands around it."""
    out, _ = in_pieces(redactor(), [joined(stream)])
    for value in (KNOWN["MY_API_KEY"], KNOWN["OTHER_TOKEN"], MULTILINE["SSH_PRIVATE_KEY"].strip()):
        assert value.encode() not in out
        assert base64.b64encode(value.encode()) not in out


@given(st.binary(max_size=2000), st.lists(st.integers(0, 2000), max_size=5))
def test_bytes_without_a_secret_pass_unchanged(noise: bytes, places: list[int]) -> None:
    """NUL, invalid UTF-8, ends of line of every kind: what is no secret comes out as it went in."""
    data = noise.replace(b"://", b"").replace(b"=", b"").replace(b":", b"").replace(b"[", b"")
    assert (data, {}) == in_pieces(redactor(), cut(data, places))


@pytest.mark.parametrize("filler", [b"x", b"\n", b"ab cd\r\n", b"\0\xff", b"token "])
def test_much_of_anything_pass_unchanged(filler: bytes) -> None:
    """A long stream with and without ends of line comes out byte for byte."""
    data = filler * (200_000 // len(filler))
    assert (data, {}) == in_pieces(redactor(), cut(data, range(0, len(data), 65_537)))


@pytest.mark.parametrize("secret", [AWS, GITHUB, JWT, KNOWN["MY_API_KEY"], f"https://u:{DRAWN}@h/"])
def test_a_secret_split_between_two_reads_is_found_at_every_split(secret: str) -> None:
    """Wherever one read ends and the next begins, the secret is taken out once."""
    data = f"before {secret} after\nnext\n".encode()
    whole = in_pieces(redactor(), [data])
    assert secret.encode() not in whole[0]
    assert 1 == sum(whole[1].values())
    for place in range(len(data)):
        assert whole == in_pieces(redactor(), [data[:place], data[place:]])


@pytest.mark.parametrize("before", [0, 100, WINDOW - 30, WINDOW, 2 * WINDOW - 10, 5 * WINDOW + 3])
def test_a_secret_anywhere_in_a_line_without_end_is_found(before: int) -> None:
    """In a line of many windows a secret is found wherever it lies to them."""
    data = b"=" * before + b" " + GITHUB.encode() + b" " + b"=" * 3 * WINDOW
    out, counts = in_pieces(redactor(), cut(data, range(0, len(data), 4096)))
    assert b"=" * before + b" [redacted:github-token] " + b"=" * 3 * WINDOW == out
    assert {"github-token": 1} == counts


def test_a_value_longer_than_a_window_is_taken_out_to_its_end() -> None:
    """A value that no window can hold goes on to the next space, and is one redaction."""
    data = b"A_TOKEN=" + DRAWN.encode() * 3000 + b" and " + b"more " * WINDOW
    out, counts = in_pieces(redactor(), cut(data, range(0, len(data), 1000)))
    assert b"A_TOKEN=[redacted:assignment] and " + b"more " * WINDOW == out
    assert {"assignment": 1} == counts


def test_memory_is_bounded_whatever_comes() -> None:
    """Twenty megabytes of one redacted value, without an end of line, need few of memory."""
    stream = redactor().stream()
    piece = b"k" * 65_536
    stream.feed(b"A_TOKEN=k1")
    tracemalloc.start()
    kept = sum(len(stream.feed(piece)) for _ in range(300)) + len(stream.finish())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(b"A_TOKEN=[redacted:assignment]") == kept
    assert peak < 4_000_000


def test_whole_lines_are_given_out_at_once() -> None:
    """A line that has ended holds nothing back."""
    stream = RuleRedactor().stream()
    assert b"one\n" == stream.feed(b"one\ntwo")
    assert b"two\n" == stream.feed(b"\n")
    assert b"" == stream.finish()


def test_secrets_that_touch_become_one_marker_of_the_first_rule() -> None:
    """A known value within an assignment is named as known, and counted once."""
    value = KNOWN["OTHER_TOKEN"]
    out, counts = in_pieces(redactor(), [f"MY_TOKEN=ab{value}cd x".encode()])
    assert b"MY_TOKEN=[redacted:known-value] x" == out
    assert {"known-value": 1} == counts


PEM_FORMS = {
    "as it is": PEM,
    "with CRLF": PEM.replace("\n", "\r\n"),
    "indented": PEM.replace("\n", "\n    "),
    "in a patch": "+" + PEM.replace("\n", "\n+"),
    "with times": "".join(f"2026-01-02T03:04:05.6Z {line}\n" for line in PEM.splitlines()),
    "as strings in code": "".join(f'    "{line}\\n"\n' for line in PEM.splitlines()),
    "in JSON": '{"private_' + 'key": "' + PEM.replace("\n", "\\n") + '"}',
    "in one line": " ".join(PEM.splitlines()),
    "encrypted": PEM.replace("\n", "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00FF\n\n", 1),
    "without an end": PEM.replace(END, ""),
    "in base64": base64.b64encode(PEM.encode()).decode(),
    "with strangers between": PEM.replace("\n", "\nmeanwhile, elsewhere\n"),
}


@pytest.mark.parametrize("form", PEM_FORMS)
def test_a_private_key_is_taken_out_in_every_form(form: str) -> None:
    """No line of a private key is left; what stands before and behind it is."""
    data = f"before\n{PEM_FORMS[form]}\nbehind it\n".encode()
    out, counts = in_pieces(redactor(), cut(data, range(0, len(data), 7)))
    assert {"private-key"} == set(counts)
    assert out.startswith(b"before\n")
    assert out.endswith(b"\nbehind it\n")
    for line in KEY_LINES[: 2 if "strangers" in form else 3]:
        assert line.encode() not in out
        assert base64.b64encode(line.encode())[4:-4] not in out


def test_only_the_inside_of_a_private_key_is_taken_out() -> None:
    """The first and last lines stay, with one marker between them."""
    out, counts = in_pieces(redactor(), [f"a\n{PEM}b\n".encode()])
    assert f"a\n{BEGIN}\n[redacted:private-key]\n{END}\nb\n".encode() == out
    assert {"private-key": 1} == counts


def test_code_about_private_keys_is_no_private_key() -> None:
    """A program that looks for the first line of a key is stored as it is."""
    code = f'if "{BEGIN}" in text:\n    return parse(text)\nx = "abc"\n'.encode()
    assert (code, {}) == in_pieces(redactor(), [code])


def test_after_an_error_nothing_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream whose rules failed once refuses to go on, instead of letting bytes through."""
    stream = RuleRedactor().stream()
    monkeypatch.setattr("adapters.redaction.search.JUDGES", {})
    with pytest.raises(KeyError):
        stream.feed(b"A_TOKEN=" + DRAWN.encode() + b"\n")
    monkeypatch.undo()
    with pytest.raises(RuntimeError, match="cannot go on redacting"):
        stream.feed(b"harmless\n")
    with pytest.raises(RuntimeError, match="cannot go on redacting"):
        stream.finish()
