"""Process 1 inside a bubblewrap sandbox: it starts the command and says truly how it ended.

Its text is handed to an interpreter inside, where nothing of ours can be imported. bwrap itself
cannot tell an exit code of 137 from SIGKILL, nor its own failure from the command's, nor give a
program another name than its file's.

Rule 1: the command cannot speak in its place: this process is not dumpable (prctl(2)), so its
memory and descriptors are closed to others of its own user, and it keeps the descriptors to
itself.
Rule 2: when it ends the kernel ends every process of the sandbox (pid_namespaces(7)).
Rule 3: it ignores what bwrap was started to ignore: signals that are for the command.

Descriptors: 3 is the request (length-prefixed fields: executable, directory, marks, arguments,
environment), 4 takes the report (lines of words), 5 is the command's error output. Our own is
where bwrap says what went wrong.
"""

from __future__ import annotations

import ctypes
import os
import time

# The plain module is enough, and costs less to import than its enumerations.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal

REQUEST, REPORT, ERRORS = 3, 4, 5
_PR_SET_DUMPABLE = 4
_RESET = ("INT", "TERM", "HUP", "QUIT", "PIPE", "CHLD", "XFSZ", "XFZ")


def main() -> None:
    """Start the command, wait for it, end what it left, and say how it went."""
    if ctypes.PyDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError("cannot close the starter to others: prctl failed")
    request = read_request()
    for descriptor in (REPORT, ERRORS):
        os.set_inheritable(descriptor, False)
    reading, writing = os.pipe()
    began = time.monotonic_ns()
    command = os.fork()
    if command == 0:
        become(request, writing)
    os.close(writing)
    os.close(ERRORS)
    for stream in (0, 1):
        # The end of the command's streams is the end of the command's own descriptors.
        os.close(stream)
    # The end of this pipe is a successful exec; nothing of the command has run before it.
    failed = os.read(reading, 64)
    say(b"failed " + failed if failed else b"started")
    numbers = wait_for(command, began)
    if not failed:
        say(b"ended %d %d %d %d" % numbers)


def say(line: bytes) -> None:
    """Put one line into the report."""
    os.write(REPORT, line + b"\n")


def read_request() -> list[bytes]:
    """Return the fields of the request."""
    with open(REQUEST, "rb") as file:
        return split(file.read())


def split(data: bytes) -> list[bytes]:
    """Return fields that each follow their length in four bytes."""
    fields = []
    at = 0
    while at < len(data):
        begin = at + 4
        at = begin + int.from_bytes(data[at:begin], "big")
        fields.append(data[begin:at])
    return fields


def become(request: list[bytes], report: int) -> None:
    """Replace this process by the command, or write to *report* why not. Never returns."""
    executable, directory, marks, arguments, pairs = request
    stage = b"directory"
    try:
        os.chdir(directory)
        stage = b"process"
        if b"terminal" not in marks.split():
            os.setsid()
        os.dup2(ERRORS, 2)
        for name in _RESET:
            number = getattr(signal, "SIG" + name, None)
            if number is not None:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        environment = dict(pair.split(b"=", 1) for pair in split(pairs))
        stage = b"executable"
        os.execve(executable, split(arguments), environment)
    except OSError as error:
        if stage == b"executable" and os.path.exists(executable):
            stage = b"present"
        os.write(report, b"%s %d" % (stage, error.errno or 0))
    finally:
        os._exit(127)


def wait_for(command: int, began: int) -> tuple[int, int, int, int]:
    """Return wait status, wall µs, processor µs and peak KiB, once everything has ended."""
    status = duration = cpu = peak = 0
    while True:
        try:
            process, ending, used = os.wait4(-1, 0)
        except ChildProcessError:
            return status, duration, cpu, peak
        cpu += int((used.ru_utime + used.ru_stime) * 1_000_000)
        peak = max(peak, used.ru_maxrss)
        if process == command:
            status, duration = ending, (time.monotonic_ns() - began) // 1000
            end_the_rest()


def end_the_rest() -> None:
    """Kill every other process of the sandbox."""
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    main()
