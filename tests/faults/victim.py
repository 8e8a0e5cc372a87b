"""The real command line with a witness beside it: what it asked the store to keep, and was told.

    python -m tests.faults.victim FD

A server on the socket FD: for each command line that comes, with the descriptor of a pipe, it forks
a child that becomes `gesta`, and answers with the child's process id and then with how it ended. A
fork, because an interpreter takes longer to start than a run to go wrong.

Into the pipe go `try LEAF` for each event before it is appended, and `ack LEAF` when the store has
said that it is kept. It keeps what was written when the writer is killed.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from adapters.cli.program import run_program
from adapters.sqlite_store import SQLiteStore

_IMPORTED = (
    "adapters.cli.gc",
    "adapters.cli.recover",
    "adapters.cli.running",
    "adapters.cli.stepwise",
    "adapters.git_worktree",
    "adapters.local_sandbox",
    "adapters.plain_directory",
    "adapters.profiles",
    "adapters.redaction",
    "adapters.wiring",
    "git.cmd",
    "ledger.closing",
    "ledger.reconcile",
)
_LONGEST = 1 << 16


def witness(descriptor: int) -> None:
    """Have every append say what it is about to keep, and what it has kept."""
    insert = SQLiteStore.insert_events

    def witnessed(self: SQLiteStore, events: Any, **named: Any) -> Sequence[int]:
        leaves = [leaf.hex() for leaf in named["leaves"]]
        os.write(descriptor, b"".join(b"try %s\n" % leaf.encode() for leaf in leaves))
        positions = insert(self, events, **named)
        os.write(descriptor, b"".join(b"ack %s\n" % leaf.encode() for leaf in leaves))
        return positions

    SQLiteStore.insert_events = witnessed  # type: ignore[method-assign, assignment]


def become(arguments: list[str], descriptor: int) -> NoReturn:
    """Become `gesta`, in a process group of its own, under the eyes of who reads the pipe."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    witness(descriptor)
    sys.argv = ["gesta", *arguments]
    try:
        run_program()
    except SystemExit as ended:
        os._exit(ended.code if isinstance(ended.code, int) else 1)
    except BaseException:
        os._exit(99)


def main() -> None:
    """Serve until the socket is closed."""
    server = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(server.fileno(), False)
    for name in _IMPORTED:
        importlib.import_module(name)
    while True:
        data, descriptors, _, _ = socket.recv_fds(server, _LONGEST, 1)
        if not data:
            return
        child = os.fork()
        if child == 0:
            server.close()
            become(json.loads(data), descriptors[0])
        os.close(descriptors[0])
        server.sendall(b"%d\n" % child)
        _, status = os.waitpid(child, 0)
        server.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
