"""The file that verifies evidence by itself needs little, and judges as the ledger does."""

from __future__ import annotations

import ast
import importlib
import json
import random
import sys
from datetime import datetime
from hashlib import sha256
from types import NoneType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import (
    BrokenChainError,
    Entry,
    InvalidCursorError,
    UnprovenError,
    VerifierKey,
    fold,
)
from ledger.evidence.digests import GENESIS
from ledger.evidence.paths import (
    consistency_ranges,
    inclusion_ranges,
    is_consistent,
    is_included,
    leaf_hash,
    roots_of,
)
from ledger.evidence.proofs import entry_in
from ledger.law.cursor import Outcome
from ledger.law.fields import METADATA_LENGTH_MAX, METADATA_PAIRS_MAX, TEXT_LENGTH_MAX
from ledger.log.columns import CONTENT
from ledger.log.rows import COLUMNS_OF_TAG
from ledger.log.text import dumps
from support.depth import thorough
from support.places import TOP

standalone: Any = importlib.import_module("ledger.evidence.standalone")  # it has no types
TEXT = (TOP / "ledger" / "evidence" / "standalone.py").read_text("utf-8")
TREE = ast.parse(TEXT, feature_version=(3, 8))


def test_it_needs_the_standard_library_alone_and_can_be_read_in_ten_minutes() -> None:
    names = set()
    for node in ast.walk(TREE):
        assert not isinstance(node, ast.ImportFrom)
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    assert len(names) > 5
    assert names <= sys.stdlib_module_names
    assert sum(bool(line.strip()) for line in TEXT.splitlines()) <= 300


def test_its_table_of_kinds_is_that_of_the_log() -> None:
    assert standalone.KINDS.keys() == COLUMNS_OF_TAG.keys()
    head = standalone.HEAD.split()
    times = {"recorded_at", "delivered_at", "occurred_at"}
    for tag, letters in standalone.KINDS.items():
        wanted = []
        for column in list(COLUMNS_OF_TAG[tag])[1:-1]:
            kinds: dict[type, str] = {int: "i", str: "s", NoneType: "-"}
            kind = "t" if column.name in times and column.type is int else kinds[column.type]
            kind = "m" if column.name == "metadata" else kind
            wanted.append(kind + "?" * (column.optional and kind != "-"))
        assert [*head, "s", *letters.split()] == wanted, tag
    assert len(CONTENT) + 1 == 18


def test_its_bounds_are_those_of_the_ledger() -> None:
    assert (METADATA_PAIRS_MAX, METADATA_LENGTH_MAX, TEXT_LENGTH_MAX) == (16, 4_096, 512)
    assert {outcome.value for outcome in Outcome} == {"delivered", "skipped", "suppressed"}
    assert standalone.is_a("t", 253_402_300_799_999_999)
    assert not standalone.is_a("t", 253_402_300_800_000_000)


# --- it judges as the ledger does ---

SAID: list[Any] = [
    *("cursor-ledger/1", "webhooks", "orders", "", 1, 0, 1_777_996_800_000_000, "ines", None),
    *("cursor.advanced.v1", 0, 1, "d", 1_777_996_800_000_000, "delivered", None, None, 7),
]
VALUES: list[Any] = [
    *(None, True, 0, 1, -1, 2**63, -(2**63), 2**63 - 1, 2**64, 1.0, 1e300, float("nan")),
    *("", " ", "x", " x", "x\u00a0", "\u200b", "\0", "x" * 513, "\ud800", "é", "delivered"),
    *([], {}, {"n": "1"}, {"": "1"}, {"\u2003": "1"}, {"n": 1}, {"n": None}, {"n": "\0"}, [[]]),
    *(-62_135_596_800_000_000, -62_135_596_800_000_001, 253_402_300_800_000_000),
    *standalone.KINDS,
]


def refused(judge: Any, *given: Any) -> bool:
    try:
        judge(*given)
    except (UnprovenError, standalone.Unproven):
        return True
    return False


def encoded(said: object) -> bytes:
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


@settings(max_examples=thorough(5_000, 150))
@given(
    st.lists(st.tuples(st.integers(0, 17), st.sampled_from(VALUES)), max_size=4),
    st.sampled_from(list(standalone.KINDS)),
    st.binary(max_size=2),
    st.integers(0, 400),
)
def test_what_is_an_entry(
    changes: list[tuple[int, Any]], tag: str, more: bytes, place: int
) -> None:
    said = list(SAID)
    if tag != SAID[9]:
        said[9:] = [tag, *OF_KIND[tag]]
    for nth, value in changes:
        said[nth] = value
    text = encoded(said)
    if more:
        text = text[:place] + more + text[place:]
    assert refused(entry_in, GENESIS, text, 0) == refused(standalone.entry_in, text), text


OF_KIND: dict[str, list[Any]] = {
    "cursor.reset.v1": [0, 1, "", None, None, "why", None, 7],
    "cursor.error.v1": [None, None, None, None, None, None, "HTTP 503", 7],
    "cursor.started.v1": [None, 7, "", None, None, "why", "kafka", 7],
}


@pytest.mark.parametrize("tag", [SAID[9], *OF_KIND])
def test_an_entry_of_each_kind_is_one(tag: str) -> None:
    text = encoded(SAID if tag == SAID[9] else [*SAID[:9], tag, *OF_KIND[tag]])
    assert not refused(entry_in, GENESIS, text, 0)
    assert not refused(standalone.entry_in, text)


LITTLE = st.sampled_from([0, 0, 1, 2, 3])


@st.composite
def histories(draw: st.DrawFn) -> list[list[Any]]:
    """Return entries of one cursor, most of which the law lets pass."""
    texts: list[list[Any]] = []
    epoch, at, delivery = 0, 0, ""
    for version in range(1, draw(st.integers(2, 7))):
        tag = draw(st.sampled_from([*standalone.KINDS, *[SAID[9]] * 4]))
        to = at + draw(LITTLE)
        fields = (
            [at, to, draw(st.sampled_from(["", "d", delivery])), 7, "skipped", None, None, 7]
            if tag == SAID[9]
            else list(OF_KIND[tag])
        )
        epoch += tag == "cursor.reset.v1"
        said = [*SAID[:4], version, epoch, 1_000 + version, "ines", None, tag, *fields]
        if tag == "cursor.reset.v1":
            said[10] = at
        if draw(st.integers(0, 9)) == 0:
            nth, value = draw(
                st.sampled_from([(4, 9), (5, 9), (6, 0), (7, ""), (10, 9), (11, 0), (15, "")])
            )
            said[nth] = value if said[nth] is not None else None
        texts.append(said)
        if tag != "cursor.error.v1":
            at, delivery = said[11], said[12]
    return texts


@settings(max_examples=thorough(3_000, 100))
@given(histories())
def test_what_the_law_lets_pass(texts: list[list[Any]]) -> None:
    previous, lines = GENESIS, list[tuple[bytes, bytes, list[Any]]]()
    entries: list[Entry] = []
    for said in texts:
        text = dumps(said).encode()
        entries.append(entry_in(previous, text, len(entries)))
        lines.append((previous, sha256(previous + text).digest(), said))
        previous = lines[-1][1]

    def judge() -> None:
        cursor = None
        for line in lines:
            cursor = standalone.follow(cursor, *line)

    def judged_by_the_ledger() -> None:
        times: list[datetime] = [entry.recorded_at for entry in entries]
        try:
            fold(entries)
        except BrokenChainError as error:
            raise UnprovenError(str(error)) from None
        if times != sorted(times):
            raise UnprovenError("recorded before")

    assert refused(judge) == refused(judged_by_the_ledger), texts


def test_what_a_tree_proves() -> None:
    chance = random.Random(7)
    leaves = [(n + 1, sha256(b"%d" % n).digest()) for n in range(40)]
    for size in range(1, 41):
        [root] = roots_of(leaves, [(0, size)])
        for index in range(size):
            path = roots_of(leaves, inclusion_ranges(index, size))
            for changed in (path, *mutants(path, chance)):
                leaf = leaf_hash(leaves[index][1])
                own = is_included(index, size, leaf, changed, root)
                assert own == (changed == path)
                theirs = not refused(check_inclusion, changed, index, size, leaf, root)
                assert own == theirs, (size, index, changed)
        for old in range(1, size + 1):
            [old_root] = roots_of(leaves, [(0, old)])
            path = roots_of(leaves, consistency_ranges(old, size))
            for changed in (path, *mutants(path, chance)):
                own = is_consistent(old, size, changed, old_root, root)
                heads = ("x", old, old_root), ("x", size, root)
                assert own == (not refused(standalone.check_growth, changed, *heads))


def check_inclusion(path: list[bytes], index: int, size: int, leaf: bytes, root: bytes) -> None:
    standalone.need(standalone.root_by(path, index, size, leaf) == root, "false")


def mutants(path: list[bytes], chance: random.Random) -> list[list[bytes]]:
    if not path:
        return [[bytes(32)]]
    nth = chance.randrange(len(path))
    return [
        path[:nth] + path[nth + 1 :],
        [*path[:nth], bytes(32), *path[nth + 1 :]],
        [*path, path[0]],
    ]


@pytest.mark.parametrize(
    "text",
    [
        "example.com/cursors+a7f4c4ee+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        "example.com/cursors+a7f4c4ef+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        "example.com/cursors+a7f4c4ee+AgOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        "example.com/cursors+a7f4c4ee+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG5",
        "example.com/cursors+a7f4c4ee",
        "example.com/cursors",
        "+a7f4c4ee+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        "",
    ],
)
def test_what_a_key_is(text: str) -> None:
    try:
        key = VerifierKey.parse(text)
    except InvalidCursorError:
        assert refused(standalone.key_of, text)
    else:
        assert standalone.key_of(text) == (key.name, key.id, key.public)
