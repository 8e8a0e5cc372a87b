"""What becomes of locks and databases when this process forks without executing anything.

Rule 1: a descriptor that carries a lock does not outlive its owner in a child: the operating
system would keep the lock for the child's sake.
Rule 2: no SQLite connection is open during a fork. The child would inherit the list of locks that
SQLite believes to hold, and write to a log that the parent has deleted
(https://sqlite.org/howtocorrupt.html, section 2.6).

Processes started by `subprocess` execute a program, and none of this concerns them.
"""

from __future__ import annotations

import os
from weakref import WeakSet


class ForkAware:
    """Something that is told of forks from `watch_forks` on, for as long as it lives."""

    def prepare_fork(self) -> None:
        """Come to rest; called in the parent, before."""

    def resume_parent(self) -> None:
        """Go on; called in the parent, after."""

    def renew_child(self) -> None:
        """Let go of what is the parent's and begin anew; called in the child, before all else."""


_watching: WeakSet[ForkAware] = WeakSet()
_at_rest: list[ForkAware] = []


def watch_forks(thing: ForkAware) -> None:
    """Have *thing* told of every fork of this process."""
    _watching.add(thing)


def _prepare() -> None:
    for thing in list(_watching):
        thing.prepare_fork()
        _at_rest.append(thing)


def _resume() -> None:
    while _at_rest:
        _at_rest.pop().resume_parent()


def _renew() -> None:
    while _at_rest:
        _at_rest.pop().renew_child()


os.register_at_fork(before=_prepare, after_in_parent=_resume, after_in_child=_renew)
