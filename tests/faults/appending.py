"""One append with a large blob between two marks in the system calls, and what came of it.

    python -m tests.faults.appending DIRECTORY

Prints a line of JSON: which versions the store said that it has, and which it refused.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from eventsourcing.persistence import IntegrityError

from adapters.blobs import ROW_LIMIT, Blobs
from adapters.sqlite_store import open_store
from ledger.errors import StoreError
from tests.contracts.store_contract import append

BEGIN, END = "/begin of the append", "/end of the append"
LARGE = os.urandom(ROW_LIMIT + 1)


def main() -> None:
    """Append three times: once before the marks, once between them, and once more after."""
    directory = Path(sys.argv[1])
    store = open_store(directory / "ledger.db")
    blobs = Blobs(directory / "blobs", rows=store.blob_row)
    told: list[int] = []
    refused: list[int] = []
    blob = ""

    def attempt(act: Callable[[], object], version: int) -> None:
        try:
            act()
        except StoreError:
            refused.append(version)
        else:
            told.append(version)

    def whole() -> None:
        nonlocal blob
        with blobs.keeping():
            made = blobs.put(LARGE)
            append(store, "a", 1, blobs=[made])
        blob = made.digest

    def again() -> None:
        # Refused, or kept and not told: whoever tries again learns which.
        with contextlib.suppress(IntegrityError):
            append(store, "a", 1)
        append(store, "a", 2)

    # What is imported when it is first used is imported now.
    blobs.put(LARGE[::-1])
    attempt(lambda: append(store, "a", 0), 0)
    os.access(BEGIN, os.F_OK)
    attempt(whole, 1)
    os.access(END, os.F_OK)
    attempt(again, 2)
    answer = json.dumps({"told": told, "refused": refused, "blob": blob})
    # A call that is not made to fail.
    os.writev(1, [answer.encode()])


if __name__ == "__main__":
    main()
