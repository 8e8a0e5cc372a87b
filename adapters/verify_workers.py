"""Checks the events of a large log in several processes, each a part at a time.

Rule 1: a process opens the store itself, reads, and hands back what it found.
Rule 2: a small log is not worth a process: starting one takes as long as some ten thousand events.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial

from ledger.event_check import Part, check_part
from ledger.store import Store
from ledger.verify import PART

# From so many events on.
LARGE = 4 * PART

# Opens the store; it is sent to the other processes.
OpenStore = Callable[[], Store]


def check_in_processes(open_store: OpenStore, first: int, end: int) -> Iterator[Part]:
    """Yield what came of the events from *first* to below *end*, and of any after it, in order."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    begins = range(first, end, PART)
    ends = [begin + PART if begin + PART < end else None for begin in begins]
    # Not forked: this process may have threads, and has the store's connections open.
    with ProcessPoolExecutor(_processors(), get_context("spawn")) as pool:
        yield from pool.map(partial(_check, open_store), begins, ends)


def parts_of(open_store: OpenStore) -> Callable[[int, int], Iterator[Part]]:
    """Return `check_in_processes` of one store."""
    return partial(check_in_processes, open_store)


def _check(open_store: OpenStore, first: int, end: int | None) -> Part:
    store = open_store()
    try:
        with store.snapshot() as snapshot:
            return check_part(snapshot, first, end)
    finally:
        store.close()


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
