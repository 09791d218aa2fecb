"""Proofs as texts: whatever is changed in one, it is refused, and never crashes what reads it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import ledger
from ledger import ConsistencyProof, CursorKey, EntryProof, InvalidCursorError, UnprovenError
from ledger.evidence.keys import decoded, encoded

NAME = "example.com/cursors"
NOON = datetime(2026, 5, 5, 12, tzinfo=UTC)


def made(folder: Path) -> tuple[ledger.VerifierKey, str, EntryProof, ConsistencyProof]:
    key = ledger.make_key(folder / "key", NAME)
    with ledger.open(":memory:", actor="ines", clock=lambda: NOON) as book:
        for to in range(1, 7):
            book.advance(CursorKey("webhooks", "orders"), to=to, metadata={"n": str(to)})
        old = book.sign(folder / "key")
        for to in range(7, 12):
            book.advance(CursorKey("mailer", "orders"), to=to)
        note = book.sign(folder / "key")
        return key.verifier, old, book.prove(4, note), book.prove_growth(old, note)


@pytest.fixture(scope="module")
def proofs(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[ledger.VerifierKey, str, EntryProof, ConsistencyProof]:
    return made(tmp_path_factory.mktemp("keys"))


Proofs = tuple[ledger.VerifierKey, str, EntryProof, ConsistencyProof]


def test_the_forms_are_those_of_others(proofs: Proofs) -> None:
    _, _, entry, grown = proofs
    first, extra, index, *hashes, gap, origin, size, _, _, signature = entry.text[:-1].split("\n")
    assert (first, index, gap) == ("c2sp.org/tlog-proof@v1", "index 3", "")
    assert extra.startswith("extra ")
    assert (len(hashes), origin, size) == (4, NAME, "11")
    assert signature.startswith(f"— {NAME} ")
    old, *hashes, gap, origin = grown.text.split("\n")[:7]
    assert (old, gap, origin) == ("old 6", "", NAME)
    assert len(hashes) == 4
    assert EntryProof.parse(entry.text.encode()) == entry
    assert ConsistencyProof.parse(grown.text.encode()) == grown


def mutants(text: str) -> dict[str, str]:
    head, _, note = text.partition("\n\n")
    lines = head.split("\n")
    last = lines[-1]
    return {
        "CRLF": text.replace("\n", "\r\n"),
        "base64url": text.replace("+", "-").replace("/", "_"),
        "a hash too many": f"{head}\n{last}\n\n{note}",
        "a hash too few": "\n".join(lines[:-1]) + f"\n\n{note}",
        "two hashes exchanged": "\n".join([*lines[:-2], last, lines[-2]]) + f"\n\n{note}",
        "no padding": text.replace(last, last.rstrip("=")),
        "a blank behind a hash": text.replace(last, f"{last} "),
        "zeros": text.replace(last, encoded(bytes(32))),
        "no empty line": text.replace("\n\n", "\n", 1),
        "an empty line before": "\n" + text,
        "a mark of byte order": "\ufeff" + text,
        "no note": f"{head}\n\n",
        "the note alone": note,
        "the first line twice": f"{lines[0]}\n{text}",
        "cut": text[: len(text) // 2],
        "leading zeros": text.replace("index 3", "index 03").replace("old 6", "old 06"),
        "Arabic digits": text.replace("index 3", "index ٣").replace("old 6", "old ٦"),
        "another place": text.replace("index 3", "index 4").replace("old 6", "old 5"),
        "a place behind the end": text.replace("index 3", "index 11").replace("old 6", "old 12"),
        "below zero": text.replace("index 3", "index -1").replace("old 6", "old -1"),
        "a huge number": text.replace("index 3", f"index {9**99}").replace("old 6", f"old {9**99}"),
        "1,000 hashes": head + f"\n{last}" * 1_000 + f"\n\n{note}",
        "megabytes": f"{head}\n\n" + note * 10_000,
    }


@pytest.mark.parametrize("name", mutants("a\nb\n\n"))
def test_a_mutant_of_a_proof_is_refused(proofs: Proofs, name: str) -> None:
    key, old, entry, grown = proofs
    for text, verify in (
        (entry.text, lambda text: EntryProof.parse(text).verify([key])),
        (grown.text, lambda text: ConsistencyProof.parse(text).verify(old, [key])),
    ):
        verify(text)
        mutant = mutants(text)[name]
        assert mutant != text
        with pytest.raises(UnprovenError) as refused:
            verify(mutant)
        assert len(str(refused.value)) < 500


def test_what_is_said_of_an_entry_is_what_the_tree_has(proofs: Proofs) -> None:
    key, _, entry, _ = proofs
    assert entry.preimage is not None
    for other in (
        entry.preimage.replace(b'"ines"', b'"bert"'),
        entry.preimage.replace(b",4,", b",5,", 1),
        entry.preimage + b" ",
        bytes(32) + entry.preimage[32:],
        b"",
    ):
        assert other != entry.preimage
        false = EntryProof(index=3, path=entry.path, note=entry.note, preimage=other)
        with pytest.raises(UnprovenError):
            EntryProof.parse(false.text).verify([key])
    bare = EntryProof(index=3, path=entry.path, note=entry.note)
    assert EntryProof.parse(bare.text) == bare
    with pytest.raises(UnprovenError, match="has no line extra"):
        bare.verify([key])


LIES = [
    b"",
    b"[]",
    b"[" * 100_000,
    b'["cursor-ledger/2"]',
    b'["cursor-ledger/1"' + b",0" * 17 + b"]",
    b'["cursor-ledger/1"' + b",null" * 17 + b"]",
    b'["cursor-ledger/1"' + b",NaN" * 17 + b"]",
    b'["cursor-ledger/1"' + b",1e999" * 17 + b"]",
    b'["cursor-ledger/1"' + b"," + b"9" * 5_000 + b"]",
    b'{"a":1,"a":2}',
    b"\xff\xfe",
]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: repr(lie)[:30])
def test_a_tree_may_have_a_leaf_that_is_no_entry(lie: bytes) -> None:
    """The owner of the key can sign any tree; that must not crash a verifier."""
    from hashlib import sha256

    from ledger.evidence.paths import leaf_hash

    key = ledger.SigningKey(NAME, bytes(32))
    preimage = bytes(32) + lie
    root = leaf_hash(sha256(preimage).digest())
    note = key.sign(ledger.TreeHead(NAME, 1, root).text)
    proof = EntryProof(index=0, path=(), note=note, preimage=preimage)
    with pytest.raises(UnprovenError, match="is no entry of a ledger"):
        EntryProof.parse(proof.text).verify([key.verifier])


@given(st.data())
def test_a_damaged_proof_is_refused_and_never_crashes(proofs: Proofs, data: st.DataObject) -> None:
    key, old, entry, grown = proofs
    for text in (entry.text, grown.text):
        damaged = bytearray(text.encode())
        at = data.draw(st.integers(0, len(damaged)))
        until = data.draw(st.integers(at, min(len(damaged), at + 60)))
        damaged[at:until] = data.draw(st.binary(max_size=4))
        try:
            if text == entry.text:
                proved = EntryProof.parse(bytes(damaged)).verify([key])
                assert (proved.index, proved.entry.version) == (3, 4)
            else:
                proved_head = ConsistencyProof.parse(bytes(damaged)).verify(old, [key])
                assert proved_head.entries == 11
        except UnprovenError:
            continue


@given(st.text(max_size=60) | st.binary(max_size=60))
@example("c2sp.org/tlog-proof@v1\n\n")
@example("c2sp.org/tlog-proof@v1\nextra \nindex 0\n\n")
@example("old \n\n")
@example("\ud800")
def test_no_text_crashes_what_reads_proofs(text: str | bytes) -> None:
    key = ledger.SigningKey(NAME, bytes(32)).verifier
    for kind in (EntryProof, ConsistencyProof):
        with pytest.raises(UnprovenError):
            kind.parse(text)
    with pytest.raises(UnprovenError):
        ledger.TreeHead.opened(text, [key])


def test_what_is_no_base64_of_its_one_form_is_none() -> None:
    assert decoded("QQ==") == b"A"
    for text in ("", "QQ", "QQ=", "QR==", "QQ==\n", " QQ==", "Q Q==", "Q-_=", "QQ==QQ==", "=QQ="):
        assert decoded(text) is None


def test_a_proof_of_nothing_at_all_is_refused_before_a_note_is_read() -> None:
    with pytest.raises(InvalidCursorError):
        ledger.VerifierKey.parse("")
