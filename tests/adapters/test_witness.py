"""Our witness and our client of witnesses, over real HTTP: what is cosigned, and what never is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from adapters.ed25519_signer import Ed25519Signer, check_ed25519
from adapters.sqlite_store import SQLiteStore, open_store
from adapters.witness_client import Asked, sync_witnesses
from adapters.witness_memory import WitnessMemory
from adapters.witness_server import WitnessServer
from ledger import merkle
from ledger.checkpoint import sign_head
from ledger.merkle import TreeHead, leaf_hash
from ledger.note import check_note, parse_note
from ledger.proofs import prove_consistency
from ledger.signing import COSIGNATURE
from ledger.witness import NOTHING, Answer, Seen, Witness
from ledger.witness_messages import format_submission, parse_conflict
from ledger.witness_policy import Group, KnownWitness, Policy
from tests.contracts.store_contract import append

LOG = Ed25519Signer("example/log", b"l" * 32)
SIGNER = Ed25519Signer("example/witness", b"w" * 32, COSIGNATURE)
LEAVES = [leaf_hash(b"%d" % number) for number in range(40)]
OTHERS = [leaf_hash(b"other %d" % number) for number in range(40)]


@pytest.fixture
def memory(tmp_path: Path) -> WitnessMemory:
    """What a witness that knows our log remembers: nothing yet."""
    found = WitnessMemory(tmp_path / "witness.db")
    found.add_log(LOG.key)
    return found


@pytest.fixture
def witness(memory: WitnessMemory) -> Witness:
    """A witness at noon."""
    return Witness(SIGNER, memory, memory.keys, check_ed25519, lambda: 1_750_000_000)


def head(size: int, leaves: list[bytes] = LEAVES, signer: Ed25519Signer = LOG) -> bytes:
    """Return the signed head of the first *size* leaves."""
    tree = merkle.extend(merkle.EMPTY, leaves[:size])
    return sign_head(tree, "example/log", [signer])


def ask(
    witness: Witness, old: int, size: int, leaves: list[bytes] = LEAVES, at: int | None = None
) -> Answer:
    """Ask for a cosignature of *size*, with the proof from *old* on (or from *at*)."""
    proof = prove_consistency(leaves, old if at is None else at, size)
    return witness.add_checkpoint(format_submission(old, proof, head(size, leaves)))


def test_a_log_that_grows_is_cosigned(witness: Witness, memory: WitnessMemory) -> None:
    """Each time with the time, and remembered."""
    for old, size in ((0, 3), (3, 8), (8, 8), (8, 40)):
        answer = ask(witness, old, size)
        assert 200 == answer.status, answer
        note = parse_note(head(size) + answer.body)
        signed = dict(check_note(note, [SIGNER.key], check_ed25519).signers)
        assert {SIGNER.key: 1_750_000_000} == signed
        assert size == memory.latest("example/log").size


def test_an_old_size_that_is_not_the_last_one_is_told_the_last_one(witness: Witness) -> None:
    """Also to who does not know it."""
    ask(witness, 0, 8)
    for old in (0, 3, 9):
        answer = ask(witness, old, 20)
        assert (409, "text/x.tlog.size") == (answer.status, answer.type)
        assert 8 == parse_conflict(answer.body)


def test_another_history_is_never_cosigned(witness: Witness, memory: WitnessMemory) -> None:
    """Neither a longer one, nor one of the same size, whatever the proof."""
    ask(witness, 0, 8)
    before = memory.latest("example/log")
    assert 422 == ask(witness, 8, 20, OTHERS).status
    assert 409 == ask(witness, 8, 8, OTHERS).status
    body = format_submission(8, [], head(20))
    assert 422 == witness.add_checkpoint(body).status
    assert 400 == witness.add_checkpoint(format_submission(9, [], head(8))).status
    assert before == memory.latest("example/log")


def test_what_nobody_known_signed_is_refused(witness: Witness) -> None:
    """An unknown log is 404, a wrong key of a known one 403, what is no request 400."""
    stranger = Ed25519Signer("example/log", b"s" * 32)
    assert 403 == witness.add_checkpoint(format_submission(0, [], head(3, signer=stranger))).status
    unknown = sign_head(merkle.EMPTY, "example/other", [stranger])
    assert 404 == witness.add_checkpoint(format_submission(0, [], unknown)).status
    for body in (b"", b"old 0\n", b"old 00\n\n" + head(3), b"old 0\nAAAA\n\n" + head(3), head(3)):
        assert 400 == witness.add_checkpoint(body).status


class Stalling:
    """A memory that lets something happen between looking and replacing."""

    def __init__(self, memory: WitnessMemory) -> None:
        self._memory = memory
        self.looked, self.go_on = threading.Event(), threading.Event()

    def latest(self, origin: str) -> Seen:
        """Look."""
        return self._memory.latest(origin)

    def advance(self, origin: str, old: Seen, new: Seen) -> bool:
        """Wait, and then replace."""
        self.looked.set()
        self.go_on.wait()
        return self._memory.advance(origin, old, new)


def test_a_request_that_was_overtaken_takes_nothing_back(
    witness: Witness, memory: WitnessMemory
) -> None:
    """Its head was checked against one that is no longer the last, and it gets no signature."""
    ask(witness, 0, 3)
    stalling = Stalling(memory)
    slow = Witness(SIGNER, stalling, memory.keys, check_ed25519, lambda: 1)
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(ask(slow, 3, 8)))
    thread.start()
    stalling.looked.wait()
    assert 200 == ask(witness, 3, 40).status
    stalling.go_on.set()
    thread.join()
    assert [(409, b"40\n")] == [(one.status, one.body) for one in answers]
    assert 40 == memory.latest("example/log").size


def test_of_many_at_once_one_replaces_a_head(memory: WitnessMemory) -> None:
    """However they race: also for the first head of all."""
    barrier, won = threading.Barrier(8), []

    def work(number: int) -> None:
        barrier.wait()
        if memory.advance("example/log", NOTHING, Seen(number, b"r" * 32)):
            won.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [memory.latest("example/log").size] == won


@pytest.fixture
def server(witness: Witness) -> Iterator[WitnessServer]:
    """The witness, on a port of its own."""
    with WitnessServer(witness, "127.0.0.1", 0) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    """A log of three events, which the witness knows."""
    with closing(open_store(tmp_path / "ledger.db", synchronous="OFF")) as found:
        found.sign_with(lambda tree: sign_head(tree, "example/log", [LOG]))
        append(found, "a", 0, 3)
        yield found


def policy(*urls: str | None) -> Policy:
    """Return a policy of our witness at each of *urls*, all but the first under other keys."""
    witnesses = [
        KnownWitness(
            f"w{number}",
            SIGNER.key if number == 0 else Ed25519Signer("x", b"%d" % number * 32, COSIGNATURE).key,
            url,
        )
        for number, url in enumerate(urls)
    ]
    group = Group("all", 1, tuple(one.name for one in witnesses))
    return Policy((), tuple(witnesses), (group,), "all")


def sync(store: SQLiteStore, *urls: str | None) -> list[str]:
    """Ask the witnesses at *urls*, and return what became of it."""
    found: list[Asked] = sync_witnesses(store, policy(*urls), check_ed25519, seconds=5)
    return [one.state for one in found]


def test_cosignatures_are_kept_with_the_head(store: SQLiteStore, server: WitnessServer) -> None:
    """Asking again is not asking; a head that has grown is proved from where the witness is."""
    assert ["cosigned"] == sync(store, server.url)
    assert ["already"] == sync(store, f"{server.url}/")
    append(store, "a", 3, 6)
    assert ["cosigned"] == sync(store, server.url)
    for size in (3, 9):
        note = store.checkpoint(size)
        assert note is not None
        signers = check_note(parse_note(note), [LOG.key, SIGNER.key], check_ed25519).signers
        assert [LOG.key, SIGNER.key] == [key for key, _ in signers]


def test_a_witness_that_cannot_answer_is_a_line_of_the_report(
    store: SQLiteStore, server: WitnessServer
) -> None:
    """Those that can, cosign all the same."""
    down = "http://127.0.0.1:1"
    assert ["cosigned", "unreachable", "no_url", "refused"] == sync(
        store, server.url, down, None, server.url
    )


def test_a_witness_that_saw_another_history_says_so(
    store: SQLiteStore, server: WitnessServer, witness: Witness
) -> None:
    """Whether it is longer, as long, or shorter than ours: this log has diverged."""
    ask(witness, 0, 40)
    assert ["diverged"] == sync(store, server.url)
    for size in (3, 2):
        other = WitnessMemory(Path(f"{store.connections.path}.{size}"))
        other.add_log(LOG.key)
        server.witness = Witness(SIGNER, other, other.keys, check_ed25519, lambda: 1)
        ask(server.witness, 0, size)
        assert ["diverged"] == sync(store, server.url)


def test_the_server_is_bounded(server: WitnessServer) -> None:
    """Other paths, no length and too much are answered at once."""
    host, port = server.server_address[:2]
    for path, headers, status in (
        ("/", {"Content-Length": "0"}, 404),
        ("/add-checkpoint", {"Content-Length": "9999999"}, 413),
        ("/add-checkpoint", {"Transfer-Encoding": "chunked"}, 411),
    ):
        with closing(HTTPConnection(str(host), port, timeout=5)) as connection:
            connection.putrequest("POST", path)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            assert status == connection.getresponse().status


def test_a_head_of_nothing_can_be_cosigned_and_grown(
    witness: Witness, memory: WitnessMemory
) -> None:
    """The empty log is a log too."""
    assert 200 == ask(witness, 0, 0).status
    assert 200 == ask(witness, 0, 3).status
    assert 3 == memory.latest("example/log").size
    assert TreeHead(0, ()) == merkle.EMPTY
