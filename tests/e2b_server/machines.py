"""The sandboxes of the test server: a directory each, with processes and an end."""

from __future__ import annotations

import datetime
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.e2b_server.processes import Process

ENVD_VERSION = "0.6.13"


class Machine:
    """One sandbox: *body* is what it was created with."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.id = "i" + secrets.token_hex(10)
        self.body = body
        self.token = secrets.token_hex(16)
        self.root = Path(tempfile.mkdtemp(prefix="e2b-"))
        self.home = self.root / "home" / "user"
        self.home.mkdir(parents=True)
        self.paused = False
        self.alive = True
        self.began = time.time()
        self.ends = self.began
        self.processes: dict[int, Process] = {}
        self.at_end: list[Callable[[], None]] = []
        self._timer: threading.Timer | None = None
        self.extend(body.get("timeout", 300))

    def extend(self, seconds: float) -> None:
        """Let it live so many seconds from now."""
        self.ends = time.time() + seconds
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(seconds, self.end)
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        """End it as an expiry or a kill does: without a word to those who are connected."""
        self.alive = False
        if self._timer is not None:
            self._timer.cancel()
        for process in list(self.processes.values()):
            process.vanish()
        for end in self.at_end:
            end()
        shutil.rmtree(self.root, ignore_errors=True)

    def path(self, text: str) -> Path:
        """Return the file that a path of the files interface means."""
        if text.startswith("~/"):
            text = text[2:]
        if text.startswith("/home/user"):
            return self.root / text[1:]
        return self.home / text

    def described(self, memory_mb: int) -> dict[str, Any]:
        """Return what the provider says about it."""
        return {
            "templateID": self.body["templateID"],
            "sandboxID": self.id,
            "clientID": "test",
            "envdVersion": ENVD_VERSION,
            "startedAt": _time(self.began),
            "endAt": _time(self.ends),
            "cpuCount": 2,
            "memoryMB": memory_mb,
            "diskSizeMB": 1024,
            "state": "paused" if self.paused else "running",
            "metadata": self.body.get("metadata", {}),
        }

    def handed_over(self) -> dict[str, Any]:
        """Return what whoever creates or connects gets."""
        return {
            "templateID": self.body["templateID"],
            "sandboxID": self.id,
            "clientID": "test",
            "envdVersion": ENVD_VERSION,
            "envdAccessToken": self.token,
            "domain": None,
            "trafficAccessToken": None,
        }


class Machines:
    """All of them, also those that have ended; *profile* is what their login shells read."""

    def __init__(self) -> None:
        self.profile = ""
        self._lock = threading.Lock()
        self._all: dict[str, Machine] = {}
        self._by_key: dict[str, Machine] = {}

    def create(self, body: dict[str, Any], key: str | None) -> Machine:
        """Make one, or return the one that the same idempotency key made."""
        with self._lock:
            if key is not None and key in self._by_key:
                return self._by_key[key]
            machine = Machine(body)
            (machine.home / ".profile").write_text(self.profile)
            self._all[machine.id] = machine
            if key is not None:
                self._by_key[key] = machine
            return machine

    def find(self, name: str) -> Machine | None:
        """Return the living one of this id."""
        machine = self._all.get(name)
        return machine if machine is not None and machine.alive else None

    def living(self) -> list[Machine]:
        """Return those that have not ended, oldest first."""
        return [machine for machine in self._all.values() if machine.alive]

    def end(self, machines: Iterable[Machine] | None = None) -> None:
        """End *machines*, or all."""
        for machine in list(self._all.values()) if machines is None else machines:
            machine.end()


def _time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()
