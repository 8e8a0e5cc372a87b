"""The supervisor's loop: take a message, start a command, say how it ended.

Rule 1: one command at a time; before its end is said, everything that it started is gone.
Rule 2: at the end of the lifeline everything is ended, then we are.
Rule 3: signals that a terminal sends to its whole foreground group do not end us: the command's
end is still to be reported.
"""

from __future__ import annotations

import _socket
import gc
import os
import select
import sys
import time

from . import linux, namespace, tree
from .limits import ControlGroup, find_group, spare_supervisor
from .messages import Channel, pack, unpack
from .plain_signal import signal
from .program import STAGES, Program, Usage, read_report, report_failure

LIFELINE = 3
_PATIENCE_S = 5.0
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def main(wanted: str) -> None:
    """Serve the lifeline until its end; *wanted* of `host` forgoes a process namespace."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.closerange(LIFELINE + 1, min(os.sysconf("SC_OPEN_MAX"), 1 << 20))
    os.set_inheritable(LIFELINE, False)
    own = wanted != "host" and _enter_namespace()
    if sys.platform == "linux":
        linux.adopt_orphans()
    gc.freeze()
    server = Server(Channel(_socket.socket(fileno=LIFELINE)), own=own)
    try:
        server.serve()
    finally:
        server.end_everything()


def _enter_namespace() -> bool:
    """Prepare for process namespaces, if this machine and user have them."""
    if sys.platform != "linux":
        return False
    ordinary = os.geteuid() != 0
    if not namespace.is_possible(user_namespace=ordinary):
        return False
    linux.leave_mounts(user_namespace=ordinary)
    return True


class Running:
    """The command that runs: *process* is it, or process 1 of its namespace."""

    def __init__(self, process: int, report: int, group: int | None, killed_before: int) -> None:
        self.process = process
        self.report = report
        self.group = group
        self.killed_before = killed_before
        self.began = time.monotonic_ns()
        self.duration_us = 0
        self.usage = Usage()
        self.status: int | None = None


class Server:
    """What the supervisor knows between two messages."""

    def __init__(self, channel: Channel, *, own: bool) -> None:
        self._channel = channel
        self._own = own
        self._memory = find_group("memory")
        self._processes = find_group("pids")
        self._joined: list[ControlGroup] = []
        self._data_limit: int | None = None
        self._oom_score: bytes | None = None
        self._running: Running | None = None
        self._wakeup, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(self._wakeup, False)
        self._wake = wake
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def serve(self) -> None:
        """Say hello, then answer until the lifeline ends."""
        waiting = select.poll()
        waiting.register(self._channel.fileno(), select.POLLIN)
        waiting.register(self._wakeup, select.POLLIN)
        processes = b"own" if self._own else b"host"
        memory = b"group" if self._memory else b"process"
        self._channel.send(b"hello", processes, memory, b"group" if self._processes else b"")
        while True:
            for descriptor, _ in waiting.poll():
                if descriptor == self._wakeup:
                    os.read(self._wakeup, 512)
                    self._reap()
                    continue
                messages = self._channel.receive()
                if messages is None:
                    return
                for message in messages:
                    self._obey(message)

    def _obey(self, message: list[bytes]) -> None:
        match message:
            case [b"limit", memory, processes]:
                self._limit(int(memory or 0), int(processes or 0))
            case [b"run", *fields] if self._running is None:
                self._run(fields)
            case [b"end", number]:
                self._end(int(number))
            case _:
                raise ValueError("cannot obey message: it is unknown")

    def _limit(self, memory_mb: int, processes: int) -> None:
        memory_by = processes_by = b""
        if memory_mb and self._memory and self._memory.join(memory_mb << 20):
            self._joined.append(self._memory)
            self._oom_score = spare_supervisor()
            memory_by = b"group"
        elif memory_mb:
            self._data_limit = memory_mb << 20
            memory_by = b"process"
        if processes and self._processes and self._processes.join(processes):
            self._joined.append(self._processes)
            processes_by = b"group"
        groups = pack([group.path.encode() for group in self._joined])
        self._channel.send(b"limited", memory_by, processes_by, groups)

    def _run(self, fields: list[bytes]) -> None:
        descriptors, self._channel.descriptors = self._channel.descriptors, []
        executable, directory, mark, *packed = fields
        arguments, pairs = (unpack(field) for field in packed)
        program = Program(executable, directory, arguments, pairs, descriptors, mark)
        program.data_limit = self._data_limit
        program.oom_score = self._oom_score
        report, reporting = os.pipe()
        before = self._kills()
        try:
            process = self._fork(program, report, reporting)
        except OSError as error:
            report_failure(reporting, 0, error.errno or 0)
            process = 0
        os.close(reporting)
        program.close()
        group = process if process and not (self._own or program.terminal) else None
        self._running = Running(process, report, group, before)
        if process:
            self._channel.send(b"started", b"%d" % process)
        else:
            self._conclude(self._running)

    def _fork(self, program: Program, report: int, reporting: int) -> int:
        if self._own:
            process = linux.fork_apart()
            if process == 0:
                unneeded = [self._channel.fileno(), self._wakeup, self._wake, report]
                namespace.be_first(program, reporting, unneeded)
            return process
        supervisor = os.getpid()
        process = os.fork()
        if process == 0:
            if sys.platform == "linux":
                linux.die_with_parent()
            if os.getppid() != supervisor:
                os._exit(127)
            program.become(reporting)
        return process

    def _end(self, number: int) -> None:
        running = self._running
        if running is None:
            return
        if self._own:
            # Process 1 passes SIGTERM on; killing it ends the namespace.
            os.kill(running.process, number)
        else:
            tree.signal_tree(number, running.group)
            tree.signal_tree(signal.SIGCONT, running.group)

    def _reap(self) -> None:
        running = self._running
        if running is None:
            return
        self._reap_into(running)
        if running.status is not None:
            if not self._own:
                tree.end_tree(running.group, lambda: self._reap_into(running), _PATIENCE_S)
            self._conclude(running)

    def _reap_into(self, running: Running) -> bool:
        """Take the status of what has ended; say whether no child is left."""
        while True:
            try:
                process, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if process == 0:
                return False
            running.usage.add(used)
            if process == running.process:
                running.duration_us = (time.monotonic_ns() - running.began) // 1000
                running.status = status

    def _conclude(self, running: Running) -> None:
        self._running = None
        reported = read_report(running.report)
        os.close(running.report)
        if reported is None:
            # The command is our own child, or its process 1 was killed with it.
            usage = running.usage
            status = running.status or 0
            numbers: tuple[int, ...] = (status, running.duration_us, usage.cpu_us, usage.peak_kb)
        else:
            came_to_be, numbers = reported
            if not came_to_be:
                self._channel.send(b"failed", STAGES[numbers[0]].encode(), b"%d" % numbers[1])
                return
        kills = self._kills() - running.killed_before
        self._channel.send(b"ended", *(b"%d" % number for number in (*numbers[:4], kills)))

    def _kills(self) -> int:
        return sum(group.kills() for group in self._joined if group is self._memory)

    def end_everything(self) -> None:
        """End the command that runs, and undo our limits; the lifeline is gone."""
        running = self._running
        if running is not None:
            if self._own:
                os.kill(running.process, signal.SIGKILL)
                os.waitpid(running.process, 0)
            else:
                tree.end_tree(running.group, lambda: self._reap_into(running), _PATIENCE_S)
        for group in reversed(self._joined):
            group.leave()
