"""The system calls of Linux that Python 3.11 has no names for.

Each is an `OSError` when the kernel refuses. Elsewhere than on Linux only the import works.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWPID = 0x20000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_SLAVE = 2, 4, 8, 1 << 14, 1 << 19
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
# One number on every architecture but alpha, and one order of arguments (clone(2) has several).
_SYS_CLONE3 = 435
_SIGCHLD, _SIGKILL = 17, 9

# PyDLL keeps the interpreter's lock: the child of `fork_apart` returns into it.
_LIBC = ctypes.PyDLL(None, use_errno=True) if sys.platform == "linux" else None


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _call(name: str, *arguments: object) -> int:
    if _LIBC is None:
        raise OSError(38, f"cannot call {name}: this is not Linux")
    function = getattr(_LIBC, name)
    function.restype = ctypes.c_long
    return _checked(int(function(*arguments)))


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies (prctl(2))."""
    _call("prctl", _PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0)


def die_with_parent() -> None:
    """Be killed when the parent's thread that started us ends (prctl(2)); lost at setuid."""
    _call("prctl", _PR_SET_PDEATHSIG, ctypes.c_ulong(_SIGKILL), 0, 0, 0)


def leave_mounts(*, user_namespace: bool) -> None:
    """
    Enter a mount namespace of our own, where what is mounted does not show outside.

    *user_namespace* is for ordinary users: one that maps only their own user and group, which
    gives them the right to do the rest (user_namespaces(7)).
    """
    user, group = os.geteuid(), os.getegid()
    _call("unshare", ctypes.c_int(_CLONE_NEWNS | (_CLONE_NEWUSER if user_namespace else 0)))
    if user_namespace:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")
    # Slave, not private: what the machine mounts later is still seen by later commands.
    _call("mount", b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None)


def fork_apart() -> int:
    """
    Fork into new process and mount namespaces, as `os.fork` returns (clone(2)).

    The child is process 1 there. Only for a process with one thread: Python's own preparations
    for a fork are left out.
    """
    arguments = struct.pack("=8Q", _CLONE_NEWPID | _CLONE_NEWNS, 0, 0, 0, _SIGCHLD, 0, 0, 0)
    return _call("syscall", ctypes.c_long(_SYS_CLONE3), arguments, ctypes.c_size_t(len(arguments)))


def mount_processes() -> None:
    """Mount a `/proc` that shows the process namespace that we are in."""
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    _call("mount", b"proc", b"/proc", b"proc", flags, None)


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
