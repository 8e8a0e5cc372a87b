"""Every rule is a working expression, finds what it describes, and is held to by the digest."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.redaction import RuleRedactor, rule_set
from adapters.redaction.judgement import JUDGES
from adapters.redaction.keywords import Keywords
from adapters.redaction.provider_rules import PROVIDER_RULES
from adapters.redaction.rule import Rule
from adapters.redaction.rule_set import RuleSet
from adapters.redaction.structure_rules import STRUCTURE_RULES
from ledger.errors import PolicyInvalid
from tests.adapters.secrets_corpus import AWS, DRAWN, examples, in_pieces

RULES = (*PROVIDER_RULES, *STRUCTURE_RULES)
# Where a token of a provider is seen: after a colour, an escape, in JSON, in an assignment.
AROUND = [
    "{}\n",
    "x {} y",
    "\x1b[31m{}\x1b[0m",
    "a\\n{}\\nb",
    '{{"k": "{}"}}',
    "k={}\r\n",
    "%20{}&",
]


GROUPS = [PROVIDER_RULES[start : start + 15] for start in range(0, len(PROVIDER_RULES), 15)]


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group[0].name)
def test_a_token_of_every_provider_is_taken_out(group: tuple[Rule, ...]) -> None:
    """Whatever tail a token has, and wherever it stands, its rule finds it."""
    ours = RuleRedactor()

    @settings(max_examples=3, database=None)
    @given(st.tuples(*map(examples, group)), st.sampled_from(AROUND))
    def check(tokens: tuple[str, ...], around: str) -> None:
        for rule, token in zip(group, tokens, strict=True):
            match = re.search(rule.pattern, token)
            assert match
            secret = match.group(1) if match.re.groups else match.group()
            out, counts = in_pieces(ours, [around.format(token).encode()])
            assert secret.encode() not in out
            assert counts, token

    check()


@pytest.mark.parametrize("rule", RULES, ids=[f"{n}-{rule.name}" for n, rule in enumerate(RULES)])
def test_every_rule_is_well_formed(rule: Rule) -> None:
    """Keywords are lower-case, names are of small letters, and RE2 takes the pattern."""
    assert rule.keywords
    assert [word.lower() for word in rule.keywords] == list(rule.keywords)
    assert re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", rule.name)
    assert rule.judge in {"", *JUDGES}
    assert 0 <= rule.back <= 128
    re2.compile(rule.pattern.encode())


def test_every_name_is_found_in_the_order_of_precedence() -> None:
    """Known values come first, then our rules in their order, then the policy's."""
    names = RuleRedactor(["default", "x+y"]).rules
    assert "known-value" == names[0]
    assert "policy-1" == names[-1]
    assert len(set(names)) == len(names)
    assert {rule.name for rule in RULES} < set(names)


def test_a_rule_that_does_not_compile_is_an_error_and_not_a_gap() -> None:
    """Where its keyword stands, a broken rule stops the stream; it is not passed over."""
    broken = RuleSet([Rule("broken", ("word",), "a{2000}")], [])
    with pytest.raises(re2.error):
        broken.compiled(0)


def test_a_pattern_that_re2_refuses_is_refused_at_once() -> None:
    """A policy's pattern that passes for Python and not for RE2 is an error that names it."""
    with pytest.raises(
        PolicyInvalid, match=r"cannot use redact.patterns 'a\{2000\}': .*repetition"
    ):
        RuleRedactor(["default", "a{2000}"])


def test_a_pattern_of_the_policy_is_redacted_within_its_line() -> None:
    """Patterns match within a line, with `^` and `$` at its ends, in letters of any script."""
    ours = RuleRedactor(["default", "^id [0-9]+$", "[éè]t[^x]*"])
    assert (
        "[redacted:policy-1]\n  id 7\nl'[redacted:policy-2]\nx\n"
        == ours.text("id 7\n  id 7\nl'été long\nx\n").value
    )


def test_without_default_only_the_policys_own_patterns_count() -> None:
    """`redact.patterns` without `default` leaves our rules out; known values always count."""
    ours = RuleRedactor(["own-[0-9]+"]).knowing({"A_TOKEN": DRAWN})
    assert ("known-value", "flag", "policy-1") == ours.rules
    assert f"{AWS} [redacted:policy-1] [redacted:known-value]" == (
        ours.text(f"{AWS} own-12 {DRAWN}").value
    )


def test_the_digest_is_of_every_rule_and_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest is stable, and another pattern, order, keyword or version has another."""
    rule = Rule("one", ("a",), "a+")
    other = Rule("one", ("a",), "a+b")
    sets = [([rule], []), ([rule], ["x"]), ([other], []), ([rule, other], []), ([other, rule], [])]
    digests = [RuleSet(rules, patterns).digest for rules, patterns in sets]
    assert len(sets) == len(set(digests))
    assert RuleSet([rule], []).digest == digests[0]
    monkeypatch.setattr(rule_set, "VERSION", rule_set.VERSION + 1)
    assert RuleSet([rule], []).digest not in digests


def test_what_is_known_is_no_part_of_the_digest() -> None:
    """The digest says nothing about the values that were looked for."""
    assert RuleRedactor().digest == RuleRedactor().knowing({"A_TOKEN": DRAWN}).digest


@given(
    st.lists(st.text("ab-", min_size=1, max_size=4).map(str.encode), min_size=1, unique=True),
    st.text("ab-\n", max_size=60).map(str.encode),
)
def test_the_automaton_finds_what_a_plain_search_finds(words: list[bytes], data: bytes) -> None:
    """Both ways of looking for keywords give the same hits, overlapping ones included."""
    few, many = Keywords(words), Keywords(words)
    many.find(b"." * 20_000)
    assert few.find(data) == many.find(data)


def test_nothing_is_imported_before_a_keyword_is_seen() -> None:
    """A command that prints no keyword needs neither RE2 nor the automaton."""
    program = (
        "import sys; from adapters.redaction import RuleRedactor\n"
        "ours = RuleRedactor().knowing({'PATH': '/bin', 'A_TOKEN': 'abcdefgh'})\n"
        "ours.argv(['true']); ours.environment({'HOME': '/home/ann'}); ours.digest\n"
        "stream = ours.stream(); stream.feed(b'hello\\n'); stream.finish()\n"
        "print([name for name in ('re2', 'ahocorasick_rs') if name in sys.modules])\n"
        "ours.text('https://u:%s@h/' % 'secret-9'); print('re2' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert ["[]", "True"] == done.stdout.split()
