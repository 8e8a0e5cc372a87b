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

    by_argument = provenance("me", named, randomness)
    by_environment = provenance(None, named, randomness)
    by_user = provenance(None, {}, randomness)

    assert ("me", "argument") == (by_argument.actor, by_argument.via)
    assert ("ci", "environment") == (by_environment.actor, by_environment.via)
    assert (getpass.getuser(), "os_user") == (by_user.actor, by_user.via)
    assert os.uname().nodename == by_user.host


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


def test_a_name_that_is_not_utf_8_is_kept_readable() -> None:
    """Bytes of another encoding in the environment are written out, and recorded as text."""
    who = provenance(None, {"GESTA_ACTOR": "ad\udce9"}, SystemRandomness())

    assert "ad\\udce9" == who.actor
