"""Archives, their imports and prunes are killed: each is whole or not there, and finished later."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

import ledger
from ledger import AdvanceCursor, CursorKey
from ledger.exchange import retention
from support.clock import Clock
from support.cursors import ORDERS
from support.struck import MOMENTS, done_s, strike

ENTRIES = 2_001


@attrs.frozen
class Struck:
    """A ledger that was signed, in a folder with its key."""

    folder: Path
    path: Path
    whole: bytes

    @property
    def archiving(self) -> list[object]:
        return ["--db", self.path, "archive", "--sign", self.folder / "key", "-o", self.archive]

    @property
    def archive(self) -> Path:
        return self.folder / "archive.jsonl"

    def parts(self) -> list[Path]:
        """Return what a kill has left; it is private, and removed."""
        found = list(self.folder.glob(".cursor-ledger-*"))
        for part in found:
            assert part.stat().st_mode & 0o077 == 0
            part.unlink()
        return found


@pytest.fixture
def struck(tmp_path: Path, path: Path) -> Struck:
    clock = Clock()
    clock.now = datetime.now(UTC) - timedelta(days=30)
    key = ledger.make_key(tmp_path / "key", "example.com/cursors")
    (tmp_path / "vkey").write_text(key.verifier.text)
    with ledger.open(path, actor="tester", clock=clock) as book:
        retention.keep(book, timedelta(days=1), reason="a rule")
        book.append([AdvanceCursor(ORDERS, n) for n in range(1, ENTRIES // 2 + 1)])
        book.append([AdvanceCursor(CursorKey("c", "s", f"{n}"), 1) for n in range(ENTRIES // 2)])
        whole = b"".join(book.evidence(book.sign(tmp_path / "key")))
    return Struck(tmp_path, path, whole)


@pytest.mark.slow("it kills archives at many moments")
def test_an_archive_that_is_killed_is_whole_or_not_there(struck: Struck) -> None:
    chance, found = random.Random(42), Counter[bool]()
    whole_s = done_s(struck.archiving)
    for _ in range(MOMENTS):
        struck.archive.unlink()
        found[strike(struck.archiving, whole_s, chance)] += 1
        assert not struck.archive.exists() or struck.archive.read_bytes() == struck.whole
        struck.parts()
        done_s(struck.archiving)
        assert struck.archive.read_bytes() == struck.whole
    assert entries(struck.path) == ENTRIES
    assert found[True] > MOMENTS // 3, found


@pytest.mark.slow("it kills imports at many moments")
def test_the_import_of_an_archive_that_is_killed_goes_on(struck: Struck) -> None:
    done_s(struck.archiving)
    chance, found = random.Random(43), Counter[str]()
    copy = struck.folder / "copy.db"
    asked = ["--db", copy, "import", struck.archive, "--vkey", struck.folder / "vkey"]
    whole_s = done_s(asked)
    for _ in range(MOMENTS):
        for end in ("", "-wal", "-shm"):
            copy.with_name(copy.name + end).unlink(missing_ok=True)
        found["killed"] += strike(asked, whole_s, chance)
        found["begun"] += 0 < entries(copy) < ENTRIES
        done_s(asked)
        assert entries(copy) == ENTRIES
    assert found["killed"] > MOMENTS // 3, found


@pytest.mark.slow("it kills prunes at many moments")
def test_a_prune_that_is_killed_leaves_the_old_ledger_or_the_new(struck: Struck) -> None:
    done_s(struck.archiving)
    folder = struck.folder / "pruned"
    folder.mkdir()
    place, original = folder / "cursors.db", struck.folder / "original.db"
    with ledger.open(struck.path, actor="tester") as book:
        book.advance(ORDERS, to=5_000)
        before = book.checkpoint()
    shutil.copy(struck.path, original)
    asked = ["--db", place, "prune", struck.archive, "--vkey", struck.folder / "vkey"]
    asked += ["--reason", "a year is over", "--actor", "ines", "--execute"]
    chance, found = random.Random(44), Counter[str]()
    shutil.copy(original, place)
    whole_s = done_s(asked)
    for _ in range(MOMENTS):
        for each in folder.iterdir():
            each.unlink()
        shutil.copy(original, place)
        found["killed"] += strike(asked, whole_s, chance)
        found[state(place, before)] += 1
        for part in folder.glob(".cursor-ledger-*"):
            assert part.stat().st_mode & 0o077 == 0
        # The same command finishes it, once.
        done_s(asked)
        assert state(place, before) == "pruned"
        with ledger.open(place) as book:
            assert book.checkpoint().entries == before.entries + 1
    assert found["killed"] > MOMENTS // 3, found
    assert found["whole"] > 2, found


def state(place: Path, before: ledger.Checkpoint) -> str:
    """Return whether a ledger is the old one or the new one; it must be one of them, and sound."""
    with ledger.open(place) as book:
        found = book.verify(before)
        assert found.ok, found.faults
        assert book.get(ORDERS).last_sequence == 5_000
    assert found.checkpoint.entries == before.entries + bool(found.archived)
    assert found.archived in (0, ENTRIES)
    return "pruned" if found.archived else "whole"


def entries(place: Path) -> int:
    """Return how many entries are in a file, which must be sound."""
    if not place.exists() or not place.stat().st_size:
        return 0
    with ledger.open(place) as book:
        found = book.verify()
    assert found.ok, found.faults
    return found.entries
