"""The hands: stores, sandboxes, git, files, command line. Front door: `open_ledger`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapters.wiring import open_ledger

__all__ = ["open_ledger"]


def __getattr__(name: str) -> Any:
    if name != "open_ledger":
        raise AttributeError(f"module 'adapters' has no attribute {name!r}")
    from adapters.wiring import open_ledger

    return open_ledger
