"""An execution ledger: the facts, the law and the proofs of what ran.

Front door: what a program needs is here; `adapters.open_ledger` puts a ledger together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ledger.active_run import ActiveRun, CodeResult, Result
    from ledger.context import RunContext
    from ledger.isolation import Isolation, Limits
    from ledger.ledger import Ledger
    from ledger.overrides import Overrides
    from ledger.recorded import Recorded
    from ledger.run import Run

__all__ = [
    "ActiveRun",
    "CodeResult",
    "Isolation",
    "Ledger",
    "Limits",
    "Overrides",
    "Recorded",
    "Result",
    "Run",
    "RunContext",
]

_HOMES = {
    "ActiveRun": "ledger.active_run",
    "CodeResult": "ledger.active_run",
    "Isolation": "ledger.isolation",
    "Ledger": "ledger.ledger",
    "Limits": "ledger.isolation",
    "Overrides": "ledger.overrides",
    "Recorded": "ledger.recorded",
    "Result": "ledger.active_run",
    "Run": "ledger.run",
    "RunContext": "ledger.context",
}


def __getattr__(name: str) -> Any:
    # Imported when first asked for: whoever needs one noun does not pay for all of them.
    if name not in _HOMES:
        raise AttributeError(f"module 'ledger' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
