"""What two packages of other people say of our notes, cosignatures and proofs."""

from __future__ import annotations

import os
import subprocess

import pytest

from support.environments import environment
from support.places import TOP

PROGRAM = """
from datetime import UTC, datetime
from hashlib import sha256

from scitt_cose import merkle
from tlog_scales import signing, tlog

import ledger
from ledger.evidence.merkle import checkpoint_over
from ledger.evidence.paths import consistency_ranges, inclusion_ranges, roots_of
from ledger.evidence.tree_heads import TreeHead
from ledger.evidence.witnesses import CosigningKey

MAX = 300
digests = [sha256(str(n).encode()).digest() for n in range(MAX)]
entries = [digest.hex() for digest in digests]
leaves = list(enumerate(digests, 1))
roots = [checkpoint_over(leaves[:size]).root for size in range(MAX + 1)]

pairs = 0
for size in range(1, MAX + 1):
    assert merkle.merkle_root(entries[:size]) == roots[size].hex()
    for other in range(size):
        path = roots_of(leaves[:size], inclusion_ranges(other, size))
        said = [each.hex() for each in path]
        assert merkle.verify_inclusion(entries[other], other, size, said, roots[size].hex())
        leaf = sha256(b"\\0" + digests[other]).digest()
        tlog.InclusionProof(other, size, path).check(leaf, roots[size])
        old = other + 1
        path = roots_of(leaves[:size], consistency_ranges(old, size))
        said = [each.hex() for each in path]
        assert merkle.verify_consistency(roots[old].hex(), roots[size].hex(), old, size, said)
        tlog.ConsistencyProof(old, size, path).check(roots[old], roots[size])
        pairs += 1

key = ledger.SigningKey.new("example.com/orders")
witness = CosigningKey.new("example.net/ines")
note = key.sign(TreeHead(key.name, MAX, roots[MAX]).text)
cosigned = witness.cosign(note, datetime(2026, 11, 24, tzinfo=UTC))
checkpoint = tlog.Checkpoint.from_text(cosigned)
assert checkpoint.serialize() == cosigned
for each in (key, witness):
    vkey = signing.Vkey.from_string(each.verifier.text)
    assert vkey.serialize() == each.verifier.text
    checkpoint.verify(vkey)
forged = tlog.Checkpoint.from_text(cosigned.replace("\\n300\\n", "\\n301\\n"))
for each in (key, witness):
    try:
        forged.verify(signing.Vkey.from_string(each.verifier.text))
    except Exception:
        continue
    raise AssertionError("a forged checkpoint is verified")

# They read the tree from the files that are published, and make its proofs.
from pathlib import Path
from tempfile import TemporaryDirectory

from ledger.evidence.tiles import tiles_of
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader

many = [(n, sha256(str(n).encode()).digest()) for n in range(1, 66_001)]
tall = TreeHead(key.name, len(many), checkpoint_over(many).root)
with TemporaryDirectory() as folder:
    for path, data in [*tiles_of(many, tall), ("checkpoint", key.sign(tall.text).encode())]:
        (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
        (Path(folder) / path).write_bytes(data)
    reader = TilesReader(LocalBackend(Path(folder)))
    reader.get_checkpoint().verify(signing.Vkey.from_string(key.verifier.text))
    assert reader.calculate_root_hash() == tall.root
    for index in (0, 255, 256, 65_535, 65_536, 65_999):
        assert reader.get_entry(index) == many[index][1]
        ours = roots_of(many, inclusion_ranges(index, len(many)))
        assert reader.get_inclusion_proof(index, len(many)).node_hashes == ours
    for old in (1, 300, 65_536):
        ours = roots_of(many, consistency_ranges(old, len(many)))
        assert reader.get_consistency_proof(old, len(many)).node_hashes == ours

# And what they sign is read here.
theirs = signing.PlainEd25519Signer("example.org/theirs", bytes(range(32)))
signed = tlog.Checkpoint.make_signed("example.org/theirs", MAX, roots[MAX], [theirs]).serialize()
[trusted] = [ledger.VerifierKey.parse(theirs.vkey.serialize())]
assert TreeHead.opened(signed, [trusted]).root == roots[MAX]
print(pairs)
"""


@pytest.mark.slow("an environment with packages of others is made, out of wheels of the network")
def test_two_packages_of_others_verify_what_is_proved_and_signed() -> None:
    python = environment("evidence-for-others", "scitt-cose", "tlog-scales")
    done = subprocess.run(
        [str(python), "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(TOP)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, f"{300 * 301 // 2}\n"), done.stderr
