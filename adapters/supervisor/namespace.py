"""Process 1 of a command's own process namespace: it starts the command and outlives it briefly.

Rule 1: when it ends, for whatever reason, the kernel ends every process of the namespace, and
does not let its parent see the end before that is done (pid_namespaces(7)).
Rule 2: it dies with the supervisor.
"""

from __future__ import annotations

import os
import select
import time

from . import linux
from .plain_signal import signal
from .program import Program, Usage, report_end, report_failure


def is_possible(*, user_namespace: bool) -> bool:
    """Try it, in a process of its own; nothing is left of that."""
    try:
        child = os.fork()
    except OSError:
        return False
    if child == 0:
        possible = False
        try:
            linux.leave_mounts(user_namespace=user_namespace)
            first = linux.fork_apart()
            if first == 0:
                linux.mount_processes()
                os._exit(0)
            possible = os.waitpid(first, 0)[1] == 0
        finally:
            os._exit(0 if possible else 1)
    return os.waitpid(child, 0)[1] == 0


def be_first(program: Program, report: int, unneeded: list[int]) -> None:
    """
    Be process 1: start *program*, wait for it, end what it left, write to *report*.

    *unneeded* are descriptors of the supervisor that must not stay open here. Never returns.
    """
    try:
        for descriptor in unneeded:
            os.close(descriptor)
        linux.die_with_parent()
        if _is_abandoned(report):
            os._exit(1)
        linux.mount_processes()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, _pass_on)
        _wait_for(program, report)
    except OSError as error:
        report_failure(report, 0, error.errno or 0)
    finally:
        os._exit(0)


def _wait_for(program: Program, report: int) -> None:
    usage = Usage()
    began = time.monotonic_ns()
    command = os.fork()
    if command == 0:
        program.become(report)
    # The command's pipes must be its own: their end is what the reader waits for.
    program.close()
    status = None
    while status is None:
        ended, ending, used = os.wait4(-1, 0)
        usage.add(used)
        status = ending if ended == command else None
    duration = (time.monotonic_ns() - began) // 1000
    _end_the_rest(usage)
    report_end(report, status, duration, usage)


def _end_the_rest(usage: Usage) -> None:
    try:
        os.kill(-1, signal.SIGKILL)
        while True:
            usage.add(os.wait4(-1, 0)[2])
    except (ProcessLookupError, ChildProcessError):
        pass


def _pass_on(number: int, _frame: object) -> None:
    try:
        os.kill(-1, number)
        os.kill(-1, signal.SIGCONT)
    except ProcessLookupError:
        pass


def _is_abandoned(report: int) -> bool:
    """Say whether the reader of *report*, the supervisor, died before we asked to die with it."""
    waiting = select.poll()
    waiting.register(report, 0)
    return bool(waiting.poll(0))
