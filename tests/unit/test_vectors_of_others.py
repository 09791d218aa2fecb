"""Vectors that others publish: not ours to keep, so a folder of them is named from outside.

CURSOR_LEDGER_TEST_VECTORS has `testdata` of github.com/transparency-dev/merkle in `merkle/`,
`sumdb` of github.com/golang/mod in `mod/`, and the pages of github.com/C2SP/C2SP in `c2sp/`. Notes
of logs that are in use are in `production/`: `NAME.note` with `NAME.vkey`, or with `NAME.spki`, a
key of ECDSA in base64. What is tried without that folder: `test_trees_by_definition`.
"""

from __future__ import annotations

import json
import os
import re
from base64 import b64decode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ledger import InvalidCursorError, SigningKey, TreeHead, UnprovenError, VerifierKey, open_note
from ledger.evidence.notes import taken_apart
from ledger.evidence.paths import is_consistent, is_included

FOLDER = "CURSOR_LEDGER_TEST_VECTORS"
VECTORS = Path(os.environ.get(FOLDER, ""))

pytestmark = pytest.mark.skipif(
    FOLDER not in os.environ, reason=f"{FOLDER} names no folder with the vectors of others"
)


def cases(kind: str) -> list[dict[str, Any]]:
    found = [json.loads(file.read_bytes()) for file in (VECTORS / "merkle").rglob("*.json")]
    size = "treeSize" if kind == "inclusion" else "size1"
    return [case for case in found if size in case and "start" not in case]


def hashes(case: dict[str, Any], *names: str) -> list[bytes]:
    return [b64decode(case[name] or "") for name in names]


def is_stricter(case: dict[str, Any]) -> bool:
    """Return whether the case has roots that are no hashes, or begins at nothing.

    Each implementation has its own rule for that.
    """
    return case["desc"] in {
        "sizes are equal (one) and proof is empty",
        "size1 is zero and size2 is not zero",
    }


def test_proofs_of_entries() -> None:
    answers = []
    for case in cases("inclusion"):
        leaf, root = hashes(case, "leafHash", "root")
        path = [b64decode(each) for each in case["proof"] or []]
        held = is_included(case["leafIdx"], case["treeSize"], leaf, path, root)
        assert held is not case["wantErr"], case["desc"]
        answers.append(held)
    assert len(answers) > 90
    assert {*answers} == {True, False}


def test_proofs_of_growth() -> None:
    answers = []
    for case in cases("consistency"):
        before, now = hashes(case, "root1", "root2")
        path = [b64decode(each) for each in case["proof"] or []]
        held = is_consistent(case["size1"], case["size2"], path, before, now)
        assert held is not case["wantErr"] or is_stricter(case), case["desc"]
        answers.append(held)
    assert len(answers) > 90
    assert {*answers} == {True, False}


def test_notes_and_keys_of_go() -> None:
    source = (VECTORS / "mod" / "sumdb" / "note" / "note_test.go").read_text("utf-8")
    source += (VECTORS / "mod" / "sumdb" / "note" / "example_test.go").read_text("utf-8")
    vkeys = {*re.findall(r'"(\w+\+[0-9a-f]{8}\+[AZ][\w+/]+=*)"', source)}
    skeys = {*re.findall(r'"(PRIVATE\+KEY\+\w+\+[0-9a-f]{8}\+[\w+/]+=*)"', source)}
    assert len(vkeys) >= 2
    assert skeys
    # Two are there to be refused.
    bad = {text for text in vkeys if "BADKEY" in text or "+ZRpc" in text}
    for vkey in bad:
        with pytest.raises(InvalidCursorError):
            VerifierKey.parse(vkey)
    keys = [VerifierKey.parse(text) for text in vkeys - bad]
    signers = [SigningKey.parse(text) for text in skeys]
    assert {signer.verifier for signer in signers} <= {*keys}
    # The notes stand in the source as one text, or in parts of a line each.
    notes = re.findall(r"`(If you think[^`]*?\n\n— [^`]*)`", source)
    text = re.findall(r"`(If you think[^`]*\.\n)`", source)[0]
    lines = [f"— {line}\n" for line in re.findall(r'"— (\w+ [\w+/]{90,}=*)\\n"', source)]
    notes += [f"{text}\n{line}" for line in lines]
    notes.append(f"{text}\n{''.join(lines)}")
    assert len(notes) >= 4
    for note in notes:
        assert open_note(note, keys) == text
        with pytest.raises(UnprovenError):
            open_note(note.replace("answer", "Answer"), keys)
    for signer in signers:
        assert signer.sign(text) in notes


def test_the_examples_of_c2sp() -> None:
    page = (VECTORS / "c2sp" / "signed-note.md").read_text("utf-8")
    [vkey] = re.findall(r"^    (\S+\+[0-9a-f]{8}\+\S+)$", page, re.MULTILINE)
    note = re.findall(r"```\n(This is an example message.*?)```", page, re.DOTALL)[-1]
    assert open_note(note, [VerifierKey.parse(vkey)]) == "This is an example message.\n"
    found = 0
    for name in ("tlog-checkpoint.md", "tlog-cosignature.md"):
        page = (VECTORS / "c2sp" / name).read_text("utf-8")
        for each in re.findall(r"```\n(example\.com/.*?)```", page, re.DOTALL):
            head = TreeHead.unverified(each)
            assert (head.origin, head.entries) == ("example.com/behind-the-sofa", 20852163)
            found += 1
    assert found >= 2


def test_notes_of_logs_that_are_in_use() -> None:
    found = 0
    for key in (VECTORS / "production").glob("*.vkey"):
        note = key.with_suffix(".note").read_bytes()
        vkey = VerifierKey.parse(key.read_text("utf-8"))
        origin = note.decode().partition("\n")[0]
        head = TreeHead.opened(note, [vkey], origin=origin)
        assert head.text.encode() == note.partition(b"\n\n")[0] + b"\n"
        with pytest.raises(UnprovenError):
            TreeHead.opened(note.replace(b"\n%d\n" % head.entries, b"\n1\n"), [vkey], origin=origin)
        found += 1
    assert found >= 1


def test_notes_of_a_log_that_signs_otherwise_are_read_and_prove_nothing_here() -> None:
    found = 0
    for key in (VECTORS / "production").glob("*.spki"):
        note = key.with_suffix(".note").read_bytes()
        public = load_der_public_key(b64decode(key.read_text("utf-8")))
        assert isinstance(public, EllipticCurvePublicKey)
        text, [(name, signature)] = taken_apart(note)
        # It is over just what is taken for the text here, and is named by the key as well.
        public.verify(signature[4:], text.encode(), ECDSA(SHA256()))
        assert sha256(b64decode(key.read_text("utf-8"))).digest()[:4] == signature[:4]
        assert TreeHead.unverified(note).text == text
        with pytest.raises(UnprovenError, match="not by"):
            TreeHead.opened(note, [VerifierKey(name, bytes(32))])
        found += 1
    assert found >= 1
