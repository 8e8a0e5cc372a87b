"""How fast a whole log is verified, beside reading every row and hashing it.

    python benchmarks/verify.py [--events N] [--seconds S] [--directory DIR]

Rule 1: the ledger is a real one: our own events, encoded by our own codec, appended by the store,
each run's end with its kept checkpoint. Only the many runs of one append are not how they come.
Rule 2: the floor reads the same rows with the same statement, and hashes the stored bytes once.
Rule 3: everything is measured in one run, in interleaved rounds; ratios are medians of the rounds.
"""

from __future__ import annotations

import argparse
import platform
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from eventsourcing.persistence import StoredEvent

from adapters.ed25519_signer import check_ed25519
from adapters.key_file import KeyFile
from adapters.sqlite_store import SQLiteStore, open_store
from ledger import events as e
from ledger import merkle
from ledger.codec import encode
from ledger.isolation import Isolation, Limits
from ledger.merkle import TreeHead, event_leaf
from ledger.note import format_vkey
from ledger.recorded import Provenance, Said
from ledger.verify import Wanted, verify

HAD = Isolation(
    boundary="process",
    filesystem="host",
    network="host",
    processes="own",
    limits=Limits(memory_mb=2048, output_mb=64),
    record="reachable",
)
WHO = Provenance(actor="ada", via="os_user", host="build-1", trace="e4" * 16)
