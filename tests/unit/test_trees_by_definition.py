"""Trees, proofs and notes made by the definitions of RFC 9162 and C2SP, with no code of ours.

Each case is one that another implementation could publish: what it is of, the proof, and whether
it holds. Both verifiers judge each of them. For the vectors of others: `test_vectors_of_others`.
"""

from __future__ import annotations

import importlib
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import pytest

from ledger import TreeHead, UnprovenError, VerifierKey, open_note
from ledger.evidence.paths import is_consistent, is_included
from support.depth import thorough

standalone: Any = importlib.import_module("ledger.evidence.standalone")  # it has no types

# The sizes around which trees differ, and some between.
SIZES = (*range(1, 18), 31, 32, 33, 63, 64, 65, 100, 127, 128, 129)
INPUTS = [b"%d" % n * 7 for n in range(max(SIZES))]
GARBAGE = sha256(b"garbage").digest()


# --- RFC 9162, section 2.1, as it is written there ---


def mth(d: list[bytes]) -> bytes:
    if not d:
        return sha256().digest()
    if len(d) == 1:
        return sha256(b"\x00" + d[0]).digest()
    k = split(len(d))
    return sha256(b"\x01" + mth(d[:k]) + mth(d[k:])).digest()


def split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def path(m: int, d: list[bytes]) -> list[bytes]:
    if len(d) == 1:
        return []
    k = split(len(d))
    return [*path(m, d[:k]), mth(d[k:])] if m < k else [*path(m - k, d[k:]), mth(d[:k])]


def proof(m: int, d: list[bytes]) -> list[bytes]:
    return subproof(m, d, whole=True)


def subproof(m: int, d: list[bytes], *, whole: bool) -> list[bytes]:
    if m == len(d):
        return [] if whole else [mth(d)]
    k = split(len(d))
    if m <= k:
        return [*subproof(m, d[:k], whole=whole), mth(d[k:])]
    return [*subproof(m - k, d[k:], whole=False), mth(d[:k])]


# --- cases ---


@attrs.frozen(kw_only=True)
class Inclusion:
    says: str
    index: int
    size: int
    leaf: bytes
    proof: list[bytes]
    root: bytes
    holds: bool = False


@attrs.frozen(kw_only=True)
class Growth:
    says: str
    old: int
    size: int
    old_root: bytes
    root: bytes
    proof: list[bytes]
    holds: bool = False


def spoilt(hashes: list[bytes], *roots: bytes) -> Iterator[tuple[str, list[bytes]]]:
    for nth, each in enumerate(hashes):
        flipped = bytes([each[0] ^ 8, *each[1:]])
        yield f"bit 3 of hash {nth} flipped", [*hashes[:nth], flipped, *hashes[nth + 1 :]]
        yield f"hash {nth} left out", hashes[:nth] + hashes[nth + 1 :]
        yield f"hash {nth} twice", [*hashes[:nth], each, *hashes[nth:]]
    for name, more in (
        ("garbage", GARBAGE),
        *((f"root {n}", root) for n, root in enumerate(roots)),
    ):
        yield f"{name} behind", [*hashes, more]
        yield f"{name} before", [more, *hashes]
    if hashes:
        yield "no hash", []
        yield "a hash too short", [*hashes[:-1], hashes[-1][:-1]]
        yield "a hash too long", [*hashes[:-1], hashes[-1] + b"\0"]
    if len(hashes) > 1 and hashes[::-1] != hashes:
        yield "in the other order", hashes[::-1]


def inclusions(size: int) -> Iterator[Inclusion]:
    d = INPUTS[:size]
    for index in sorted({0, 1, size // 2, size - 2, size - 1} & {*range(size)}):
        true = Inclusion(
            says="true",
            index=index,
            size=size,
            leaf=mth(d[index : index + 1]),
            proof=path(index, d),
            root=mth(d),
            holds=True,
        )
        yield true
        for says, hashes in spoilt(true.proof, true.root):
            yield attrs.evolve(true, says=says, proof=hashes, holds=False)
        others: dict[str, dict[str, Any]] = {
            "the index before": {"index": index - 1},
            "the index behind": {"index": index + 1},
            "an index elsewhere": {"index": index ^ 2},
            "an index beyond": {"index": size},
            "twice the size": {"size": size * 2},
            "half the size": {"size": size // 2},
            "another leaf": {"leaf": GARBAGE},
            "the input for its hash": {"leaf": sha256(d[index]).digest()},
            "another root": {"root": GARBAGE},
            "no root": {"root": b""},
            "the root of nothing": {"root": sha256().digest()},
        }
        for says, change in others.items():
            yield attrs.evolve(true, says=says, holds=False, **change)


def growths(size: int) -> Iterator[Growth]:
    d = INPUTS[:size]
    for old in sorted({1, 2, split(size) if size > 1 else 1, size // 2, size - 1} - {0}):
        if old >= size:
            continue
        true = Growth(
            says="true",
            old=old,
            size=size,
            old_root=mth(d[:old]),
            root=mth(d),
            proof=proof(old, d),
            holds=True,
        )
        yield true
        for says, hashes in spoilt(true.proof, true.old_root, true.root):
            yield attrs.evolve(true, says=says, proof=hashes, holds=False)
        others: dict[str, dict[str, Any]] = {
            "roots exchanged": {"old_root": true.root, "root": true.old_root},
            "sizes exchanged": {"old": size, "size": old},
            "one less before": {"old": old - 1},
            "another old root": {"old_root": GARBAGE},
            "another root": {"root": GARBAGE},
            "no old root": {"old_root": b""},
            "no root": {"root": b""},
            "the root of nothing before": {"old_root": sha256().digest()},
            "the same size": {"size": old},
        }
        for says, change in others.items():
            yield attrs.evolve(true, says=says, holds=False, **change)


def refused(judge: Any, *given: Any) -> bool:
    try:
        return judge(*given) is False
    except (standalone.Unproven, UnprovenError):
        return True


def judge_inclusion(case: Inclusion) -> bool:
    standalone.need(case.index >= 0 and all(len(each) == 32 for each in case.proof), "no hashes")
    found = standalone.root_by(case.proof, case.index, case.size, case.leaf)
    return bool(found == case.root)


def judge_growth(case: Growth) -> None:
    # What it reads of a file are hashes, or refused before.
    hashes = (*case.proof, case.old_root, case.root)
    standalone.need(all(len(each) == 32 for each in hashes), "no hashes")
    before, now = ("x", case.old, case.old_root), ("x", case.size, case.root)
    standalone.check_growth(case.proof, before, now)


def test_proofs_of_entries_by_definition() -> None:
    cases = [case for size in SIZES for case in inclusions(size)]
    for case in cases:
        own = is_included(case.index, case.size, case.leaf, case.proof, case.root)
        assert own == case.holds, case
        assert refused(judge_inclusion, case) != case.holds, case
    assert sum(case.holds for case in cases) > 100
    assert sum(not case.holds for case in cases) > 2_000


def test_proofs_of_growth_by_definition() -> None:
    cases = [case for size in SIZES for case in growths(size)]
    for case in cases:
        own = is_consistent(case.old, case.size, case.proof, case.old_root, case.root)
        assert own == case.holds, case
        assert refused(judge_growth, case) != case.holds, case
    assert sum(case.holds for case in cases) > 80
    assert sum(not case.holds for case in cases) > 2_000


@pytest.mark.parametrize("origin", ["example.com/orders", "PeterNeumann", "exämple.com/ürsprung"])
def test_a_note_that_openssl_has_signed_is_one(tmp_path: Path, origin: str) -> None:
    for nth in range(thorough(5, 1)):
        key, text, signature = (tmp_path / f"{name}{nth}" for name in ("key", "text", "signature"))
        new = f"openssl genpkey -algorithm ed25519 -outform DER -out {key}"
        sign = f"openssl pkeyutl -sign -rawin -keyform DER -inkey {key} -in {text} -out {signature}"
        show = f"openssl pkey -in {key} -inform DER -pubout -outform DER"
        said = f"{origin}\n{nth + 7}\n{b64encode(mth(INPUTS[: nth + 7])).decode()}\n"
        text.write_text(said, "utf-8")
        subprocess.run(new.split(), check=True)
        subprocess.run(sign.split(), check=True)
        # SubjectPublicKeyInfo of RFC 8410 ends in the key.
        public = subprocess.run(show.split(), check=True, capture_output=True).stdout[-32:]
        typed = b"\x01" + public
        name = sha256(origin.encode() + b"\n" + typed).digest()[:4]
        vkey = f"{origin}+{name.hex()}+{b64encode(typed).decode()}"
        line = b64encode(name + signature.read_bytes()).decode()
        note = f"{said}\n\N{EM DASH} {origin} {line}\n"
        assert open_note(note, [VerifierKey.parse(vkey)]) == said
        head = TreeHead.opened(note.encode(), [VerifierKey.parse(vkey)])
        known = [standalone.key_of(vkey)]
        assert standalone.opened(note, known, [origin]) == (head.origin, head.entries, head.root)
        for other in (note.replace(f"\n{nth + 7}\n", "\n6\n"), note.replace(origin, origin + "x")):
            assert refused(TreeHead.opened, other, [VerifierKey.parse(vkey)])
            assert refused(standalone.opened, other, known, [origin])
