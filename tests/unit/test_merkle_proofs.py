"""Proofs of RFC 9162, made and verified as by somebody else's code, and refused when changed."""

from __future__ import annotations

from hashlib import sha256

import pytest
from proofbundle import merkle as theirs

from ledger.evidence.merkle import checkpoint_over
from ledger.evidence.paths import (
    consistency_ranges,
    inclusion_ranges,
    is_consistent,
    is_included,
    leaf_hash,
    roots_of,
)
from support.depth import thorough

# Every pair of sizes up to it is verified by the other code; to make a proof takes it long.
LEAVES_MAX = thorough(300, 40)
MADE_MAX = thorough(70, 12)
DIGESTS = [sha256(str(n).encode()).digest() for n in range(300)]
LEAVES = list(enumerate(DIGESTS, 1))
ROOTS = [checkpoint_over(LEAVES[:size]).root for size in range(301)]
OTHER = bytes(32)


def included(index: int, size: int) -> list[bytes]:
    return roots_of(LEAVES[:size], inclusion_ranges(index, size))


def consistent(old: int, size: int) -> list[bytes]:
    return roots_of(LEAVES[:size], consistency_ranges(old, size))


def changed(path: list[bytes]) -> list[list[bytes]]:
    """Return the path with a hash too many, too few, another, or two exchanged."""
    flipped = [[*path[:n], OTHER, *path[n + 1 :]] for n in range(len(path))]
    fewer = [path[:n] + path[n + 1 :] for n in range(len(path))]
    more = [[*path[:n], OTHER, *path[n:]] for n in range(len(path) + 1)]
    twice = [[*path, path[-1]]] if path else []
    turned = [path[::-1]] if len(path) > 1 else []
    return flipped + fewer + more + twice + turned


def test_every_root_is_the_one_of_the_other_code() -> None:
    for size in range(LEAVES_MAX + 1):
        assert ROOTS[size] == theirs.merkle_tree_hash(DIGESTS[:size])


def test_every_proof_of_an_entry_is_one_for_the_other_code() -> None:
    for size in range(1, LEAVES_MAX + 1):
        for index in range(size):
            path = included(index, size)
            if size <= MADE_MAX:
                assert path == theirs.inclusion_proof(DIGESTS[:size], index)
            assert is_included(index, size, leaf_hash(DIGESTS[index]), path, ROOTS[size])
            assert theirs.verify_inclusion(DIGESTS[index], index, size, path, ROOTS[size])


def test_every_proof_of_growth_is_one_for_the_other_code() -> None:
    for size in range(1, LEAVES_MAX + 1):
        for old in range(1, size + 1):
            path = consistent(old, size)
            if size <= MADE_MAX:
                assert path == theirs.consistency_proof(DIGESTS[:size], old)
            assert is_consistent(old, size, path, ROOTS[old], ROOTS[size])
            assert theirs.verify_consistency(old, size, path, ROOTS[old], ROOTS[size])


def test_a_proof_of_an_entry_proves_nothing_else() -> None:
    for size in range(1, 20):
        for index in range(size):
            path, leaf, root = included(index, size), leaf_hash(DIGESTS[index]), ROOTS[size]
            assert is_included(index, size, leaf, path, root)
            assert not any(is_included(index, size, leaf, other, root) for other in changed(path))
            assert not is_included(index, size, leaf_hash(leaf), path, root)
            assert not is_included(index, size, leaf, path, ROOTS[size - 1])
            places = [place for place in range(-1, size + 2) if place != index]
            assert not any(is_included(place, size, leaf, path, root) for place in places)


def test_a_proof_is_not_of_a_smaller_tree_than_it_has_hashes_for() -> None:
    first, second = map(leaf_hash, DIGESTS[:2])
    assert is_included(1, 2, second, [first], ROOTS[2])
    assert not is_included(0, 1, second, [first], ROOTS[2])


def test_a_proof_of_growth_proves_nothing_else() -> None:
    for size in range(2, 20):
        for old in range(1, size):
            path, before, now = consistent(old, size), ROOTS[old], ROOTS[size]
            assert is_consistent(old, size, path, before, now)
            assert not any(is_consistent(old, size, other, before, now) for other in changed(path))
            assert not is_consistent(old, size, path, now, before)
            assert not is_consistent(old, size, path, OTHER, now)
            assert not is_consistent(old, size, path, before, OTHER)
            assert not is_consistent(size, old, path, now, before)


def test_every_tree_begins_with_the_empty_one_and_with_itself() -> None:
    for size in range(9):
        assert is_consistent(0, size, [], ROOTS[0], ROOTS[size])
        assert is_consistent(size, size, [], ROOTS[size], ROOTS[size])
        assert not is_consistent(size, size, [], ROOTS[size], OTHER)
        assert not is_consistent(0, size, [], OTHER, ROOTS[size])
        assert not is_consistent(0, size, [OTHER], ROOTS[0], ROOTS[size])
    assert not is_consistent(0, 0, [], OTHER, OTHER)


@pytest.mark.parametrize("short", [b"", b"x", bytes(31), bytes(33)])
def test_what_is_no_hash_proves_nothing(short: bytes) -> None:
    assert not is_included(0, 1, short, [], short)
    assert not is_consistent(0, 1, [], ROOTS[0], short)
    assert not is_consistent(2, 3, [short], ROOTS[2], ROOTS[3])
