"""What is kept of a command's streams while they run: the first bytes, the rest counted.

Rule: the caller sees every byte as it comes; the store keeps up to the policy's limit.
"""

from __future__ import annotations

from collections.abc import Callable

from ledger.outcomes import Blob, Captured, Output
from ledger.ports import BlobSink, BlobStore

Live = Callable[[bytes], None]


class Capture:
    """The streams of one command. *limit* is in bytes, of each stream."""

    def __init__(
        self, blobs: BlobStore, limit: int | None, stdout: Live | None, stderr: Live | None
    ) -> None:
        self._stdout = blobs.sink(limit)
        self._stderr = blobs.sink(limit)
        self._stdin = blobs.sink(limit)
        self._kept_stdin = False
        self.stdout = _tee(self._stdout, stdout)
        self.stderr = _tee(self._stderr, stderr)

    def stdin(self, data: bytes) -> None:
        """Keep what the command was given to read."""
        self._kept_stdin = True
        self._stdin.write(data)

    def finish(self) -> Output:
        """Make what was kept durable, or hand it back as rows, and say what it is."""
        stdin: Captured | None = self._stdin.finish() if self._kept_stdin else None
        return Output(stdout=self._stdout.finish(), stderr=self._stderr.finish(), stdin=stdin)

    def discard(self) -> None:
        """Forget everything."""
        for sink in (self._stdout, self._stderr, self._stdin):
            sink.discard()


def blobs_of(output: Output) -> list[Blob]:
    """Return the blobs that an event naming *output* needs stored with it."""
    streams = (output.stdout, output.stderr, output.stdin)
    return [stream.blob for stream in streams if stream and stream.blob]


def _tee(sink: BlobSink, live: Live | None) -> Live:
    if live is None:
        return sink.write

    def write(data: bytes) -> None:
        sink.write(data)
        live(data)

    return write
