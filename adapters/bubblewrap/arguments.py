"""The command line of bwrap: namespaces, what is mounted where, and what is dropped (bwrap(1)).

Rule 1: safe for root too. A user namespace of its own, no capability, and `/proc` read-only:
root's files below `/proc/sys` can otherwise be written without any capability.
Rule 2: of `/etc` single files are shown, never the directory.
Rule 3: order matters: what is mounted later covers what was mounted there before.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from adapters.bubblewrap.view import SYSTEM, View
from ledger.isolation import Filesystem, Network

# What programs look up there, and everybody may read. It is short on purpose: bwrap reads the
# whole table of mounts again for each.
_ETC = (
    "alternatives", "crypto-policies", "fonts", "group", "hosts", "ld.so.cache", "localtime",
    "mime.types", "nsswitch.conf", "os-release", "passwd", "pki/ca-trust/extracted",
    "pki/tls/certs", "pki/tls/openssl.cnf", "protocols", "services", "ssl/certs",
    "ssl/openssl.cnf",
)  # fmt: skip
_ETC_WITH_VERSION = "java-"
_ETC_WITH_NETWORK = ("resolv.conf",)
_USER_WITHIN_ROOT = 1000
_STARTER = str(Path(__file__).with_name("starter.py").resolve())
_STARTER_INSIDE = "/run/gesta/starter.py"


def bubblewrap_arguments(
    view: View,
    kept: Sequence[str],
    *,
    filesystem: Filesystem,
    network: Network,
    terminal: bool,
    nested_users: bool,
) -> list[str]:
    """
    Return bwrap's options and the starter's command line, for a command that sees *view*.

    *kept* are paths in the workspace that stay read-only. *terminal*: one is handed over, so the
    command stays in its session. *nested_users*: this bwrap cannot forbid user namespaces inside.
    """
    user = os.geteuid() or _USER_WITHIN_ROOT
    group = os.getegid() or _USER_WITHIN_ROOT
    options = ["--unshare-user", "--uid", str(user), "--gid", str(group)]
    options += ["--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"]
    options += ["--unshare-net"] if network == "none" else []
    options += [] if nested_users else ["--disable-userns"]
    options += ["--cap-drop", "ALL", "--die-with-parent", "--as-pid-1", "--clearenv"]
    options += [] if terminal else ["--new-session"]
    if filesystem == "host":
        return [*options, *_whole_machine(view, kept), "--chdir", "/", "--", *_starter(_STARTER)]
    return [
        *options,
        *_chosen(view, kept, network),
        "--chdir",
        "/",
        "--",
        *_starter(_STARTER_INSIDE),
    ]


def _starter(file: str) -> list[str]:
    return [os.path.realpath(sys.executable), "-I", "-S", file]


def _chosen(view: View, kept: Sequence[str], network: Network) -> Iterator[str]:
    yield from _system()
    yield from _etc(network)
    yield from (
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--dir",
        "/run",
        "--symlink",
        "/run",
        "/var/run",
    )
    yield from ("--ro-bind", _STARTER, _STARTER_INSIDE)
    for path in view.fresh:
        # A user's own directory is the user's, like in real life.
        yield from ("--perms", "1777" if path.endswith("tmp") else "0700", "--tmpfs", path)
    for path in view.read_only:
        yield from ("--ro-bind", path, path)
    for link, target in view.links:
        yield from ("--symlink", target, link)
    for path in view.masked:
        yield from ("--tmpfs", path)
    yield from _workspace(view, kept)
    yield from ("--remount-ro", "/proc", "--remount-ro", "/")


def _whole_machine(view: View, kept: Sequence[str]) -> Iterator[str]:
    yield from ("--bind", "/", "/", "--proc", "/proc", "--dev", "/dev")
    yield from _workspace(view, kept)
    yield from ("--remount-ro", "/proc")


def _workspace(view: View, kept: Sequence[str]) -> Iterator[str]:
    for path in view.writable:
        yield from ("--bind", path, path)
    for path in kept:
        yield from ("--ro-bind", path, path)


def _system() -> Iterator[str]:
    """Show the system's programs and libraries, merged below `/usr` or not."""
    for path in SYSTEM:
        if os.path.islink(path):
            yield from ("--symlink", os.readlink(path), path)
        elif os.path.isdir(path):
            yield from ("--ro-bind", path, path)


def _etc(network: Network) -> Iterator[str]:
    names = list(_ETC) + (list(_ETC_WITH_NETWORK) if network == "host" else [])
    names += [name for name in os.listdir("/etc") if name.startswith(_ETC_WITH_VERSION)]
    for name in sorted(names):
        path = Path("/etc", name)
        if not path.exists():
            continue
        if path.is_symlink() and str(path.resolve()).startswith("/usr/"):
            # As a link it also says what it leads to: the name of a time zone.
            yield from ("--symlink", os.readlink(path), str(path))
        elif os.access(path, os.R_OK):
            yield from ("--ro-bind", str(path), str(path))
    yield from ("--symlink", "/proc/self/mounts", "/etc/mtab")
