"""`tiles`: files of the tree, written whole, once, and only of the tree of the checkpoint."""

from __future__ import annotations

import os
import stat
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import ledger
from ledger import CursorKey
from ledger.evidence.tree_heads import TreeHead
from projections.cli import main

KEY = CursorKey("webhooks", "orders")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CURSOR_LEDGER_DB", "orders.db")
    ledger.make_key("orders.key", "example.com/orders")
    append(tmp_path, 300, "first.note")
    return tmp_path


def append(folder: Path, count: int, note: str) -> None:
    with ledger.open("orders.db", actor="ines") as book:
        last = book.horizon().last
        book.append([ledger.AdvanceCursor(KEY, last + n) for n in range(1, count + 1)])
        (folder / note).write_text(book.sign("orders.key"))


def tiles(note: str, into: str = "published") -> Result:
    return CliRunner().invoke(main, ["tiles", into, "--checkpoint", note])


def tree(folder: Path) -> dict[str, bytes]:
    place = folder / "published"
    files = [each for each in place.rglob("*") if each.is_file()]
    return {str(each.relative_to(place)): each.read_bytes() for each in files}


def test_the_next_call_writes_what_is_new(folder: Path) -> None:
    done = tiles("first.note")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "6 files written: the 300 entries of example.com/orders\n"
    first = tree(folder)
    assert first["checkpoint"] == (folder / "first.note").read_bytes()
    assert set(first) == {
        *("checkpoint", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"),
        *("tile/entries/000", "tile/entries/001.p/44"),
    }
    with ledger.open("orders.db") as book:
        digests = [entry.digest for entry in book.entries()]
    assert first["tile/entries/000"] == b"".join(b"\0\x20" + each for each in digests[:256])
    leaves = [sha256(b"\0" + each).digest() for each in digests]
    assert first["tile/0/000"] == b"".join(leaves[:256])
    for place in filter(Path.is_file, (folder / "published").rglob("*")):
        assert not stat.S_IMODE(place.stat().st_mode) & 0o077, place
    append(folder, 300, "second.note")
    done = tiles("second.note")
    assert done.exit_code == 0, done.output
    assert "2 were there: the 600 entries" in done.stderr
    assert {**first, **tree(folder)} == tree(folder)
    assert TreeHead.unverified((folder / "published/checkpoint").read_bytes()).entries == 600
    again = tiles("second.note")
    assert again.stderr.startswith("0 files written, 8 were there")


def test_a_checkpoint_of_another_ledger_leaves_no_checkpoint(folder: Path) -> None:
    with ledger.open("other.db", actor="ines") as book:
        book.append([ledger.AdvanceCursor(KEY, 2 * n) for n in range(1, 301)])
        ledger.make_key("other.key", "example.com/orders")
        (folder / "other.note").write_text(book.sign("other.key"))
    refused = tiles("other.note")
    assert (refused.exit_code, refused.stdout) == (5, "")
    assert "another ledger" in " ".join(refused.stderr.split())
    assert "checkpoint" not in tree(folder)
    # And what is there of one tree is never mixed with that of another.
    (folder / "published").rename(folder / "spoilt")
    assert tiles("first.note").exit_code == 0
    before = tree(folder)
    (folder / "published/tile/0/000").write_bytes(bytes(8_192))
    mixed = tiles("first.note")
    assert mixed.exit_code == 5
    assert "of another tree" in " ".join(mixed.stderr.split())
    assert set(tree(folder)) == set(before)


@pytest.mark.parametrize("note", ["orders.key", "absent.note", "empty"])
def test_what_is_no_checkpoint_writes_nothing(folder: Path, note: str) -> None:
    (folder / "empty").touch()
    refused = tiles(note)
    assert refused.exit_code in {2, 5}
    assert len(refused.stderr) > 20
    assert not (folder / "published").exists()


def test_a_file_in_the_place_of_the_folder_is_told(folder: Path) -> None:
    (folder / "published").write_text("mine")
    refused = tiles("first.note")
    assert refused.exit_code == 2
    assert (folder / "published").read_text() == "mine"


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_what_somebody_else_has_put_into_the_folder_is_not_read(folder: Path, kind: str) -> None:
    place = folder / "published/tile/entries/000"
    place.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(folder / "orders.key")
    secret = (folder / "orders.key").read_bytes()
    refused = tiles("first.note")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert f"a {kind}" in " ".join(refused.stderr.split())
    assert (folder / "orders.key").read_bytes() == secret
    assert not (folder / "published/checkpoint").exists()


def test_the_checkpoint_that_is_published_never_goes_back(folder: Path) -> None:
    append(folder, 300, "second.note")
    assert tiles("second.note").exit_code == 0
    before = tree(folder)
    refused = tiles("first.note")
    assert refused.exit_code == 2
    assert "is over 600 entries, more than the 300" in " ".join(refused.stderr.split())
    assert tree(folder) == before


@pytest.mark.parametrize("origin", ["example.com/orders", "example.com/others"])
def test_small_trees_of_two_ledgers_are_not_published_as_one(folder: Path, origin: str) -> None:
    # They have no file in common.
    for name, count in (("one", 3), ("other", 5)):
        with ledger.open(f"{name}.db", actor="ines") as book:
            book.append([ledger.AdvanceCursor(CursorKey(name, "s"), n + 1) for n in range(count)])
            ledger.make_key(f"{name}.key", origin if name == "other" else "example.com/orders")
            (folder / f"{name}.note").write_text(book.sign(f"{name}.key"))
    run = CliRunner().invoke
    done = run(main, ["--db", "one.db", "tiles", "published", "--checkpoint", "one.note"])
    assert done.exit_code == 0
    before = tree(folder)
    refused = run(main, ["--db", "other.db", "tiles", "published", "--checkpoint", "other.note"])
    assert refused.exit_code == 5
    assert "published/checkpoint" in refused.stderr
    assert tree(folder) == before


def test_a_checkpoint_there_that_is_none_is_named(folder: Path) -> None:
    assert tiles("first.note").exit_code == 0
    (folder / "published/checkpoint").write_text("mine")
    refused = tiles("first.note")
    assert refused.exit_code == 5
    assert refused.stderr.startswith("cursor-ledger: published/checkpoint: it is not a signed note")
    assert (folder / "published/checkpoint").read_text() == "mine"


def test_a_huge_file_in_the_place_of_a_tile_is_not_read(folder: Path) -> None:
    place = folder / "published/tile/entries/000"
    place.parent.mkdir(parents=True)
    place.touch()
    os.truncate(place, 1 << 40)
    refused = tiles("first.note")
    assert refused.exit_code == 5
    assert "of another tree" in " ".join(refused.stderr.split())
