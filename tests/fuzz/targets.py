"""Every parser of what others write: a name, what it is fed with, and what it may raise.

Rule: a new parser is one line in `TARGETS`. What it raises for bad input is an error of ours, or
of its documented kind; anything else is a defect.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from adapters.backup.archive import FORMAT, Manifest, read_manifest, read_members
from adapters.cli.harmless import harmless, harmless_bytes, harmless_json, harmless_lines
from adapters.cli.times import parse_time
from adapters.e2b.errors import E2BError
from adapters.e2b.frames import Frames
from adapters.e2b.request import decode_result
from adapters.ed25519_signer import check_ed25519, make_signer, parse_signer
from adapters.git.marker import Marker, read_marker, write_marker
from adapters.legacy_journal import JournalFile, parse_line
from adapters.locks import FlockRunLock
from adapters.spool import SpoolFiles
from adapters.verify_state import read_state
from adapters.yaml_documents import parse_mapping
from ledger.blob_names import blob_names
from ledger.checkpoint import open_checkpoint, read_checkpoint, sign_head
from ledger.codec import TOPICS, decode_facts
from ledger.dsse import parse_public_key
from ledger.errors import GestaError, JobInvalid, PolicyInvalid
from ledger.ids import check_id
from ledger.job import parse_job
from ledger.merkle import TreeHead, parse_head
from ledger.note import format_vkey, open_note, parse_note, parse_vkey
from ledger.outcomes import Captured, Executed, Output, Usage
from ledger.policy import parse_policy as parse_rules
from ledger.recorded import Provenance
from ledger.spool import Spooled
from ledger.statement import read_byproducts
from ledger.tiles import parse_entry_bundle, parse_hash_tile, parse_tile_path
from ledger.tlog_proof import parse_tlog_proof
from ledger.upcast import STEPS
from ledger.witness_messages import parse_conflict, parse_submission
from ledger.witness_policy import parse_policy

SIGNER = make_signer("example/log")
NOTE = sign_head(TreeHead(1, (b"\x01" * 32,)), "example/log", [SIGNER])
VECTORS = Path(__file__).parents[1] / "vectors"


class Target(msgspec.Struct, frozen=True):
    """A parser: what it is called with, inputs that are right, and what it may *raise*."""

    parse: Callable[[bytes], object]
    seeds: tuple[bytes, ...] = ()
    raises: tuple[type[Exception], ...] = (GestaError,)


def text_of(data: bytes) -> str:
    """Return bytes as the operating system hands text in, surrogates included (PEP 383)."""
    return data.decode("utf-8", "surrogateescape")


def job(data: bytes) -> object:
    """Read a job file's content."""
    return parse_job(parse_mapping(data, JobInvalid), source="job.yaml")


def profile(data: bytes) -> object:
    """Read a profile's content."""
    document = parse_mapping(data, PolicyInvalid)
    return parse_rules(document, profile="p", source="p.yaml")


def unstructured_job(data: bytes) -> object:
    """Read a job that came as JSON: any value at all where a mapping should be."""
    return parse_job(json.loads(data.decode("utf-8", "replace")), source="job")


def made_harmless(data: bytes) -> None:
    """Make anything harmless, and see that it is."""
    text = text_of(data)
    whole = "".join(harmless_bytes([data[:7], data[7:]]))
    for made in (harmless(text), harmless_lines(text), whole):
        assert all(char.isprintable() or char in "\n\t" for char in made), ascii(made)
    assert harmless_json(json.dumps(text, ensure_ascii=False)).isprintable()


def archive(data: bytes) -> None:
    """Read all members of a backup."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        members = read_members(file)
        read_manifest(members)
        for member in members:
            assert member.size == sum(map(len, member.chunks))


def saved_state(data: bytes) -> object:
    """Read what `gesta verify --save` wrote."""
    descriptor, name = tempfile.mkstemp()
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        return read_state(Path(name))
    finally:
        os.unlink(name)


def journal(data: bytes) -> list[object]:
    """Read a journal of the replaced system as a file."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        return list(JournalFile(Path(file.name)).lines())


def spooled(data: bytes) -> None:
    """Read an outcome that was kept beside the store, and see that it is read or told of."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "s-c1.json").write_bytes(data)
        spool = SpoolFiles(Path(directory))
        assert 1 == len(spool.kept("s")) + len(spool.damaged())


def hint(data: bytes) -> None:
    """Take the lock of a run whose lock file says anything."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "s.lock").write_bytes(data)
        with FlockRunLock(Path(directory)).hold("s"):
            pass


def marker(data: bytes) -> object:
    """Read what a workspace's scratch directory says of it."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "workspace.json").write_bytes(data)
        return read_marker(Path(directory))


def frames(data: bytes) -> None:
    """Take in what a machine of E2B prints, in two pieces."""
    reader = Frames()
    text = data.decode("utf-8", "replace")
    try:
        for piece in (text[: len(text) // 2], text[len(text) // 2 :]):
            reader._put(piece)
            list(reader.take())
    finally:
        reader.close(0)


def facts(data: bytes) -> None:
    """Decode stored facts under each of the names that there are."""
    for topic in (*TOPICS, *STEPS):
        try:
            decode_facts(topic, data)
        except msgspec.DecodeError:
            continue


def evidence(data: bytes) -> object:
    """Verify a file of evidence with the program that others get."""
    program = verifier()
    policy = program.Policy()
    policy.parse(f"log {format_vkey(SIGNER.key)}\nquorum none\n")
    return program.verify(data, policy, None)


@cache
def verifier() -> ModuleType:
    """Return the program that verifies evidence, which is a file and no package."""
    import importlib.util

    path = Path(__file__).parents[2] / "verifier" / "gesta_verify.py"
    spec = importlib.util.spec_from_file_location("gesta_verify", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sample_marker() -> bytes:
    """Return a marker as it is written."""
    with tempfile.TemporaryDirectory() as directory:
        write_marker(Path(directory), Marker(kind="clone", path="/w\udcff", branch="b"))
        return (Path(directory) / "workspace.json").read_bytes()


def sample_archive() -> bytes:
    """Return an archive whose form is right, so that all its members are read."""
    manifest = Manifest(
        format=FORMAT, ledger="l", home="h", store=2, taken=1, size=1, root="r", note=None,
        files=(), blobs=0, missing=(),
    )  # fmt: skip
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in (
            ("gesta-backup.json", msgspec.json.encode(manifest)),
            ("ledger.db", b"x" * 600),
            ("blobs/sha256/ab/" + "c" * 62, b"y"),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


JOB = b"task: T-1\nsteps:\n  - {name: a, run: [a, 'b']}\n  - name: b\n    shell: |\n      x\n"
PROFILE = b"sandbox: {type: local, limits: {memory_mb: 1}}\nexec: {allowlist: [git], env: [A]}\n"
VKEY = format_vkey(SIGNER.key).encode()
ROOT = b"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
PROOF = b"c2sp.org/tlog-proof@v1\nindex 0\n" + ROOT + b"\n\n" + NOTE
POLICY = b"log " + VKEY + b"\nwitness w " + VKEY + b"\ngroup g 1 w\nquorum g\n"
FACTS = tuple(
    one["facts"].encode() for one in json.loads((VECTORS / "events.json").read_text())[::8]
)
NONE = Captured(0, None, truncated=False)
SPOOLED = msgspec.json.encode(
    Spooled(
        stream="s", command="c1", cause="0", occurred=1,
        who=Provenance(actor="a", via="os_user", host="h", trace="0"),
        outcome=Executed(exit_code=3, usage=Usage(duration_us=5)),
        output=Output(stdout=NONE, stderr=NONE, rule_set="0"),
    )
)  # fmt: skip
RESULT = b'{"kind":"ended","left":[1],"changes":"out-1.tar.gz","trouble":null,"exit_code":0}'
LINE = b'{"timestamp":"2026","event_type":"A","trace_id":"t","payload":{"a":["\\u00e9"]},"x":1}\n'
ANY: tuple[type[Exception], ...] = (GestaError, ValueError)

TARGETS: dict[str, Target] = {
    "job file": Target(job, (JOB,)),
    "job as JSON": Target(
        unstructured_job,
        (b'{"task": "T", "steps": [{"name": "a", "run": ["a"]}]}',),
        (*ANY, RecursionError),
    ),
    "policy": Target(profile, (PROFILE,)),
    "harmless": Target(made_harmless, (b"\x1b]0;x\x07\xe2\x80\xae\xff",)),
    "note": Target(parse_note, (NOTE,)),
    "note, opened": Target(lambda data: open_note(data, [SIGNER.key], check_ed25519), (NOTE,)),
    "checkpoint": Target(read_checkpoint, (NOTE,)),
    "checkpoint, opened": Target(
        lambda data: open_checkpoint(data, [SIGNER.key], check_ed25519), (NOTE,)
    ),
    "vkey": Target(lambda data: parse_vkey(text_of(data)), (VKEY,)),
    "signing key": Target(lambda data: parse_signer(text_of(data)), (SIGNER.text().encode(),)),
    "public key": Target(lambda data: parse_public_key(text_of(data)), (b"-----BEGIN PUBLIC KEY",)),
    "tlog-proof": Target(parse_tlog_proof, (PROOF,)),
    "tile path": Target(
        lambda data: parse_tile_path(text_of(data)), (b"tile/0/x001/234.p/5", b"tile/entries/000")
    ),
    "hash tile": Target(parse_hash_tile, (bytes(32 * 256),)),
    "entry bundle": Target(lambda data: parse_entry_bundle(data, 2), (b"\0\1a\0\2bc",)),
    "witness policy": Target(parse_policy, (POLICY,)),
    "witness submission": Target(parse_submission, (b"old 0\n\n" + NOTE,)),
    "witness conflict": Target(parse_conflict, (b"7\n",)),
    "statement": Target(lambda data: read_byproducts(text_of(data)), (b'{"predicate": {}}',)),
    "saved state": Target(saved_state, (b'{"origin":"o","size":0,"root":"","edge":"","keys":[]}',)),
    "tree head": Target(lambda data: parse_head(len(data) % 9, data), (bytes(32),), ANY),
    "evidence": Target(
        evidence, (b'{"bundle": {}}',), (verifier().Invalid, verifier().Usage, verifier().Diverged)
    ),
    "facts": Target(facts, FACTS),
    "blob names": Target(
        lambda data: list(blob_names(data)),
        (b'{"a":[{"sha256":"x","size":1}]}',),
        (msgspec.DecodeError,),
    ),
    "task id": Target(lambda data: check_id("task", text_of(data)), (b"T-1",)),
    "time flag": Target(
        lambda data: parse_time(text_of(data)), (b"2h", b"2026-01-01"), (ValueError,)
    ),
    "journal line": Target(lambda data: parse_line(1, data), (LINE,)),
    "journal": Target(journal, (LINE, LINE + b"\n" + LINE)),
    "spooled outcome": Target(spooled, (SPOOLED,)),
    "hint of a lock": Target(hint, (b'{"pid":1,"started":1,"boot":"b","processes":[]}',)),
    "marker of a workspace": Target(marker, (sample_marker(),)),
    "result of E2B": Target(decode_result, (RESULT,), (E2BError,)),
    "backup archive": Target(archive, (sample_archive(),)),
    "frames of E2B": Target(frames, (b"1 o aGVsbG8=\n2 w 5\n",), (E2BError,)),
}


def parse(name: str, data: bytes) -> Any:
    """Parse *data*; what the parser may raise is no defect."""
    target = TARGETS[name]
    try:
        return target.parse(data)
    except target.raises:
        return None
