"""The tree as tiles: the paths and the hashes that the format defines, from sizes of every kind."""

from __future__ import annotations

from functools import cache
from hashlib import sha256

import pytest

from ledger import UnprovenError
from ledger.evidence.merkle import checkpoint_over
from ledger.evidence.tiles import tile_path, tiles_of
from ledger.evidence.tree_heads import TreeHead

DIGESTS = [sha256(str(n).encode()).digest() for n in range(66_000)]
LEAVES = list(enumerate(DIGESTS, 1))


@cache
def root(first: int, until: int) -> bytes:
    return checkpoint_over(LEAVES[first:until]).root


def head(size: int) -> TreeHead:
    return TreeHead("example.com/orders", size, root(0, size))


@pytest.mark.parametrize(
    ("number", "width", "path"),
    [
        (0, 256, "tile/0/000"),
        (5, 1, "tile/0/005.p/1"),
        (1_234_067, 256, "tile/0/x001/x234/067"),
        (1_000, 255, "tile/0/x001/000.p/255"),
    ],
)
def test_paths_are_those_of_the_format(number: int, width: int, path: str) -> None:
    assert tile_path(0, number, width) == path


@pytest.mark.parametrize(
    "size",
    [
        *(0, 1, 2, 255, 256, 257, 511, 512, 1_000, 65_537),
        *(
            pytest.param(size, marks=pytest.mark.slow("it makes a tree of so many leaves"))
            for size in (65_535, 65_536)
        ),
    ],
)
def test_every_tile_has_the_hashes_that_the_format_defines(size: int) -> None:
    tiles = dict(tiles_of(LEAVES, head(size)))
    expected = {}
    level = 0
    while size // 256**level:
        span = 256**level
        count = size // span
        for number in range(-(-count // 256)):
            part = range(number * 256, min(count, (number + 1) * 256))
            roots = [root(n * span, (n + 1) * span) for n in part]
            expected[tile_path(level, number, len(part))] = b"".join(roots)
        level += 1
    for number in range(-(-size // 256)):
        part = range(number * 256, min(size, (number + 1) * 256))
        data = b"".join(b"\0\x20" + DIGESTS[n] for n in part)
        expected[tile_path("entries", number, len(part))] = data
    assert tiles == expected


def test_the_example_of_the_format() -> None:
    leaves = list(enumerate([bytes(32)] * 70_000, 1))
    size = TreeHead("x", 70_000, checkpoint_over(leaves).root)
    paths = [path for path, _ in tiles_of(leaves, size)]
    assert sum(path.startswith("tile/0/") and ".p" not in path for path in paths) == 273
    assert {path for path in paths if ".p/" in path} == {
        "tile/0/273.p/112",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
        "tile/entries/273.p/112",
    }


@pytest.mark.slow("it tries every size up to a bound")
@pytest.mark.parametrize("size", [1, 256, 300])
def test_tiles_of_another_tree_are_refused(size: int) -> None:
    for lie in (TreeHead("x", size, bytes(32)), TreeHead("x", size + 66_000, head(size).root)):
        with pytest.raises(UnprovenError, match="do not have the root"):
            list(tiles_of(LEAVES, lie))
