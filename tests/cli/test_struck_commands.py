"""kill -9 at moments of the whole run of a command: the same command, run again, completes it.

A file is what it was before, or what the command makes of it; nothing is lost, doubled or signed
twice. CURSOR_LEDGER_TEST_MOMENTS says at how many moments each command is killed.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import attrs
import pytest

import ledger
from ledger import AdvanceCursor, CursorKey, DivergedError, Ledger, TreeHead, VerifierKey
from ledger.exchange.exporting import json_line
from support.cursors import JOBS, ORDERS
from support.striking import Ended, Striker, striker

pytestmark = [
    pytest.mark.slow("it kills each command at sixteen moments"),
    pytest.mark.xdist_group("struck commands"),
]

MOMENTS = int(os.environ.get("CURSOR_LEDGER_TEST_MOMENTS", "16"))
ORIGIN, WITNESS = "example.com/orders", "example.net/ines"
# A checkpoint over the first makes no rows of the tree yet, and one over all makes two.
SIGNED, ENTRIES = 200, 700
DB = ("--db", "orders.db")

Holds = Callable[[Path, Ended], None]


@pytest.fixture(scope="module")
def strike() -> Iterator[Striker]:
    with striker() as strike:
        yield strike


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a ledger that has grown since it was signed, cosigned and published."""
    folder, later = tmp_path_factory.mktemp("before"), tmp_path_factory.mktemp("later")
    vkey = ledger.make_key(folder / "orders.key", ORIGIN).verifier
    ines = ledger.make_witness(folder / "ines.key", WITNESS).verifier
    (folder / "orders.vkey").write_text(vkey.text)
    (folder / "ines.vkey").write_text(ines.text)
    with ledger.open(folder / "orders.db", actor="tester") as book:
        book.append([AdvanceCursor(ORDERS, n) for n in range(1, SIGNED + 1)])
        old = book.sign(folder / "orders.key")
        (folder / "old.note").write_text(old)
        ledger.cosign(folder / "ines.key", old, [vkey], at=book.now())
        for path, data in book.tiles(old):
            (folder / "published" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "published" / path).write_bytes(data)
        (folder / "log.jsonl").write_text(lines_of(book))
    shutil.copy(folder / "orders.db", folder / "backup.db")
    with ledger.open(folder / "orders.db", actor="tester") as book:
        many = [CursorKey("c", "s", str(n)) for n in range(ENTRIES - SIGNED - 1)]
        book.append([AdvanceCursor(key, 1) for key in many])
        book.reset(JOBS, to=7, reason="because")
    # The next note, by a copy of the key and of the ledger, which both stay as they are.
    shutil.copytree(folder, later, dirs_exist_ok=True)
    with ledger.open(later / "orders.db") as book:
        new = book.sign(later / "orders.key")
        (folder / "new.note").write_text(new)
        (folder / "grown.txt").write_text(book.prove_growth(old, new).text)
        (folder / "all.jsonl").write_text(lines_of(book))
    return folder


def lines_of(book: Ledger) -> str:
    return "".join(json_line(entry) for entry in book.entries())


@attrs.frozen
class Campaign:
    """A command that is killed at moments of its run, in copies of a folder."""

    strike: Striker
    before: Path
    folder: Path

    def kill(
        self,
        command: tuple[str, ...],
        holds: Holds,
        done: Holds,
        *,
        advised: tuple[str, ...] = (),
    ) -> None:
        """Kill a command at moments of its run, and run it again each time.

        `holds` looks at the folder after the kill, `done` when the same command has ended, or the
        one that is `advised` by its refusal.
        """
        place, whole = self._at(0, command)
        assert whole.code == 0, whole.err
        done(place, whole)
        moments = {1 + nth * whole.moments // MOMENTS for nth in range(MOMENTS)}
        for moment in sorted(moments):
            place, ended = self._at(moment, command)
            assert ended.killed, (moment, ended)
            for each in place.rglob(".cursor-ledger-*"):
                # What a kill leaves has a name of its own, is private, and has no key in it.
                assert stat.S_IMODE(each.stat().st_mode) & 0o077 == 0
                assert b"PRIVATE+KEY" not in each.read_bytes()
            holds(place, ended)
            again = self.strike.run(place, command)
            if again.code and advised:
                assert " ".join(advised[:2]) in " ".join(again.err.split())
                again = self.strike.run(place, advised)
            assert again.code == 0, (moment, again.err)
            done(place, again)
            shutil.rmtree(place)

    def _at(self, moment: int, command: tuple[str, ...]) -> tuple[Path, Ended]:
        place = self.folder / str(moment)
        shutil.copytree(self.before, place)
        return place, self.strike.run(place, command, moment)


@pytest.fixture
def campaign(strike: Striker, before: Path, tmp_path: Path) -> Campaign:
    return Campaign(strike, before, tmp_path)


def text(place: Path, name: str) -> str:
    return (place / name).read_text("utf-8")


def is_made(place: Path, name: str, before: Path, made: str) -> bool:
    """Find a file as it was, or as it is to be, and say whether it is that."""
    was = text(before, name) if (before / name).exists() else None
    now = text(place, name) if (place / name).exists() else None
    assert now in (was, made), name
    return now == made


def sound(place: Path, name: str = "orders.db") -> str:
    """Find no fault in a ledger, its tree included, and return its entries as lines."""
    with ledger.open(place / name) as book:
        found = book.verify()
        assert found.ok, found.faults
        return lines_of(book)


# --- what is signed ---


def test_a_checkpoint_and_the_rows_of_the_tree(campaign: Campaign, before: Path) -> None:
    root = TreeHead.unverified(text(before, "new.note")).root.hex()

    def holds(place: Path, ended: Ended) -> None:
        assert sound(place) == text(before, "all.jsonl")
        assert not ended.out or root in ended.out or not ended.out.endswith("\n")

    def done(place: Path, ended: Ended) -> None:
        assert json.loads(ended.out)["root"] == root
        assert sound(place) == text(before, "all.jsonl")
        with closing(sqlite3.connect(place / "orders.db")) as raw:
            rows = raw.execute("SELECT level, number, position FROM ledger_tree").fetchall()
        assert sorted(rows) == [(1, 0, 256), (1, 1, 512)]

    campaign.kill((*DB, "checkpoint"), holds, done)


SIGNING = {
    "checkpoint": (*DB, "checkpoint", "--sign", "orders.key"),
    "proof": (*DB, "proof", "700", "--sign", "orders.key"),
    "evidence": (*DB, "evidence", "--sign", "orders.key", "-o", "evidence.jsonl"),
}


@pytest.mark.parametrize("name", SIGNING)
def test_a_key_signs_one_note_of_a_size(campaign: Campaign, before: Path, name: str) -> None:
    new = text(before, "new.note")
    vkey = VerifierKey.parse(text(before, "orders.vkey"))

    def holds(place: Path, ended: Ended) -> None:
        # What was printed, as far as it was, is on the disk by then.
        signed = is_made(place, "orders.key.signed", before, new)
        assert signed or "—" not in ended.out
        assert not (name == "checkpoint" and ended.out) or new.startswith(
            ended.out.rstrip("\ufffd")
        )
        signs_no_other(place)
        assert sound(place) == text(before, "all.jsonl")
        if (place / "evidence.jsonl").exists():
            proved(place)

    def done(place: Path, ended: Ended) -> None:
        assert text(place, "orders.key.signed") == new
        if name == "checkpoint":
            assert ended.out == new
        elif name == "proof":
            assert ledger.EntryProof.parse(ended.out).verify([vkey]).index == ENTRIES - 1
            assert ended.out.endswith(new)
        else:
            proved(place)

    def proved(place: Path) -> None:
        with (place / "evidence.jsonl").open("rb") as file:
            assert ledger.verify_evidence(file, [vkey]).listed == ENTRIES

    campaign.kill(SIGNING[name], holds, done)


def signs_no_other(place: Path) -> None:
    """Refuse another history, of as many entries as were signed last."""
    signed = TreeHead.unverified(text(place, "orders.key.signed")).entries
    with ledger.open(":memory:", actor="x") as other:
        other.append([AdvanceCursor(ORDERS, 1 + n) for n in range(1, signed + 1)])
        with pytest.raises(DivergedError):
            other.sign(place / "orders.key")


def test_a_witness_cosigns_one_history(campaign: Campaign, before: Path) -> None:
    new = TreeHead.unverified(text(before, "new.note"))
    ines = ledger.WitnessKey.parse(text(before, "ines.vkey"))

    def kept(place: Path) -> TreeHead:
        note = text(place, "ines.key.signed")
        assert len(ledger.cosignatures(note, [ines])) == 1
        return TreeHead.unverified(note)

    def holds(place: Path, ended: Ended) -> None:
        assert kept(place).entries in (SIGNED, ENTRIES)
        if ended.out.endswith("\n") and ended.out.count("—") == 2:
            assert ended.out == text(place, "ines.key.signed")

    def done(place: Path, ended: Ended) -> None:
        assert kept(place) == new
        assert ended.out == text(place, "ines.key.signed")

    options = ("--key", "ines.key", "--vkey", "orders.vkey")
    again = ("cosign", "ines.key.signed", *options)
    campaign.kill(("cosign", "grown.txt", *options), holds, done, advised=again)


@pytest.mark.parametrize("kind", ["--origin", "--witness"])
def test_a_new_key_is_one_or_is_made_again(campaign: Campaign, kind: str) -> None:
    def holds(place: Path, _: Ended) -> None:
        if (place / "new.key").exists():
            # It was made, whether or not that was told.
            signs(place, campaign.strike.run(place, ("key", "show", "new.key")).out)
            for name in ("new.key", "new.key.signed"):
                (place / name).unlink()

    def done(place: Path, ended: Ended) -> None:
        signs(place, ended.out)

    def signs(place: Path, vkey: str) -> None:
        assert stat.S_IMODE((place / "new.key").stat().st_mode) == 0o600
        with ledger.open(place / "orders.db") as book:
            if kind == "--origin":
                note = book.sign(place / "new.key")
                TreeHead.opened(note, [VerifierKey.parse(vkey)])
            else:
                key = VerifierKey.parse(text(place, "orders.vkey"))
                old = text(place, "old.note")
                note = ledger.cosign(place / "new.key", old, [key], at=book.now())
                assert ledger.cosignatures(note, [ledger.WitnessKey.parse(vkey)])

    campaign.kill(("key", "new", "new.key", kind, ORIGIN), holds, done)


# --- what is written out, and read in ---


def test_an_export_and_its_checkpoint(campaign: Campaign, before: Path) -> None:
    everything = text(before, "all.jsonl")

    def holds(place: Path, ended: Ended) -> None:
        is_made(place, "log.jsonl", before, everything)
        if (place / "log.checkpoint").exists():
            done(place, ended)

    def done(place: Path, _: Ended) -> None:
        assert text(place, "log.jsonl") == everything
        kept = json.loads(text(place, "log.checkpoint"))
        assert (kept["entries"], kept["position"]) == (ENTRIES, ENTRIES)

    command = (*DB, "export", "-o", "log.jsonl", "--checkpoint", "log.checkpoint")
    campaign.kill(command, holds, done)


@pytest.mark.parametrize("target", ["new.db", "backup.db"])
def test_an_import(campaign: Campaign, before: Path, target: str) -> None:
    everything = text(before, "all.jsonl")

    def holds(place: Path, _: Ended) -> None:
        if (place / target).exists() and (place / target).stat().st_size:
            there = sound(place, target)
            assert everything.startswith(there)
            assert not (target == "backup.db" and there.count("\n") < SIGNED)

    def done(place: Path, ended: Ended) -> None:
        assert json.loads(ended.out)["entries"] == ENTRIES
        assert sound(place, target) == everything

    campaign.kill(("--db", target, "import", "all.jsonl"), holds, done)


def test_tiles_that_are_published(campaign: Campaign, before: Path) -> None:
    with ledger.open(before / "orders.db") as book:
        made = {path: data.decode("latin-1") for path, data in book.tiles(text(before, "new.note"))}

    def holds(place: Path, _: Ended) -> None:
        there = [path for path in made if is_there(place, path)]
        # The checkpoint is the last, so that whoever reads it finds its tree.
        assert "checkpoint" not in there or len(there) == len(made)

    def is_there(place: Path, path: str) -> bool:
        name, old = place / "published" / path, before / "published" / path
        now = name.read_bytes().decode("latin-1") if name.exists() else None
        assert now in (old.read_bytes().decode("latin-1") if old.exists() else None, made[path])
        return now == made[path]

    def done(place: Path, _: Ended) -> None:
        assert all(is_there(place, path) for path in made)

    command = (*DB, "tiles", "published", "--checkpoint", "new.note")
    campaign.kill(command, holds, done)


def test_a_backup(campaign: Campaign, before: Path) -> None:
    def holds(place: Path, _: Ended) -> None:
        if (place / "copy.db").exists():
            assert sound(place, "copy.db") == text(before, "all.jsonl")
            (place / "copy.db").unlink()
        assert sound(place) == text(before, "all.jsonl")

    def done(place: Path, ended: Ended) -> None:
        assert json.loads(ended.out)["entries"] == ENTRIES
        assert sound(place, "copy.db") == text(before, "all.jsonl")

    campaign.kill((*DB, "backup", "copy.db"), holds, done)


def test_a_restore(campaign: Campaign, before: Path) -> None:
    old, new = text(before, "all.jsonl"), text(before, "log.jsonl")
    lost = str(ENTRIES - SIGNED)

    def holds(place: Path, _: Ended) -> None:
        there = sound(place)
        assert there in (old, new)
        if there == new:
            assert any(sound(place, each.name) == old for each in kept(place))

    def done(place: Path, _: Ended) -> None:
        assert sound(place) == new
        # No two names lead to one ledger, whose log would be beside one of them only.
        assert not any(each.samefile(place / "orders.db") for each in kept(place))
        there = [sound(place, each.name) for each in kept(place)]
        # One that was killed behind its last step has put the backup in the place of itself.
        assert there in ([old], [old, new])

    def kept(place: Path) -> list[Path]:
        there = sorted(place.glob("orders.db.before-restore-*"))
        return [each for each in there if each.name[-4:] not in ("-wal", "-shm")]

    command = (*DB, "restore", "backup.db", "--lose", lost)
    campaign.kill(command, holds, done)
