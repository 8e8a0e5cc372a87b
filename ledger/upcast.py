"""Old shape to newest, on reading. Stored bytes are never touched.

Rule 1: a step turns one stored name into the next one and works on plain data, never on classes.
Rule 2: a step invents nothing: what the old shape could not say gets the value that was true of
everything then recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Facts = dict[str, Any]


def _persistence_of_sandbox(facts: Facts) -> Facts:
    # Version 1 did not say what survives between two commands. The only lifetimes then were
    # `command`, where files do, and `run`, where processes do as well.
    persists = ["files"] if facts["lifetime"] == "command" else ["files", "processes"]
    return {**facts, "persists": persists}


def _startup_of_sandbox(facts: Facts) -> Facts:
    # Version 2 did not say how long it took to have the sandbox.
    return {**facts, "startup_us": None}


def _ledger_without_key(facts: Facts) -> Facts:
    # Version 1 is from before logs were signed.
    return {**facts, "key": None}


def _statement_of_seal(facts: Facts) -> Facts:
    # Version 1 had no signed statement.
    return {**facts, "signed": None}


STEPS: dict[str, tuple[str, Callable[[Facts], Facts]]] = {
    "ledger.created.1": ("ledger.created.2", _ledger_without_key),
    "run.sealed.1": ("run.sealed.2", _statement_of_seal),
    "sandbox.created.1": ("sandbox.created.2", _persistence_of_sandbox),
    "sandbox.created.2": ("sandbox.created.3", _startup_of_sandbox),
}


def is_old(topic: str) -> bool:
    """Say whether events of this stored name need upcasting."""
    return topic in STEPS


def upcast(topic: str, facts: Facts) -> tuple[str, Facts]:
    """Return the newest stored name and shape of an event's *facts*."""
    while topic in STEPS:
        topic, step = STEPS[topic]
        facts = step(facts)
    return topic, facts
