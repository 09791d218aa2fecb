"""Evidence that is changed in form: refused, never a crash, and by both verifiers alike.

Where a signature would stop a change before it is read, the text is signed again as it is then: the
operator has the key, and may sign anything.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ledger
from ledger import (
    ConsistencyProof,
    EntryProof,
    InvalidCursorError,
    TreeHead,
    UnprovenError,
    VerifierKey,
    WitnessKey,
    verify_evidence,
)
from ledger.evidence.bundles import Line
from ledger.evidence.digests import GENESIS
from ledger.evidence.merkle import checkpoint_over
from ledger.evidence.paths import inclusion_ranges, roots_of
from support.bundles import NAME, Evidence, complete, digest, evidence, selected
from support.depth import thorough
from support.mutants import mutants

standalone: Any = importlib.import_module("ledger.evidence.standalone")  # it has no types

MUCH = settings(max_examples=thorough(2_000, 60))
BUNDLES = settings(max_examples=thorough(500, 30))
"""To judge a bundle twice takes 10 ms."""
WITNESS = ledger.CosigningKey("example.net/ines", bytes(range(32)))
NOON = datetime(2026, 5, 5, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return evidence(tmp_path_factory.mktemp("operator"))


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verify signatures in this process: openssl takes 10 ms, and is tried elsewhere."""

    def has_signed(public: bytes, text: bytes, signature: bytes) -> bool:
        return VerifierKey(NAME, public).has_signed(text, signature)

    monkeypatch.setattr(standalone, "has_signed", has_signed)


def bytes_of(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def own(judge: Callable[[], object]) -> bool:
    """Return whether something is proved; an error that refuses it says why, in a few lines."""
    try:
        judge()
    except UnprovenError as error:
        assert 10 < len(str(error)) < 1_000
        return False
    return True


def theirs(judge: Callable[[], object]) -> bool:
    try:
        judge()
    except (standalone.Unproven, UnicodeDecodeError):
        return False
    return True


def keys(made: Evidence) -> list[object]:
    return [standalone.key_of(made.vkey.text)]


# --- notes ---


@MUCH
@given(st.data())
def test_notes(made: Evidence, data: st.DataObject) -> None:
    note = bytes_of(data.draw(mutants(made.note)))
    proved = own(lambda: TreeHead.opened(note, [made.vkey]))
    assert proved == theirs(lambda: standalone.opened(note.decode(), keys(made), [NAME]))
    if proved:
        assert TreeHead.opened(note, [made.vkey]) == TreeHead.unverified(made.note)


@MUCH
@given(st.data())
def test_texts_that_are_signed(made: Evidence, data: st.DataObject) -> None:
    head = TreeHead.unverified(made.note)
    text = data.draw(mutants(head.text))
    try:
        note = made.key.sign(text)
    except InvalidCursorError:
        return
    proved = own(lambda: TreeHead.opened(note, [made.vkey]))
    assert proved == theirs(lambda: standalone.opened(note, keys(made), [NAME]))
    if proved:
        again = TreeHead.opened(note.encode(), [made.vkey])
        assert again.text == text
        assert standalone.opened(note, keys(made), [NAME])[1:] == (again.entries, again.root)


@MUCH
@given(st.data())
def test_cosignatures(made: Evidence, data: st.DataObject) -> None:
    cosigned = WITNESS.cosign(made.note, NOON)
    note = bytes_of(data.draw(mutants(cosigned)))
    found: list[tuple[ledger.Cosignature, ...]] = []
    if own(lambda: found.append(ledger.cosignatures(note, [WITNESS.verifier]))) and found[0]:
        # The text is covered, and the line of another key is not.
        assert found == [(ledger.Cosignature(WITNESS.name, NOON),)]
        assert note.partition(b"\n\n")[0] == bytes_of(cosigned).partition(b"\n\n")[0]
    if own(lambda: WITNESS.cosign(note, NOON)):
        assert ledger.cosignatures(WITNESS.cosign(note, NOON), [WITNESS.verifier])


# --- proofs ---


@MUCH
@given(st.data())
def test_proofs_of_entries(made: Evidence, data: st.DataObject) -> None:
    text = bytes_of(data.draw(mutants(made.proof)))
    proved = own(lambda: EntryProof.parse(text).verify([made.vkey]))
    assert proved == theirs(lambda: standalone.proof(text, keys(made), [NAME], None, id))
    if proved:
        assert EntryProof.parse(text).verify([made.vkey]).index == 2


@MUCH
@given(st.data())
def test_proofs_of_growth(made: Evidence, data: st.DataObject) -> None:
    text = bytes_of(data.draw(mutants(made.growth)))
    proved = own(lambda: ConsistencyProof.parse(text).verify(made.old, [made.vkey]))
    if not text.startswith((b"old ", b"c2sp.org/")):
        # It tells a proof by its first line, and says of another that it is none of either.
        assert not proved
        return
    assert proved == theirs(lambda: standalone.proof(text, keys(made), [NAME], made.old, id))
    if proved:
        assert ConsistencyProof.parse(text).verify(made.old, [made.vkey]).entries == 13


@MUCH
@given(st.data())
def test_entries_under_a_true_proof(made: Evidence, data: st.DataObject) -> None:
    """A tree has digests, and a digest may be of anything."""
    true = EntryProof.parse(made.proof).preimage or b""
    said = bytes_of(data.draw(mutants(true[len(GENESIS) :].decode())))
    preimage = true[: len(GENESIS)] + said
    leaves = [(1, b"x" * 32), (2, sha256(preimage).digest()), (3, b"y" * 32)]
    note = made.key.sign(TreeHead(NAME, 3, checkpoint_over(leaves).root).text)
    path = tuple(roots_of(leaves, inclusion_ranges(1, 3)))
    text = EntryProof(index=1, path=path, note=note, preimage=preimage).text.encode()
    proved = own(lambda: EntryProof.parse(text).verify([made.vkey]))
    assert proved == theirs(lambda: standalone.proof(text, keys(made), [NAME], None, id)), said
    if proved:
        assert EntryProof.parse(text).verify([made.vkey]).entry.digest == leaves[1][1]


# --- bundles ---


def judged(made: Evidence, text: bytes, since: str | None = None) -> bool:
    """Return what both verifiers say of a bundle: the same."""
    proved = own(lambda: verify_evidence(io.BytesIO(text), [made.vkey], since=since))

    def judge() -> None:
        lines = standalone.lines_of(io.BytesIO(text), [0])
        standalone.bundle(lines, keys(made), [NAME], since, id)

    assert proved == theirs(judge)
    return proved


@BUNDLES
@given(st.data())
def test_bundles(made: Evidence, data: st.DataObject) -> None:
    lines = data.draw(st.sampled_from([made.complete, made.selected, made.every]))
    whole = b"".join(lines)
    text = bytes_of(data.draw(mutants(whole.decode())))
    since = data.draw(st.sampled_from([None, made.old, made.note]))
    if judged(made, text, since):
        assert text == whole


@BUNDLES
@given(st.data())
def test_one_line_of_a_bundle(made: Evidence, data: st.DataObject) -> None:
    lines = list(data.draw(st.sampled_from([made.complete, made.selected])))
    nth = data.draw(st.sampled_from([0, 1, len(lines) - 2, len(lines) - 1]))
    line = lines[nth].decode()
    lines[nth] = bytes_of(data.draw(mutants(line)))
    if judged(made, b"".join(lines)):
        assert lines[nth] == line.encode()


@BUNDLES
@given(st.data())
def test_entries_that_are_signed(made: Evidence, data: st.DataObject) -> None:
    """All entries but one are true, and the digests, the tree and the note are made to fit."""
    texts = [parsed.text for parsed in map(line_in, made.complete[1:-1])]
    nth = data.draw(st.integers(0, len(texts) - 1))
    texts[nth] = bytes_of(data.draw(mutants(texts[nth].decode())))
    last: dict[str, bytes] = {}
    lines = []
    for index, (text, true) in enumerate(zip(texts, made.texts, strict=True)):
        cursor = repr(true[1:4])
        lines.append(Line(index, last.get(cursor, GENESIS), text))
        last[cursor] = digest(lines[-1])
    try:
        bundle = b"".join(complete(made.key, lines))
        some = b"".join(selected(made.key, lines, sorted({0, nth})))
    except UnprovenError:
        return  # A line that would be too long is not made.
    if judged(made, bundle):
        assert judged(made, some)


def line_in(line: bytes) -> Line:
    return Line.parse(line, ledger.EvidenceKind.COMPLETE)


# --- keys ---


@MUCH
@given(st.data())
def test_keys(made: Evidence, data: st.DataObject) -> None:
    kinds: list[tuple[Any, str]] = [
        (VerifierKey, made.vkey.text),
        (ledger.SigningKey, made.key.text),
        (WitnessKey, WITNESS.verifier.text),
        (ledger.CosigningKey, WITNESS.text),
    ]
    kind, true = data.draw(st.sampled_from(kinds))
    text = data.draw(mutants(true))
    try:
        known = kind.parse(text)
    except InvalidCursorError as error:
        assert len(str(error)) < 1_000
        assert made.key.text[-20:] not in str(error)
        known = None
    else:
        # Blanks around it are left out; nothing else may differ.
        assert known == kind.parse(true)
        assert text.strip() == true
    if kind is VerifierKey:
        assert (known is not None) == theirs(lambda: standalone.key_of(text))
