"""The command line: words in, the ledger asked, an answer and an exit code out.

Front door: `main`. Each command is a module of its own, imported when it is called.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command that the process was called with, and exit with its code."""
    from adapters.cli.program import run_program

    run_program()
