"""The program of `watch`: `watcher.py SOCKET LABEL=VALUE...`, run by itself.

Rule 1: the standard library only: it starts with every run and has to start fast.
Rule 2: it asks until it has twice found nothing: what was asked for last may still be in the
making.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import time
import urllib.parse

_PAUSE_S = 1.0
_PATIENCE_S = 60.0


class Connection(http.client.HTTPConnection):
    """HTTP over the socket file at *path*."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def main() -> None:
    """Wait for the end of the input, then remove the containers."""
    path, labels = sys.argv[1], sys.argv[2:]
    while os.read(0, 1):
        pass
    quiet = 0
    give_up = time.monotonic() + _PATIENCE_S
    while quiet < 2 and time.monotonic() < give_up:
        try:
            found = remove_all(path, labels)
        except (OSError, ValueError, http.client.HTTPException):
            found = 1
        quiet = 0 if found else quiet + 1
        time.sleep(_PAUSE_S)


def remove_all(path: str, labels: list[str]) -> int:
    """Remove the containers with all these *labels*; return how many there were."""
    query = urllib.parse.urlencode({"all": 1, "filters": json.dumps({"label": labels})})
    found = json.loads(ask(path, "GET", f"/containers/json?{query}"))
    for one in found:
        ask(path, "DELETE", f"/containers/{one['Id']}?force=1&v=1")
    return len(found)


def ask(path: str, method: str, where: str) -> bytes:
    """Return the body of the service's answer."""
    connection = Connection(path)
    try:
        connection.request(method, where)
        return connection.getresponse().read()
    finally:
        connection.close()


if __name__ == "__main__":
    main()
