"""What is kept of a command's streams while they run: the first bytes, the rest counted.

Rule 1: the caller sees every byte as it comes; the store keeps up to the policy's limit.
Rule 2: secrets are taken out before anything is kept.
Rule 3: what the disk has no room for is cut off like what is too long, and the command goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ledger.errors import StoreUnavailable
from ledger.outcomes import Blob, Captured, Output
from ledger.ports import BlobSink, BlobStore
from ledger.redaction import RedactingStream, Redactor

Live = Callable[[bytes], None]


class _Stream:
    """
    One stream: shown as it is, kept without its secrets.

    One that is *dispensable* goes on where the disk has no room for it.
    """

    def __init__(
        self,
        sink: BlobSink,
        redaction: RedactingStream,
        live: Live | None,
        *,
        dispensable: bool,
    ) -> None:
        self._dispensable = dispensable
        self._sink: BlobSink | None = sink
        self._redaction = redaction
        self._live = live
        self._total = 0

    def write(self, data: bytes) -> None:
        self._total += len(data)
        clean = self._redaction.feed(data)
        try:
            if self._sink is not None:
                self._sink.write(clean)
        except StoreUnavailable:
            # No room for it is no reason to end a command: how it ends can still be recorded.
            self._do_without()
        if self._live is not None:
            self._live(data)

    def finish(self) -> Captured:
        clean = self._redaction.finish()
        counts = dict(self._redaction.counts)
        try:
            if self._sink is not None:
                self._sink.write(clean)
                kept = self._sink.finish()
                return Captured(self._total, kept.blob, kept.truncated, counts)
        except StoreUnavailable:
            self._do_without()
        return Captured(self._total, None, self._total > 0, counts)

    def _do_without(self) -> None:
        self.discard()
        if not self._dispensable:
            raise  # noqa: PLE0704  # it is called where the failure is caught

    def discard(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.discard()


class Capture:
    """The streams of one command. *limit* is in bytes, of each stream."""

    def __init__(
        self,
        blobs: BlobStore,
        redactor: Redactor,
        limit: int | None,
        stdout: Live | None,
        stderr: Live | None,
    ) -> None:
        self._rule_set = redactor.digest
        self._stdout, self._stderr, self._stdin = (
            _Stream(blobs.sink(limit), redactor.stream(), live, dispensable=True)
            for live in (stdout, stderr, None)
        )
        self._kept_stdin = False
        self.stdout = self._stdout.write
        self.stderr = self._stderr.write

    def stdin(self, data: bytes) -> None:
        """Keep what the command was given to read."""
        self._kept_stdin = True
        self._stdin.write(data)

    def finish(self) -> Output:
        """Make what was kept durable, or hand it back as rows, and say what it is."""
        return Output(
            stdout=self._stdout.finish(),
            stderr=self._stderr.finish(),
            stdin=self._stdin.finish() if self._kept_stdin else None,
            rule_set=self._rule_set,
        )

    def discard(self) -> None:
        """Forget everything."""
        for stream in (self._stdout, self._stderr, self._stdin):
            stream.discard()


def store_clean(
    blobs: BlobStore, redactor: Redactor, chunks: Iterable[bytes]
) -> tuple[Blob, dict[str, int]]:
    """Store *chunks* without their secrets; return the blob, and what was taken out by rule."""
    stream = _Stream(blobs.sink(), redactor.stream(), None, dispensable=False)
    for chunk in chunks:
        stream.write(chunk)
    captured = stream.finish()
    return captured.blob or blobs.put(b""), captured.redactions


def blobs_of(output: Output) -> list[Blob]:
    """Return the blobs that an event naming *output* needs stored with it."""
    streams = (output.stdout, output.stderr, output.stdin)
    return [stream.blob for stream in streams if stream and stream.blob]
