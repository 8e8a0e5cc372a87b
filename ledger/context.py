"""A run as the replaced system named it: by task, id, path and trace."""

from __future__ import annotations

from pathlib import Path

import msgspec


class RunContext(msgspec.Struct, frozen=True, kw_only=True):
    """Names a run; *run_path* is its own directory, *trace_id* whatever the caller traces it by."""

    task_id: str
    run_id: str
    run_path: Path
    trace_id: str | None = None

    @property
    def artifacts_dir(self) -> Path:
        """Where the run's declared outputs are kept."""
        return self.run_path / "artifacts"

    @property
    def journal_dir(self) -> Path:
        """Where the run's journal is kept."""
        return self.run_path / "journal"

    @property
    def journal_path(self) -> Path:
        """The run's journal."""
        return self.journal_dir / "events.jsonl"
