"""Takes recognised secrets out of what is about to be recorded. Front door: `RuleRedactor`.

Rule 1: the rules are data (`provider_rules`, `structure_rules`); a keyword is looked for first,
and only where it stands is its rule's expression tried.
Rule 2: nothing is compiled, and no library imported, before a keyword has been seen: a command
that prints nothing pays nothing.
Rule 3: what comes out is a function of the bytes of the stream, never of how they were cut.
"""

from __future__ import annotations

from adapters.redaction.redactor import RuleRedactor

__all__ = ["RuleRedactor"]
