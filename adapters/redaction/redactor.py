"""The `Redactor` of one policy: its rules, and the values that it has been told of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from adapters.redaction.arguments import secret_parts
from adapters.redaction.keywords import Keywords
from adapters.redaction.known_values import forms, secret_values
from adapters.redaction.rule_set import FLAG, rule_set
from adapters.redaction.search import Search
from adapters.redaction.stream import Redaction
from ledger.redaction import Redacted, RedactingStream, Redactor
from ledger.secret_names import WITHHELD, looks_secret


class RuleRedactor:
    """
    Redacts by *patterns* (the policy's `redact.patterns`) and by the values that it knows.

    Raises `PolicyInvalid` for a pattern that RE2 does not take.
    """

    def __init__(
        self,
        patterns: Sequence[str] = ("default",),
        *,
        values: frozenset[str] = frozenset(),
        left_alone: tuple[str, ...] = (),
    ) -> None:
        self._patterns = tuple(patterns)
        self._rules = rule_set(self._patterns)
        self._values = values
        self.left_alone = left_alone
        words = sorted({form for value in values for form in forms(value)})
        self._known = Keywords(words)
        self._overlap = max((len(word) - 1 for word in words if b"\n" in word), default=0)

    @property
    def rules(self) -> tuple[str, ...]:
        """The names that markers and counts use, in order of precedence."""
        return self._rules.names

    @property
    def digest(self) -> str:
        """SHA-256 of the rule set, the policy's patterns included; of known values nothing."""
        return self._rules.digest

    def knowing(self, environment: Mapping[str, str]) -> Redactor:
        """Return one that also knows the values of *environment* that look like secrets."""
        values, left_alone = secret_values(environment)
        names = tuple(sorted({*self.left_alone, *left_alone}))
        if values <= self._values and names == self.left_alone:
            return self
        return RuleRedactor(self._patterns, values=self._values | values, left_alone=names)

    def stream(self) -> RedactingStream:
        """Return a stream that is redacted from its first byte."""
        return self._begin()

    def text(self, text: str) -> Redacted[str]:
        """Redact a message, name or path; bytes that are no text stay (PEP 383)."""
        counts: dict[str, int] = {}
        if self._is_clean([text]):
            return Redacted(text, counts)
        return Redacted(self._text(text, [], counts), counts)

    def data(self, data: bytes) -> Redacted[bytes]:
        """Redact a whole file or patch that is in memory anyhow."""
        stream = self._begin()
        return Redacted(stream.feed(data) + stream.finish(), stream.counts)

    def argv(self, argv: Sequence[str]) -> Redacted[tuple[str, ...]]:
        """Redact a command, word for word: by the flags that take secrets, then as text."""
        marks: dict[int, list[tuple[int, int]]] = {}
        for index, start, end in secret_parts(argv):
            marks.setdefault(index, []).append((start, end))
        counts: dict[str, int] = {}
        if not marks and self._is_clean(argv):
            return Redacted(tuple(argv), counts)
        words = [self._text(word, marks.get(i, []), counts) for i, word in enumerate(argv)]
        return Redacted(tuple(words), counts)

    def environment(self, environment: Mapping[str, str]) -> Redacted[dict[str, str]]:
        """Withhold the values of secret-looking names whole, and redact the others as text."""
        counts: dict[str, int] = {}
        variables = {
            name: WITHHELD if looks_secret(name) else value for name, value in environment.items()
        }
        if not self._is_clean(variables.values()):
            variables = {name: self._text(text, [], counts) for name, text in variables.items()}
        return Redacted(variables, counts)

    def _begin(self) -> Redaction:
        return Redaction(Search(self._rules, self._known, self._overlap), self._rules.names)

    def _is_clean(self, texts: Iterable[str]) -> bool:
        """Say whether there is nothing in *texts* that a rule would even look at."""
        data = _encode("\n".join(texts))
        return not (
            self._rules.policy or self._rules.keywords.find(data.lower()) or self._known.find(data)
        )

    def _text(self, text: str, marks: list[tuple[int, int]], counts: dict[str, int]) -> str:
        stream = self._begin()
        rank = self._rules.rank[FLAG]
        for start, end in marks:
            stream.mark(len(_encode(text[:start])), len(_encode(text[:end])), rank)
        out = stream.feed(_encode(text)) + stream.finish()
        for name, count in stream.counts.items():
            counts[name] = counts.get(name, 0) + count
        return out.decode("utf-8", "surrogateescape")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
