"""What is done with E2B's provider: sandboxes are made, found, listed and removed.

Rule 1: the SDK is imported at the first use, its clients are made then, and what leads it to the
provider (key, addresses) is handed in.
Rule 2: whatever it raises is an `E2BError`.
"""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from adapters.e2b.errors import E2BError, Trouble, understood

if TYPE_CHECKING:
    from e2b import Sandbox
    from e2b_code_interpreter import Sandbox as Interpreter  # type: ignore[import-untyped]  # it marks no types

_OPTIONS = {
    "E2B_API_KEY": "api_key",
    "E2B_API_URL": "api_url",
    "E2B_DOMAIN": "domain",
    "E2B_SANDBOX_URL": "sandbox_url",
}
_ATTEMPTS = 3
_PAUSE_S = 0.2
_PATIENCE_S = 1.5
# What is granted to everybody; asked for when the provider refuses more and names no limit.
_SURELY_GRANTED_S = 3600


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A sandbox to be made, of a *template* (`None` is the provider's own)."""

    template: str | None
    lifetime_s: int
    metadata: dict[str, str]
    internet: bool
    key: str


class Listed(msgspec.Struct, frozen=True):
    """A sandbox that the provider knows."""

    id: str
    metadata: dict[str, str]


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider says about a sandbox; memory in MiB."""

    template: str
    memory_mb: int
    metadata: dict[str, str]


class E2BAccount:
    """
    An account, by the key and addresses in *environment*.

    A request is waited for *patience_s* seconds.
    """

    def __init__(self, environment: Mapping[str, str], patience_s: float = 60.0) -> None:
        self._options: dict[str, Any] = {
            option: environment[name] for name, option in _OPTIONS.items() if environment.get(name)
        }
        self._options["request_timeout"] = patience_s

    def create(self, wanted: Wanted) -> tuple[Sandbox, int]:
        """
        Make a sandbox and return it, with the seconds of life that it was granted.

        A lifetime that the provider refuses is clamped to what it says that it grants. A key that
        made a sandbox before brings that one back, also if it is gone by now.
        """
        try:
            return self._create(wanted, wanted.lifetime_s), wanted.lifetime_s
        except E2BError as error:
            granted = _granted(error.trouble)
            if granted is None or granted >= wanted.lifetime_s:
                raise
            return self._create(wanted, granted), granted

    def _create(self, wanted: Wanted, lifetime_s: int) -> Sandbox:
        with understood():
            from e2b import Sandbox

            if not hasattr(Sandbox, "create"):
                raise ImportError("this version of e2b is too old; install e2b>=2.20")
            # What isolation rests on is passed whether or not this version knows it: one that
            # does not must fail rather than make a sandbox with a network.
            return Sandbox.create(
                **self._options,
                template=wanted.template,
                timeout=lifetime_s,
                metadata=wanted.metadata,
                allow_internet_access=wanted.internet,
                # The same key and other words would be another request.
                **accepted(Sandbox.create, idempotency_key=f"{wanted.key}-{lifetime_s}"),
            )

    def connect(self, name: str, lifetime_s: int) -> tuple[Sandbox, int]:
        """Take hold of a sandbox that exists; lifetime and result as `create` has them."""
        try:
            return self._connect(name, lifetime_s), lifetime_s
        except E2BError as error:
            granted = _granted(error.trouble)
            if granted is None or granted >= lifetime_s:
                raise
            return self._connect(name, granted), granted

    def _connect(self, name: str, lifetime_s: int) -> Sandbox:
        with understood():
            from e2b import Sandbox

            return Sandbox.connect(name, timeout=lifetime_s, **self._options)

    def interpreter(self, name: str, lifetime_s: int) -> Interpreter:
        """Return the code interpreter of a sandbox that exists; its template has to have one."""
        with understood():
            from e2b_code_interpreter import Sandbox

            return Sandbox.connect(name, timeout=lifetime_s, **self._options)

    def look_at(self, name: str) -> Facts:
        """Return what is known of a sandbox."""
        with understood():
            from e2b import Sandbox

            info = Sandbox.get_info(name, **self._options)
            return Facts(
                template=info.template_id,
                memory_mb=info.memory_mb,
                metadata=dict(info.metadata or {}),
            )

    def list(self, metadata: Mapping[str, str]) -> list[Listed]:
        """Return the sandboxes that have at least this metadata, on whatever page."""
        with understood():
            from e2b import Sandbox, SandboxQuery

            found = []
            pages = Sandbox.list(query=SandboxQuery(metadata=dict(metadata)), **self._options)
            while pages.has_next:
                found += [
                    Listed(info.sandbox_id, dict(info.metadata or {}))
                    for info in pages.next_items()
                ]
        # The filter is the provider's; what does not match is none of ours, whatever it says.
        return [one for one in found if metadata.items() <= one.metadata.items()]

    def remove(self, name: str) -> None:
        """End a sandbox and check that it is gone; raises `E2BError` if that is not known."""
        patiently(lambda: self._kill(name))
        try:
            patiently(lambda: self.look_at(name))
        except E2BError as error:
            if error.trouble.fate == "gone":
                return
            raise
        raise E2BError(Trouble(reason="failed", message="it is still there after it was ended"))

    def _kill(self, name: str) -> None:
        with understood():
            from e2b import Sandbox

            Sandbox.kill(name, **self._options)


def accepted(function: Callable[..., Any], **options: Any) -> dict[str, Any]:
    """Return those *options* that this version's *function* has."""
    known = inspect.signature(function).parameters
    return {name: value for name, value in options.items() if name in known}


def patiently(act: Callable[[], Any]) -> Any:
    """
    Do *act*, which may be done twice, again if what stood against it may have passed.

    What took long to fail is not done again: the SDK has tried to connect several times by then.
    """
    give_up = time.monotonic() + _PATIENCE_S
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return act()
        except E2BError as error:
            hopeless = error.trouble.fate != "passing" or attempt == _ATTEMPTS
            if hopeless or time.monotonic() > give_up:
                raise
            time.sleep(_PAUSE_S * attempt)
    raise AssertionError("the last attempt returns or raises")


def _granted(trouble: Trouble) -> int | None:
    """Return the longest lifetime that a refusal names, if it is one of a lifetime."""
    if trouble.status != 400 or "timeout" not in trouble.message.lower():
        return None
    hours = re.search(r"(\d+)\s*hour", trouble.message)
    return int(hours[1]) * 3600 if hours else _SURELY_GRANTED_S
