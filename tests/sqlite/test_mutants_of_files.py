"""Files that the ledger reads and others may have changed: refused, never a crash, and no harm."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ledger
from ledger import (
    AllowedSigners,
    CursorKey,
    InvalidCursorError,
    LedgerError,
    PlanText,
    SignatureState,
    SshSignature,
    TreeHead,
    UnprovenError,
)
from ledger.cli.commands.checkpoints import checkpoints
from ledger.exchange.entry_lines import entries_of
from ledger.exchange.exporting import json_line
from ledger.log.plain import unstructure
from ledger.log.text import dumps
from ledger.service import imported
from projections import ResetPlan
from support.clock import Clock
from support.cursors import ORDERS, fill
from support.depth import thorough
from support.mutants import mutants
from support.ssh_keys import Keys

MUCH = settings(max_examples=thorough(1_000, 100))
SOME = settings(max_examples=thorough(200, 30), suppress_health_check=[HealthCheck.too_slow])
FEW = settings(max_examples=thorough(80, 8), suppress_health_check=[HealthCheck.too_slow])
NOON = datetime(2026, 5, 5, 12, tzinfo=UTC)


def bytes_of(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


# --- keys, and what they have signed ---


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a key that has signed two entries, a witness, and a ledger of three."""
    folder = tmp_path_factory.mktemp("signing")
    key = ledger.make_key(folder / "key", "example.com/orders")
    ledger.make_witness(folder / "witness", "example.net/ines")
    with ledger.open(folder / "cursors.db", actor="x") as book:
        for to in (1, 2):
            book.advance(ORDERS, to=to)
        note = book.sign(folder / "key")
        ledger.cosign(folder / "witness", note, [key.verifier], at=NOON)
        book.advance(ORDERS, to=3)
    return folder


@SOME
@given(st.data())
@pytest.mark.parametrize("name", ["key", "key.signed", "witness", "witness.signed"])
def test_a_file_of_a_key_that_was_changed_signs_no_other_history(
    signing: Path, name: str, data: st.DataObject
) -> None:
    files = {each: signing / each for each in ("key", "key.signed", "witness", "witness.signed")}
    before = {each: file.read_bytes() for each, file in files.items()}
    vkey = ledger.SigningKey.parse(before["key"].decode()).verifier
    mutant = bytes_of(data.draw(mutants(before[name].decode())))
    files[name].write_bytes(mutant)
    try:
        with ledger.open(signing / "cursors.db", actor="x") as book:
            if name.startswith("key"):
                note = book.sign(files["key"])
                head = TreeHead.opened(note, [vkey])
                assert head == TreeHead.unverified(files["key.signed"].read_bytes())
                assert (head.entries, head.root) == (3, book.checkpoint().root)
            else:
                note = before["key.signed"].decode()
                ledger.cosign(files["witness"], note, [vkey], at=NOON)
    except LedgerError as error:
        assert len(str(error)) < 2_000
        assert before["key"].decode()[-20:-1] not in str(error)
        # What refuses to sign leaves the files as it has found them.
        assert files[name].read_bytes() == mutant
    finally:
        for each, file in files.items():
            file.write_bytes(before[each])


# --- signatures of SSH keys, and the files of those who may sign ---


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    keys = Keys(tmp_path_factory.mktemp("keys"))
    for name in ("ines", "omar"):
        keys.new(name)
    return keys


@pytest.fixture(scope="module")
def signature(keys: Keys) -> SshSignature:
    return SshSignature.by(keys.folder / "ines", b"a text\n")


@MUCH
@given(st.data())
def test_signatures_of_ssh(signature: SshSignature, data: st.DataObject) -> None:
    text = data.draw(mutants(signature.armored))
    for given_as in (text, bytes_of(text)):
        try:
            found = SshSignature.parse(given_as)
        except (UnprovenError, InvalidCursorError) as error:
            assert len(str(error)) < 1_000
            continue
        # Its form is right; whether it is of the text is for ssh-keygen to say.
        assert SshSignature.parse(found.armored) == found
        assert found.fingerprint.startswith("SHA256:")


@FEW
@given(st.data())
def test_signatures_of_ssh_in_front_of_ssh_keygen(
    signature: SshSignature, data: st.DataObject
) -> None:
    try:
        found = SshSignature.parse(data.draw(mutants(signature.armored)))
        found.check(b"a text\n")
    except (UnprovenError, InvalidCursorError):
        return
    assert found == signature


@FEW
@given(st.data())
def test_files_of_allowed_signers(
    keys: Keys,
    signature: SshSignature,
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
) -> None:
    true = "".join(map(keys.line, ("ines", "omar")))
    file = tmp_path_factory.getbasetemp() / "allowed"
    file.write_bytes(bytes_of(data.draw(mutants(true))))
    judged = AllowedSigners(str(file)).judge(b"a text\n", signature, NOON)
    # Its owner may name ines otherwise; another key never signs for her.
    assert judged.state in {SignatureState.SIGNED, SignatureState.UNKNOWN}
    assert not judged.signer.startswith("omar")


# --- plans ---


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("plans") / "plan.jsonl"
    with ledger.open(":memory:", actor="ines", clock=Clock()) as book:
        keys = [CursorKey("mailer", "orders", str(n)) for n in range(3)]
        for key in keys:
            book.advance(key, to=44, delivery_id="msg-44")
        ResetPlan.make(book, keys, to=41, reason="mails bounced", planned_by="ines").save(file)
    return file


@SOME
@given(st.data())
def test_files_of_plans(plan: Path, data: st.DataObject) -> None:
    true = plan.read_text("utf-8")
    mutant = plan.with_name("mutant.jsonl")
    text = data.draw(mutants(true))
    mutant.write_bytes(bytes_of(text))
    try:
        found = ResetPlan.load(mutant)
    except LedgerError as error:
        assert len(str(error)) < 3_000
    else:
        assert found == ResetPlan.load(plan), text


@MUCH
@given(
    st.integers(-2, 2**64), st.integers(-2, 2**64), st.lists(st.binary(max_size=33), max_size=70)
)
def test_paths_in_a_plan(index: int, cursors: int, path: list[bytes]) -> None:
    try:
        root = PlanText.root_of(b"a line", index, cursors, path)
    except InvalidCursorError:
        return
    assert len(root) == 32
    assert 0 <= index < cursors


@MUCH
@given(st.data())
def test_texts_of_plans(data: st.DataObject) -> None:
    """Whatever the names in it are, no two texts are the same, and none has a line more."""
    text, _ = PlanText.over(
        [b"a line"], ledger="x", first=None, planned_by="ines", planned_at=NOON, plan="0" * 64
    )
    name = data.draw(mutants("ines"))
    try:
        other = attrs.evolve(text, planned_by=name)
    except InvalidCursorError:
        return
    assert len(other.to_sign().splitlines()) == len(text.to_sign().splitlines())
    assert (other.to_sign() == text.to_sign()) == (other.planned_by == "ines")


# --- exports, and checkpoints ---


with ledger.open(":memory:", actor="tester", clock=Clock()) as _book:
    fill(_book, Clock())
    _book.start(CursorKey("began", "orders"), at=41, reason="moved", source="kafka")
    LINES = [json_line(entry) for entry in _book.entries()]
    DIGESTS = [entry.digest for entry in _book.entries()]
    KEPT = dumps(unstructure(_book.checkpoint())) + "\n"


@MUCH
@given(st.data())
def test_lines_of_an_export(data: st.DataObject) -> None:
    """What comes before a line that was changed is imported, and nothing that is not true."""
    nth = data.draw(st.integers(0, len(LINES) - 1))
    lines = [*LINES[:nth], data.draw(mutants(LINES[nth])), *LINES[nth + 1 :]]
    there = digests_imported("".join(lines))
    assert there[:nth] == DIGESTS[:nth]


@MUCH
@given(st.data())
def test_whole_exports(data: st.DataObject) -> None:
    digests_imported(data.draw(mutants("".join(LINES))))


def digests_imported(text: str) -> list[bytes]:
    """Import a text into a new ledger, and find nothing in it but what was exported.

    A digest covers all but the position. Whole cursors may be left out: the checkpoint tells that.
    """
    with ledger.open(":memory:") as book:
        try:
            imported(book, entries_of(io.BytesIO(bytes_of(text))))
        except LedgerError as error:
            assert len(str(error)) < 3_000
        there = [entry.digest for entry in book.entries()]
        assert book.verify().ok
    assert {*there} <= {*DIGESTS}
    return there


@MUCH
@given(st.data())
def test_checkpoints_in_json(data: st.DataObject) -> None:
    file = io.BytesIO(bytes_of(data.draw(mutants(KEPT))))
    file.name = "kept.json"
    try:
        found = list(checkpoints(file))
    except InvalidCursorError as error:
        assert "kept.json" in str(error)
        assert len(str(error)) < 2_000
        return
    assert all(len(each.root) == 32 for _, each in found)
