"""Policies: the example of the specification, and everything that is not a policy."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ed25519_signer import Ed25519Signer
from ledger.errors import ProofInvalid
from ledger.note import format_vkey
from ledger.signing import COSIGNATURE, VerifierKey
from ledger.witness_policy import (
    KnownWitness,
    Policy,
    format_policy,
    parse_policy,
    with_witness,
)

LOG = Ed25519Signer("example/log", b"l" * 32).key
NAMES = ("X1", "X2", "X3", "Y1", "Y2", "Y3")
KEYS = {
    name: Ed25519Signer(f"example/{name}", name.encode() * 16, COSIGNATURE).key for name in NAMES
}
LINES = [f"log {format_vkey(LOG)} https://log.example/"]
LINES += [f"witness {name} {format_vkey(key)}" for name, key in KEYS.items()]
LINES += [
    "group X-witnesses 2 X1 X2 X3",
    "group Y-witnesses any Y1 Y2 Y3",
    "group X-and-Y all X-witnesses Y-witnesses",
    "quorum X-and-Y",
]
EXAMPLE = "\n".join(["# two organisations", "", *LINES, "\t "]) + "\n"


def read(*lines: str) -> Policy:
    """Return the policy of these lines."""
    return parse_policy("".join(f"{line}\n" for line in lines).encode())


def test_the_example_of_the_specification_is_read() -> None:
    """Two of the X and one of the Y: every subset of the witnesses is judged so."""
    policy = parse_policy(EXAMPLE.encode())
    assert (LOG,) == policy.logs
    for count in range(len(NAMES) + 1):
        for names in combinations(NAMES, count):
            xs = sum(name.startswith("X") for name in names)
            expected = xs >= 2 and count > xs
            assert expected == policy.is_content(KEYS[name] for name in names), names


def test_a_key_counts_once_and_an_unknown_one_not() -> None:
    """However often it has signed."""
    policy = parse_policy(EXAMPLE.encode())
    stranger = VerifierKey("example/X2", COSIGNATURE, b"?" * 32)
    assert not policy.is_content([KEYS["X1"], KEYS["X1"], stranger, KEYS["Y1"]])


def test_no_quorum_is_always_there() -> None:
    """`quorum none` asks for no witness."""
    assert read("quorum none").is_content([])
    assert read(LINES[1], "quorum X1").is_content([KEYS["X1"]])
    assert not read(LINES[1], "quorum X1").is_content([])


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("quorum X1",),
        ("quorum none", "quorum none"),
        (LINES[1], "quorum X1", "quorum X1"),
        ("quorum none extra",),
        ("quorum",),
        ("unknown word", "quorum none"),
        (LINES[0], LINES[0], "quorum none"),
        (LINES[1], LINES[1], "quorum X1"),
        (LINES[1], LINES[1].replace("X1", "X9", 1), "quorum X1"),
        (f"log {format_vkey(KEYS['X1'])}", "quorum none"),
        (f"witness X {format_vkey(LOG)}", "quorum X"),
        (f"witness none {format_vkey(KEYS['X1'])}", "quorum none"),
        ("witness X1 no-key", "quorum none"),
        ("group g any X1", "quorum g"),
        (LINES[1], "group g any", "quorum g"),
        (LINES[1], "group g any none", "quorum g"),
        (LINES[1], "group g 0 X1", "quorum g"),
        (LINES[1], "group g 2 X1", "quorum g"),
        (LINES[1], "group g -1 X1", "quorum g"),
        (LINES[1], "group g some X1", "quorum g"),
        (LINES[1], "group g any X1 X1", "quorum g"),
        (LINES[1], "group g any X1", "group h any X1", "quorum h"),
        (LINES[1], "group g any g", "quorum g"),
        (LINES[1], "group X1 any X1", "quorum X1"),
        (LINES[1], "quorum X1\0"),
        (LINES[1], "quorum X1\r"),
    ],
)
def test_what_is_no_policy_is_refused(lines: tuple[str, ...]) -> None:
    """Nothing is overlooked: a policy that asks for less than its author meant is worse."""
    with pytest.raises(ProofInvalid, match="cannot use policy"):
        read(*lines)


def test_the_last_line_has_to_end() -> None:
    """A file that was cut off is refused."""
    with pytest.raises(ProofInvalid, match="last line"):
        parse_policy(b"quorum none")


def test_a_wrong_line_is_named() -> None:
    """By its number."""
    with pytest.raises(ProofInvalid, match="line 2"):
        read("# comment", "quorum nobody")


def test_a_policy_comes_back_as_it_was() -> None:
    """With URLs and names that are not ASCII, or not even UTF-8."""
    for extra in ("", " https://w.example/é"):
        data = f"witness é {format_vkey(KEYS['X1'])}{extra}\nquorum é\n".encode()
        assert parse_policy(data) == parse_policy(format_policy(parse_policy(data)))
    odd = b"witness \xff " + format_vkey(KEYS["X1"]).encode() + b"\nquorum \xff\n"
    assert odd == format_policy(parse_policy(odd))
    assert parse_policy(EXAMPLE.encode()) == parse_policy(
        format_policy(parse_policy(EXAMPLE.encode()))
    )


def test_a_witness_is_added_with_the_quorum_of_all() -> None:
    """As many as were asked for have to have seen a head."""
    policy = Policy()
    for count, name in enumerate(NAMES[:3], 1):
        policy = with_witness(policy, KnownWitness(name, KEYS[name], "http://w/"), count)
    assert policy.is_content(KEYS[name] for name in NAMES[:3])
    assert not policy.is_content(KEYS[name] for name in NAMES[:2])
    with pytest.raises(ProofInvalid, match=r"taken|already"):
        with_witness(policy, KnownWitness("X1", KEYS["Y1"]), 1)
    with pytest.raises(ProofInvalid, match="cannot ask for"):
        with_witness(policy, KnownWitness("Y1", KEYS["Y1"]), 5)


@given(st.binary(max_size=200))
def test_whatever_is_read_can_be_written(data: bytes) -> None:
    """No bytes make the parser do anything but refuse, or return what means the same."""
    for candidate in (data, EXAMPLE.encode() + data, data + EXAMPLE.encode()):
        try:
            policy = parse_policy(candidate)
        except ProofInvalid:
            continue
        assert policy == parse_policy(format_policy(policy))
