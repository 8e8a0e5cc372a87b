"""Who acts, and how that was established."""

from __future__ import annotations

import getpass
import os

from adapters.provenance import provenance
from adapters.world import SystemRandomness

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_an_argument_wins_over_the_environment_and_that_over_the_user() -> None:
    """Each source of a name is recorded as what it is."""
    randomness = SystemRandomness()
    named = {"GESTA_ACTOR": "ci"}

    found = [provenance(*given, randomness) for given in (("me", named), (None, named), (None, {}))]

    assert [("me", "argument"), ("ci", "environment")] == [(w.actor, w.via) for w in found[:2]]
    assert (getpass.getuser(), "os_user") == (found[2].actor, found[2].via)
    assert os.uname().nodename == found[0].host


def test_a_callers_trace_is_kept_beside_the_runs_own() -> None:
    """The W3C trace id is taken out of `TRACEPARENT`; what is malformed is left out."""
    randomness = SystemRandomness()

    kept = provenance(None, {"TRACEPARENT": TRACEPARENT}, randomness)
    malformed = provenance(None, {"TRACEPARENT": "00-zz"}, randomness)

    assert TRACEPARENT.split("-")[1] == kept.caller_trace
    assert malformed.caller_trace is None
    assert len(kept.trace) == 32
    assert kept.trace != malformed.trace


def test_on_behalf_of_comes_from_the_environment() -> None:
    """For whom somebody acts is recorded apart from who acts."""
    who = provenance("agent", {"GESTA_ON_BEHALF_OF": "ada"}, SystemRandomness())

    assert ("agent", "ada") == (who.actor, who.on_behalf_of)
