"""The events of a cell of code, written out whole, like those of `samples`."""

from __future__ import annotations

from ledger import events as e
from ledger.events import BlobName, Event
from ledger.isolation import Isolation, Limits

HAD = Isolation(
    boundary="machine",
    filesystem="workspace",
    network="none",
    processes="own",
    limits=Limits(memory_mb=2048, processes=256, output_mb=64),
    record="out_of_reach",
)

CELLS: dict[str, Event] = {
    "command requested, a cell": e.CommandRequested(
        command="c3",
        form="cell",
        sandbox=1,
        may_fail=False,
        uid=1000,
        stdin="none",
        time_limit=None,
        asked=HAD,
        had=HAD,
        redactions={"aws_access_key_id": 1},
        private=e.CommandText(
            argv=("python",),
            cwd="/w/T-1",
            language="python",
            source=BlobName("cd" * 32, 12),
            rule_set="ef" * 32,
        ),
    ),
    "command executed, a cell with results": e.CommandExecuted(
        command="c3",
        exit_code=1,
        signal=None,
        killed_by_memory_limit=False,
        duration_us=1_000,
        private=e.StreamsText(
            results=(
                e.ResultName("main", "text/plain", BlobName("a1" * 32, 2), redactions={"jwt": 1}),
                e.ResultName("display", "image/png", BlobName("a2" * 32, 8), truncated=True),
                e.ResultName("error", "text/plain", BlobName("a3" * 32, 90)),
            ),
            rule_set="ef" * 32,
        ),
    ),
}
