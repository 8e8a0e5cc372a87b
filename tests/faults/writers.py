"""Many processes that append to one ledger, each with a stream of its own and all with one.

    python -m tests.faults.writers DATABASE DIRECTORY PROCESSES SECONDS

Forks the writers and prints their process ids. What a writer is told it appends to
`DIRECTORY/NUMBER`, a line an event; an error ends it with a traceback and code 1.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from pathlib import Path

from eventsourcing.persistence import IntegrityError

from adapters.sqlite_store import open_store
from tests.contracts.store_contract import append


def work(database: Path, told: Path, number: int, until: float) -> None:
    """Append until it is time, and write down what is on record."""
    store = open_store(database)
    with open(told, "wb", buffering=0) as file:
        version = 0
        while time.monotonic() < until:
            append(store, f"own-{number}", version)
            file.write(b"own-%d %d\n" % (number, version))
            version += 1
            rows = store.stream_rows("shared")
            last = rows[-1].version if rows else -1
            # Whoever is second at a version is told so.
            with contextlib.suppress(IntegrityError):
                append(store, "shared", last + 1)
                file.write(b"shared %d\n" % (last + 1))
    store.close()


def main() -> None:
    """Fork the writers, and end as the worst of them."""
    database, directory = Path(sys.argv[1]), Path(sys.argv[2])
    processes, until = int(sys.argv[3]), time.monotonic() + float(sys.argv[4])
    open_store(database).close()
    children = []
    for number in range(processes):
        child = os.fork()
        if child == 0:
            try:
                work(database, directory / str(number), number, until)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        children.append(child)
    print(*children, flush=True)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    print(*codes, flush=True)


if __name__ == "__main__":
    main()
