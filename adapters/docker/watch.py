"""A process of ours that removes a run's containers if we are killed.

It waits for the end of its standard input, which we hold open as long as we live. It is out of
reach of the containers, and of ^C.

Rule: only what carries all of the run's labels is removed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_PROGRAM = str(Path(__file__).with_name("watcher.py"))
_DISMISSED_S = 10.0


class Watch:
    """Watches over the containers that carry *labels*, at the service on *address*."""

    def __init__(self, address: str, labels: Mapping[str, str]) -> None:
        self.labels = dict(labels)
        words = [f"{name}={value}" for name, value in labels.items()]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", _PROGRAM, address.removeprefix("unix://"), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """End the watcher: there is nothing left to watch over."""
        self._process.kill()
        try:
            self._process.communicate(timeout=_DISMISSED_S)
        except subprocess.TimeoutExpired:
            # A killed process that the kernel does not let end touches nothing any more.
            return
