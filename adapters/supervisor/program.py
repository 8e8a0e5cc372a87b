"""The forked child that becomes the command, and the report of what came of it.

Rule 1: between fork and exec nothing is imported and nothing is left to the command: no
descriptor, no signal disposition or mask, no environment variable that it was not given.
Rule 2: a program that shelters the command gets `SHELTERING` descriptors more, and goes on
ignoring the signals that are meant for the command inside.
"""

from __future__ import annotations

import errno
import os
import resource
import struct
import sys

from .plain_signal import signal

_RECORD = struct.Struct("!6q")
_FAILED, _ENDED = 0, 1
STAGES = ("process", "directory", "executable")
SHELTERING = 3
_FIRST_SHELTERING = 3
_FOR_THE_COMMAND = ("INT", "TERM", "HUP", "QUIT")


class Program:
    """A command as it is to be executed; bytes throughout."""

    def __init__(
        self,
        executable: bytes,
        directory: bytes,
        arguments: list[bytes],
        pairs: list[bytes],
        descriptors: list[int],
        mark: bytes = b"",
    ) -> None:
        self.executable = executable
        self.directory = directory
        self.arguments = arguments
        self.terminal = b"terminal" in mark.split()
        self.shelters = b"shelter" in mark.split()
        self.environment = dict(_split(pair) for pair in pairs)
        self.descriptors = descriptors
        self.data_limit: int | None = None
        self.oom_score: bytes | None = None
        if len(descriptors) - (SHELTERING if self.shelters else 0) not in (2, 3):
            raise ValueError(f"cannot run program with {len(descriptors)} descriptors")

    def become(self, report: int) -> None:
        """Replace this process by the command, or write to *report* why not. Never returns."""
        stage = 0
        try:
            if not self.terminal:
                os.setsid()
            for number, descriptor in self._places():
                os.dup2(descriptor, number)
            stage = 1
            os.chdir(self.directory)
            stage = 2
            self._reset_signals()
            self._set_limits()
            os.execve(self.executable, self.arguments, self.environment)
        except OSError as error:
            report_failure(report, stage, error.errno or 0)
        except ValueError:
            report_failure(report, stage, errno.EINVAL)
        finally:
            os._exit(127)

    def _places(self) -> list[tuple[int, int]]:
        """Return which number each descriptor is to have; those that came have higher ones."""
        ours = self.descriptors
        if not self.shelters:
            return list(zip((1, 2, 0), ours, strict=False))
        beyond = list(enumerate(ours[-SHELTERING:], _FIRST_SHELTERING))
        return list(zip((1, 2, 0), ours[:-SHELTERING], strict=False)) + beyond

    def _reset_signals(self) -> None:
        # Whatever the supervisor or the interpreter ignores; the rest was reset at its start.
        signal.set_wakeup_fd(-1)
        for name in (*_FOR_THE_COMMAND, "PIPE", "CHLD", "XFSZ", "XFZ"):
            number = getattr(signal, f"SIG{name}", None)
            if number is not None:
                ignored = self.shelters and name in _FOR_THE_COMMAND
                signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def _set_limits(self) -> None:
        if self.oom_score is not None:
            with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
                file.write(self.oom_score)
        # Last: from here on the interpreter itself may run out of memory.
        if self.data_limit is not None:
            _limit_data(self.data_limit)

    def close(self) -> None:
        """Let go of the descriptors that were passed for the command."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = []


class Usage:
    """The sum over processes that were waited for."""

    def __init__(self) -> None:
        self.cpu_us = 0
        self.peak_kb = 0

    def add(self, used: object) -> None:
        """Add what `os.wait4` said of one process and of those that it waited for itself."""
        seconds = used.ru_utime + used.ru_stime  # type: ignore[attr-defined]
        peak = used.ru_maxrss  # type: ignore[attr-defined]
        self.cpu_us += int(seconds * 1_000_000)
        # Kibibytes on Linux, bytes on macOS (getrusage(2)).
        self.peak_kb = max(self.peak_kb, peak >> 10 if sys.platform == "darwin" else peak)


def report_failure(report: int, stage: int, number: int) -> None:
    """Write that nothing was started: at which of `STAGES`, and the errno."""
    os.write(report, _RECORD.pack(_FAILED, stage, number, 0, 0, 0))


def report_end(report: int, status: int, duration_us: int, usage: Usage) -> None:
    """Write how the command ended."""
    record = _RECORD.pack(_ENDED, status, duration_us, usage.cpu_us, usage.peak_kb, 0)
    os.write(report, record)


def read_report(report: int) -> tuple[bool, tuple[int, ...]] | None:
    """
    Return whether there was a command, and the numbers; `None` if nothing was reported.

    A failure stands first: the process that reported it also ended.
    """
    data = os.read(report, _RECORD.size)
    if len(data) < _RECORD.size:
        return None
    kind, *numbers = _RECORD.unpack(data)
    return kind == _ENDED, tuple(numbers)


def _split(pair: bytes) -> tuple[bytes, bytes]:
    name, _, value = pair.partition(b"=")
    return name, value


def _limit_data(limit: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    least = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (least, least))
