"""Processes of a sandbox: started, streamed to whoever is connected, and ended with it."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_CHUNK = 1 << 15


class Subscriber:
    """Who hears what a process prints; slow ones hold it up, those that left do not."""

    def __init__(self) -> None:
        self._events: queue.Queue[tuple[str, Any] | None] = queue.Queue(maxsize=64)
        self.gone = False

    def put(self, event: tuple[str, Any] | None) -> None:
        """Hand over an event; `None` is the end without one."""
        while not self.gone:
            try:
                self._events.put(event, timeout=0.05)
            except queue.Full:
                continue
            return

    def events(self) -> Iterator[tuple[str, Any] | None]:
        """Yield what comes; a silence is a `keepalive`."""
        while True:
            try:
                event = self._events.get(timeout=0.5)
            except queue.Empty:
                yield ("keepalive", None)
                continue
            yield event
            if event is None or event[0] == "end":
                return


class Process:
    """One process that was started, with those who listen to it."""

    def __init__(self, config: dict[str, Any], home: Path, *, stdin: bool) -> None:
        self.config = config
        self._lock = threading.Lock()
        self._subscribers: list[Subscriber] = []
        self._popen = subprocess.Popen(
            [config["cmd"], *config.get("args", [])],
            cwd=config.get("cwd") or home,
            env={
                "HOME": str(home),
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "USER": "user",
                **config.get("envs", {}),
            },
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.pid = self._popen.pid

    def subscribe(self) -> Subscriber:
        """Listen from now on; what was printed while nobody did is gone."""
        subscriber = Subscriber()
        with self._lock:
            self._subscribers.append(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Listen no more."""
        subscriber.gone = True
        with self._lock, contextlib.suppress(ValueError):
            self._subscribers.remove(subscriber)

    def begin(self) -> None:
        """Pass on what it prints, and then how it ended."""
        threads = [
            threading.Thread(target=self._pump, args=(name, stream), daemon=True)
            for name, stream in (("stdout", self._popen.stdout), ("stderr", self._popen.stderr))
        ]
        for thread in threads:
            thread.start()
        threading.Thread(target=self._conclude, args=(threads,), daemon=True).start()

    def _pump(self, name: str, stream: Any) -> None:
        while data := os.read(stream.fileno(), _CHUNK):
            self._publish((name, data))
        stream.close()

    def _conclude(self, threads: list[threading.Thread]) -> None:
        for thread in threads:
            thread.join()
        self._publish(("end", self._popen.wait()))

    def _publish(self, event: tuple[str, Any] | None) -> None:
        with self._lock:
            listening = list(self._subscribers)
        for subscriber in listening:
            subscriber.put(event)

    def is_running(self) -> bool:
        """Say whether it has not ended."""
        return self._popen.poll() is None

    def write(self, data: bytes) -> None:
        """Give it input."""
        assert self._popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.write(data)
            self._popen.stdin.flush()

    def close_input(self) -> None:
        """End its input."""
        if self._popen.stdin is not None:
            self._popen.stdin.close()

    def signal(self, number: int) -> None:
        """Send a signal to it, and to nothing that it started."""
        self._popen.send_signal(number)

    def vanish(self) -> None:
        """End it and everything below it, and say nothing to whoever listens."""
        with self._lock:
            listening, self._subscribers = self._subscribers, []
        if self.is_running():
            _kill_tree(self.pid)
        self._popen.wait()
        self.close_input()
        for subscriber in listening:
            subscriber.put(None)


def _kill_tree(ancestor: int) -> None:
    """Kill *ancestor* and all below; they are stopped first, so that none forks meanwhile."""
    found: list[int] = []
    fresh = [ancestor]
    while fresh:
        for process in fresh:
            _send(process, signal.SIGSTOP)
        found += fresh
        fresh = [child for child in _children(found) if child not in found]
    for process in found:
        _send(process, signal.SIGKILL)
    give_up = time.monotonic() + 10
    while any(_is_alive(process) for process in found) and time.monotonic() < give_up:
        time.sleep(0.002)


def _children(parents: list[int]) -> list[int]:
    wanted = set(parents)
    return [process for process, parent, _ in _processes() if parent in wanted]


def _is_alive(process: int) -> bool:
    return any(process == found and state != "Z" for found, _, state in _processes())


def _processes() -> Iterator[tuple[int, int, str]]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = Path("/proc", name, "stat").read_text(errors="replace")
            except OSError:
                continue
            state, parent = fields.rpartition(")")[2].split()[:2]
            yield int(name), int(parent), state


def _send(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)
