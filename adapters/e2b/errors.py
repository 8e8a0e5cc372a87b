"""What each error of E2B's SDK means to us.

Rule 1: the SDK is never imported here: an error is known by the names of its classes, so that all
versions of it are understood, also where a class is younger than our oldest.
Rule 2: a request that may have been carried out all the same says so.

The SDK raises its own exceptions, and lets through those of httpx, of its RPC library and of the
JSON parser (a gateway's HTML page). `SandboxNotRunningException` is a `TimeoutException`: the
narrower name is looked for first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import msgspec

from ledger.outcomes import Unavailable, UnavailableReason

Fate = Literal["gone", "passing", "final"]


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """
    Why the provider or a sandbox did not do what was asked.

    *fate* is `gone` if the sandbox is no more, `passing` if asking again may help.
    """

    reason: UnavailableReason
    message: str
    fate: Fate = "final"
    unknown_effect: bool = False
    status: int | None = None

    def unavailable(self, doing: str) -> Unavailable:
        """Return this as the answer to somebody who wanted a sandbox; *doing* is what failed."""
        return Unavailable(
            reason=self.reason,
            message=f"cannot {doing}: {self.message}",
            unknown_effect=self.unknown_effect,
        )


class E2BError(Exception):
    """Something that the SDK raised, understood; never leaves the E2B adapter."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.message)
        self.trouble = trouble


# Class name, reason, fate, may it have been carried out; the first that fits counts.
_TABLE: tuple[tuple[str, UnavailableReason, Fate, bool], ...] = (
    ("SandboxNotRunningException", "failed", "gone", False),
    ("SandboxNotFoundException", "failed", "gone", False),
    ("SandboxUnreachableException", "outage", "passing", True),
    ("GuestUnresponsiveException", "outage", "passing", True),
    ("AuthenticationException", "no_key", "final", False),
    ("RateLimitException", "outage", "passing", False),
    ("ServiceBusyException", "outage", "passing", False),
    ("FileNotFoundException", "failed", "final", False),
    ("NotFoundException", "failed", "final", False),
    ("InvalidArgumentException", "failed", "final", False),
    ("NotEnoughSpaceException", "failed", "final", False),
    ("CommandExitException", "failed", "final", False),
    ("TimeoutException", "outage", "passing", True),
    ("SandboxException", "failed", "final", False),
    ("ImportError", "not_installed", "final", False),
    ("TypeError", "failed", "final", False),
    # httpx: no connection was made; then all that can happen to one.
    ("ConnectTimeout", "outage", "passing", False),
    ("PoolTimeout", "outage", "passing", False),
    ("HTTPError", "outage", "passing", True),
    ("JSONDecodeError", "outage", "passing", True),
    ("ConnectionError", "outage", "passing", True),
    ("TimeoutError", "outage", "passing", True),
)
_GONE = "was not found"


def trouble_of(error: Exception) -> Trouble:
    """Return what *error* means; whatever is unknown may have been carried out."""
    names = {cls.__name__ for cls in type(error).__mro__}
    modules = {cls.__module__.partition(".")[0] for cls in type(error).__mro__}
    message = _one_line(error)
    if "ConnectError" in names:
        # Two libraries have one of this name: httpx did not get through, Connect RPC did.
        is_rpc = "connectrpc" in modules
        return Trouble(
            reason="outage", fate="passing", unknown_effect=is_rpc, message=f"no answer: {message}"
        )
    for name, reason, fate, unknown in _TABLE:
        if name in names:
            trouble = Trouble(
                reason=reason, fate=fate, unknown_effect=unknown, message=_worded(name, message)
            )
            return _refined(trouble, error, names)
    return Trouble(reason="failed", message=message, unknown_effect=True)


@contextmanager
def understood() -> Iterator[None]:
    """Raise `E2BError` in place of whatever the SDK raises within the block."""
    try:
        yield
    except E2BError:
        raise
    except Exception as error:
        raise E2BError(trouble_of(error)) from error


def _refined(trouble: Trouble, error: Exception, names: set[str]) -> Trouble:
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        coded = re.match(r"(\d{3}): ", str(error))
        status = int(coded[1]) if coded else None
    if "TimeoutException" in names and _GONE in trouble.message:
        # Older versions have no class of its own for it.
        return msgspec.structs.replace(trouble, reason="failed", fate="gone", unknown_effect=False)
    if status is not None and status >= 500 and trouble.reason == "failed":
        trouble = msgspec.structs.replace(
            trouble, reason="outage", fate="passing", unknown_effect=True
        )
    return msgspec.structs.replace(trouble, status=status)


def _worded(name: str, message: str) -> str:
    match name:
        case "AuthenticationException":
            return f"the key is refused: {message}"
        case "ImportError":
            return f"{message}; install gesta[e2b]"
        case "JSONDecodeError":
            return "the answer is not the provider's; a gateway is in the way"
        case _:
            return message


def _one_line(error: Exception) -> str:
    text = str(error) or getattr(error, "stderr", "") or type(error).__name__
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # A program that failed says why in its last line.
    last = lines[-1] if lines else type(error).__name__
    return last[:300]
