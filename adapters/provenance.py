"""Who acts, and where: as given, as the environment says, or as the operating system knows.

Rule: how the name was established is recorded with it; a name that was only claimed is not one
that was checked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from ledger.ports import Randomness
from ledger.recorded import Established, Provenance

# https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def provenance(
    actor: str | None, environment: Mapping[str, str], randomness: Randomness
) -> Provenance:
    """
    Return who acts under a new trace.

    *actor* as an argument wins over `GESTA_ACTOR`, which wins over the operating system's user.
    `GESTA_ON_BEHALF_OF` and a caller's `TRACEPARENT` are kept beside.
    """
    name, via = _name(actor, environment)
    behalf, trace = environment.get("GESTA_ON_BEHALF_OF"), _caller_trace(environment)
    return Provenance(
        actor=_printable(name),
        via=via,
        host=os.uname().nodename,
        trace=randomness.bytes(16).hex(),
        on_behalf_of=_printable(behalf) if behalf else None,
        caller_trace=_printable(trace) if trace else None,
    )


def _name(actor: str | None, environment: Mapping[str, str]) -> tuple[str, Established]:
    if actor:
        return actor, "argument"
    if named := environment.get("GESTA_ACTOR"):
        return named, "environment"
    return _user(), "os_user"


def _printable(text: str) -> str:
    # What is not UTF-8 cannot be a name; it is kept readable rather than refused.
    return text.encode("utf-8", "backslashreplace").decode()


def _caller_trace(environment: Mapping[str, str]) -> str | None:
    if given := environment.get("GESTA_TRACE"):
        return given
    match = _TRACEPARENT.fullmatch(environment.get("TRACEPARENT", ""))
    return match[1] if match else None


def _user() -> str:
    import pwd

    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
