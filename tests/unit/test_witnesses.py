"""Cosignatures: what a witness signs, what it refuses, and what is made of a note that has them."""

from __future__ import annotations

import hashlib
import stat
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

import ledger
from ledger import DivergedError, InvalidCursorError, StorageError, UnprovenError
from ledger.evidence.notes import NOTE_BYTES_MAX
from ledger.evidence.paths import consistency_ranges, roots_of
from ledger.evidence.proofs import ConsistencyProof
from ledger.evidence.tree_heads import EMPTY_ROOT, TreeHead

ORIGIN = "example.com/orders"
WITNESS = "example.net/ines"
AT = datetime(2026, 11, 24, 2, 13, 7, tzinfo=UTC)

SIGNER = ledger.SigningKey(ORIGIN, bytes(31) + b"\1")


def leaves(history: bytes, count: int) -> list[tuple[int, bytes]]:
    return [(n, hashlib.sha256(history + bytes([n])).digest()) for n in range(1, count + 1)]


def note_of(count: int, history: bytes = b"a", origin: str = ORIGIN) -> str:
    [root] = roots_of(leaves(history, count), [(0, count)]) if count else [EMPTY_ROOT]
    return ledger.SigningKey(origin, SIGNER.seed).sign(TreeHead(origin, count, root).text)


def growth(old: int, count: int, history: bytes = b"a") -> str:
    path = tuple(roots_of(leaves(history, count), consistency_ranges(old, count)))
    return ConsistencyProof(old=old, path=path, note=note_of(count, history)).text


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    ledger.make_witness(tmp_path / "witness", WITNESS)
    return tmp_path / "witness"


@pytest.fixture
def witness(key_file: Path) -> ledger.WitnessKey:
    return ledger.CosigningKey.parse(key_file.read_text()).verifier


def cosign(key_file: Path, text: str, at: datetime = AT) -> str:
    return ledger.cosign(key_file, text, [SIGNER.verifier], at=at)


def test_a_cosignature_is_what_the_format_says(key_file: Path, witness: ledger.WitnessKey) -> None:
    note = note_of(3)
    cosigned = cosign(key_file, note)
    assert cosigned.startswith(note)
    [line] = cosigned.removeprefix(note).splitlines()
    dash, name, signature = line.split(" ")
    assert (dash, name) == ("—", WITNESS)
    data = b64decode(signature)
    # Made by hand, from what the format says.
    seed = b64decode(key_file.read_text().strip().split("+", 4)[4])
    assert seed[:1] == b"\4"
    private = Ed25519PrivateKey.from_private_bytes(seed[1:])
    public = private.public_key().public_bytes_raw()
    key_id = hashlib.sha256(WITNESS.encode() + b"\n\4" + public).digest()[:4]
    seconds = int(AT.timestamp())
    text = note.partition("\n\n")[0] + "\n"
    message = f"cosignature/v1\ntime {seconds}\n{text}".encode()
    assert data == key_id + seconds.to_bytes(8, "big") + private.sign(message)
    assert witness.text == f"{WITNESS}+{key_id.hex()}+{b64encode(bytes([4]) + public).decode()}"
    assert ledger.cosignatures(cosigned, [witness]) == (ledger.Cosignature(WITNESS, AT),)
    # It stays a note of the ledger.
    assert TreeHead.opened(cosigned, [SIGNER.verifier]).entries == 3


def test_a_key_of_one_kind_is_none_of_the_other(witness: ledger.WitnessKey) -> None:
    with pytest.raises(InvalidCursorError, match="kind 4"):
        ledger.VerifierKey.parse(witness.text)
    with pytest.raises(InvalidCursorError, match="kind 1"):
        ledger.WitnessKey.parse(SIGNER.verifier.text)
    with pytest.raises(InvalidCursorError, match="kind 1"):
        ledger.CosigningKey.parse(SIGNER.text)
    # Under one name, with one key: a cosignature signs nothing for the ledger.
    own = ledger.CosigningKey(ORIGIN, SIGNER.seed)
    head, _, _ = note_of(3).partition("\n\n")
    alone = f"{head}\n\n{own.line(head + chr(10), AT)}"
    with pytest.raises(UnprovenError, match="not by"):
        TreeHead.opened(alone, [SIGNER.verifier])
    assert ledger.cosignatures(note_of(3), [own.verifier]) == ()


def test_a_witness_cosigns_what_continues_what_it_has_cosigned(
    key_file: Path, witness: ledger.WitnessKey
) -> None:
    cosign(key_file, note_of(3))
    later = AT + timedelta(days=1)
    for text in (growth(3, 8), note_of(8), growth(8, 8)):
        [found] = ledger.cosignatures(cosign(key_file, text, later), [witness])
        assert found.at == later
    state = key_file.with_name("witness.signed")
    assert TreeHead.unverified(state.read_text()).entries == 8
    assert stat.S_IMODE(state.stat().st_mode) == 0o600


def test_a_cosignature_takes_the_place_of_the_older_one(
    key_file: Path, witness: ledger.WitnessKey
) -> None:
    once = cosign(key_file, note_of(3))
    twice = cosign(key_file, once, AT + timedelta(seconds=1))
    assert twice.count(WITNESS) == 1
    assert ledger.cosignatures(twice, [witness])[0].at == AT + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        (note_of(3, b"b"), DivergedError, "another history"),
        (growth(3, 8, b"b"), DivergedError, "another history"),
        (growth(3, 8).replace("old 3", "old 2"), UnprovenError, "begins at 2"),
        (growth(2, 8), UnprovenError, "begins at 2"),
        (note_of(8), UnprovenError, "proof --consistency"),
        (note_of(2), UnprovenError, "newer"),
        (note_of(3, origin="example.com/other"), UnprovenError, "not by"),
        ("nonsense", UnprovenError, "not a signed note"),
        ("old 3\nnonsense", UnprovenError, "not a proof"),
        (growth(3, 8).replace(ORIGIN, "example.com/other"), UnprovenError, "not by"),
    ],
)
def test_anything_else_is_refused_and_leaves_no_trace(
    key_file: Path, text: str, error: type[Exception], said: str
) -> None:
    cosign(key_file, note_of(3))
    state = key_file.with_name("witness.signed")
    before = state.read_bytes()
    with pytest.raises(error, match=said):
        cosign(key_file, text)
    assert state.read_bytes() == before


def test_a_key_watches_one_ledger(key_file: Path) -> None:
    cosign(key_file, note_of(3))
    other = ledger.SigningKey("example.com/other", SIGNER.seed)
    with pytest.raises(InvalidCursorError, match=f"watches '{ORIGIN}'"):
        ledger.cosign(
            key_file, note_of(3, origin=other.name), [SIGNER.verifier, other.verifier], at=AT
        )


def test_what_the_witness_cosigned_last_is_distrusted(key_file: Path) -> None:
    cosign(key_file, note_of(3))
    state = key_file.with_name("witness.signed")
    kept = state.read_text()
    for edited, error in (
        (kept.replace("\n3\n", "\n2\n"), "damaged"),
        (note_of(3), "damaged"),  # Signed by the ledger, which would like to be believed.
        ("", "damaged"),
    ):
        state.write_text(edited)
        with pytest.raises(UnprovenError, match=error):
            cosign(key_file, growth(3, 8))
    state.unlink()
    with pytest.raises(StorageError, match="missing"):
        cosign(key_file, growth(3, 8))


def test_what_names_a_witness_and_is_not_of_it_is_refused(
    key_file: Path, witness: ledger.WitnessKey
) -> None:
    cosigned = cosign(key_file, note_of(3))
    stranger = ledger.CosigningKey.new("example.net/omar")
    assert ledger.cosignatures(cosigned, [stranger.verifier]) == ()
    head, gap, signatures = cosigned.partition("\n\n")
    other = note_of(4).partition("\n\n")[0]
    for forged in (other + gap + signatures, later_by_a_second(cosigned)):
        with pytest.raises(UnprovenError, match="was changed"):
            ledger.cosignatures(forged, [witness])
    assert head


def later_by_a_second(cosigned: str) -> str:
    front, _, signature = cosigned.rstrip("\n").rpartition(" ")
    data = bytearray(b64decode(signature))
    data[11] ^= 1
    return f"{front} {b64encode(bytes(data)).decode()}\n"


@pytest.mark.parametrize("seconds", [2**63, 2**64 - 1, 253_402_300_800])
def test_a_time_beyond_all_calendars_is_none(seconds: int) -> None:
    key = ledger.CosigningKey.new(WITNESS)
    text = note_of(3).partition("\n\n")[0] + "\n"
    message = f"cosignature/v1\ntime {seconds}\n{text}".encode()
    signature = seconds.to_bytes(8, "big") + key.signature(message)
    assert key.verifier.cosigned_at(text, signature) is None


def test_times_are_checked(key_file: Path) -> None:
    for at in (AT.replace(tzinfo=None), "now", datetime(1969, 12, 31, tzinfo=UTC)):
        with pytest.raises(InvalidCursorError):
            cosign(key_file, note_of(3), at)  # type: ignore[arg-type]


def test_a_note_that_is_full_takes_no_cosignature(key_file: Path) -> None:
    note = note_of(3)
    for _ in range(99):
        note = ledger.CosigningKey.new(WITNESS).cosign(note, AT)
    with pytest.raises(UnprovenError, match="100 signatures"):
        cosign(key_file, note)


@given(st.binary(max_size=120))
def test_any_signature_is_checked_without_a_crash(signature: bytes) -> None:
    witness = ledger.WitnessKey(WITNESS, bytes(range(32)))
    assert witness.cosigned_at("a\n", signature) is None


# --- a tired witness, and one that is attacked ---


def test_a_cosignature_that_nobody_has_got_is_made_again_of_what_was_kept(
    key_file: Path, witness: ledger.WitnessKey
) -> None:
    cosign(key_file, note_of(3))
    first = cosign(key_file, growth(3, 8))
    with pytest.raises(
        UnprovenError, match=r"already.*cosign .*witness\.signed, which has"
    ) as told:
        cosign(key_file, growth(3, 8))
    assert "3 entries" in str(told.value)
    state = key_file.with_name("witness.signed")
    assert state.read_text() == first
    later = cosign(key_file, state.read_text(), AT + timedelta(seconds=5))
    assert TreeHead.unverified(first) == TreeHead.unverified(later)
    [found] = ledger.cosignatures(later, [witness])
    assert found.at == AT + timedelta(seconds=5)


def test_a_clock_that_was_set_back_cosigns_nothing(key_file: Path) -> None:
    cosign(key_file, note_of(3))
    before = key_file.with_name("witness.signed").read_bytes()
    # Of a checkpoint, it says that this was the largest that was seen until then.
    for text in (growth(3, 8), note_of(3)):
        with pytest.raises(InvalidCursorError, match="the clock was set back"):
            cosign(key_file, text, AT - timedelta(seconds=1))
    assert key_file.with_name("witness.signed").read_bytes() == before
    assert cosign(key_file, growth(3, 8), AT)


@pytest.mark.parametrize("line", ["x", "é"])
def test_a_note_that_could_not_be_read_again_is_not_cosigned(key_file: Path, line: str) -> None:
    root = ledger.TreeHead.unverified(note_of(3)).root
    short = SIGNER.sign(TreeHead(SIGNER.name, 3, root, ("x",)).text)
    room = NOTE_BYTES_MAX - len(short.encode()) + 1
    extension = (line * room)[: room // len(line.encode())]
    long = SIGNER.sign(TreeHead(SIGNER.name, 3, root, (extension,)).text)
    assert NOTE_BYTES_MAX - 2 <= len(long.encode()) <= NOTE_BYTES_MAX
    with pytest.raises(UnprovenError, match="could not be read again"):
        cosign(key_file, long)
    # Its last note is as it was, and it goes on.
    assert cosign(key_file, note_of(3))
    assert cosign(key_file, growth(3, 8))
