"""Reads a job file: bounded, plain YAML, checked whole before anything is opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from adapters.yaml_documents import parse_mapping, read_bounded, shown_path
from ledger.errors import JobInvalid

if TYPE_CHECKING:
    from ledger.job import Job

LARGEST = 1024 * 1024


def read_job(path: Path | str) -> Job:
    """Return the job that the file at *path* describes; raises `JobInvalid`."""
    from ledger.job import parse_job

    source = shown_path(path)

    def refuse(why: str) -> JobInvalid:
        return JobInvalid(f"cannot read job {source}: {why}")

    data = read_bounded(Path(path), LARGEST, refuse)
    return parse_job(parse_mapping(data, refuse), source=source)
