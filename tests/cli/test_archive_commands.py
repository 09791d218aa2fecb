"""`archive` writes all entries and believes the disk alone; `import` makes a ledger of them."""

from __future__ import annotations

import hashlib
import json
import re
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import Result

import ledger
from ledger import Archive, InvalidCursorError, Ledger, StorageError, UnprovenError
from ledger.evidence.archives import write_archive
from ledger.exchange.exporting import json_line
from support.clock import Clock
from support.commands import COMMAND, OWNER, Run, lines
from support.cursors import JOBS, fill
from support.tampered_bundles import placed

STORES = "every"
WHO = re.compile(r'"authenticated":"[^"]*",')
NAME = "example.com/orders"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def signed(folder: Path, book: Ledger, run: Run, clock: Clock) -> Run:
    """Return what runs the command, on a ledger that leaves out positions and was signed."""
    (folder / "vkey").write_text(run("key", "new", "key", "--origin", NAME).stdout)
    with ledger.open(folder / "source.db", actor="tester", clock=clock) as source:
        fill(source, clock)
        source.start(ledger.CursorKey("began", "orders"), at=41, reason="moved", source="kafka")
        source.advance(JOBS, to=7, metadata={"name": "Grüße \u2028"})
        source.positions.declare("jobs", "zero-based")
        said = [json.loads(json_line(entry)) for entry in source.entries()]
    # As PostgreSQL leaves them out: at the beginning, in between, and one alone.
    for nth, entry in enumerate(said):
        entry["position"] += 3 + (nth > 4) * 40 + (nth > 5)
    text = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in said)
    assert run("import", "-", text=text).exit_code == 0
    (folder / "note").write_text(run("checkpoint", "--sign", "key").stdout)
    del book
    return run


def archived(run: Run, *arguments: str) -> dict[str, Any]:
    done = run("archive", *arguments)
    assert done.exit_code == 0, done.output
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def imported(run: Run, file: str, place: str = "archive.db") -> Result:
    return run("--db", place, "import", file, "--vkey", "vkey")


def test_an_archive_is_evidence_and_a_ledger_with_the_same_answers(
    signed: Run, folder: Path, book: Ledger
) -> None:
    done = signed("archive", "--sign", "key", "-o", "a.jsonl")
    count = len(list(book.entries()))
    assert done.exit_code == 0, done.output
    assert " ".join(done.stderr.split()) == (
        f"{count} entries of {NAME} archived: a.jsonl, read back and verified. Keep what is "
        "printed with the verifier key."
    )
    file = folder / "a.jsonl"
    assert json.loads(done.stdout) == {
        "file": "a.jsonl",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "size": file.stat().st_size,
        "origin": NAME,
        "entries": count,
        "root": book.checkpoint().root.hex(),
        "cursors": 4,
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    [verified] = lines(signed, "verify-evidence", "a.jsonl", "--vkey", "vkey")
    assert (verified["kind"], verified["listed"]) == ("complete", count)
    made = imported(signed, "a.jsonl")
    assert made.exit_code == 0, made.output
    with ledger.open(folder / "archive.db") as archive:
        assert list(archive.entries()) == list(book.entries())
        assert list(archive.cursors()) == list(book.cursors())
        assert archive.checkpoint() == without_origin(book)
        assert archive.verify().ok
    for asked in (
        ("entries",),
        ("history", "webhooks", "orders", "customer-7"),
        ("explain", "webhooks", "orders", "customer-7", "2"),
        ("resets",),
        ("export",),
    ):
        here, there = signed(*asked), signed("--db", "archive.db", *asked)
        assert (here.exit_code, there.exit_code) == (0, 0), asked
        # Each database notes for itself who was logged in; an archive does not have that.
        assert WHO.sub("", here.stdout) == WHO.sub("", there.stdout), asked
    again = imported(signed, "a.jsonl")
    assert f"0 entries imported, {count} there already" in again.stderr


def without_origin(book: Ledger) -> ledger.Checkpoint:
    return attrs.evolve(book.checkpoint(), origin=None)


def test_the_same_archive_is_found_again_and_nothing_else_is_written_over(
    signed: Run, folder: Path
) -> None:
    asked = ("--checkpoint", "note", "--vkey", "vkey", "-o", "a.jsonl")
    first = archived(signed, *asked)
    file = folder / "a.jsonl"
    before = file.stat()
    assert archived(signed, *asked) == first
    assert archived(signed, "--sign", "key", "-o", "a.jsonl") == first
    assert "archived already" in signed("archive", *asked).stderr
    assert file.stat().st_ino == before.st_ino
    whole = file.read_bytes()
    for other in (whole[:-1], whole + b"\n", whole.replace(b"tester", b"nobody"), b"", b"kept"):
        file.write_bytes(other)
        refused = signed("archive", *asked)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "exists, and is not this archive" in " ".join(refused.stderr.split())
        assert file.read_bytes() == other
    file.write_bytes(whole)
    signed("advance", *OWNER, "--to", "3")
    assert signed("archive", "--sign", "key", "-o", "a.jsonl").exit_code == 2
    # Under the older checkpoint, it is still this one.
    assert archived(signed, *asked) == first
    assert file.read_bytes() == whole


def test_an_older_checkpoint_archives_the_beginning(signed: Run, folder: Path) -> None:
    count = json.loads(signed("checkpoint").stdout)["entries"]
    signed("advance", *OWNER, "--to", "3")
    said = archived(signed, "--checkpoint", "note", "--vkey", "vkey", "-o", "a.jsonl")
    assert said["entries"] == count
    assert imported(signed, "a.jsonl").exit_code == 0
    more = archived(signed, "--sign", "key", "-o", "b.jsonl")
    assert more["entries"] == count + 1
    # The next one continues it.
    assert "1 entry imported" in imported(signed, "b.jsonl").stderr
    del folder


def test_what_is_not_proved_is_neither_archived_nor_imported(signed: Run, folder: Path) -> None:
    other = signed("key", "new", "other", "--origin", NAME).stdout
    (folder / "other.vkey").write_text(other)
    refused = signed("archive", "--checkpoint", "note", "--vkey", "other.vkey", "-o", "a.jsonl")
    assert refused.exit_code == 5
    foreign = signed("--db", "other.db", "advance", *OWNER, "--to", "1")
    assert foreign.exit_code == 0
    refused = signed(
        "--db", "other.db", "archive", "--checkpoint", "note", "--vkey", "vkey", "-o", "a.jsonl"
    )
    assert refused.exit_code == 5
    assert not (folder / "a.jsonl").exists()
    assert not list(folder.glob(".cursor-ledger*"))
    archived(signed, "--sign", "key", "-o", "a.jsonl")
    whole = (folder / "a.jsonl").read_bytes()
    for name, data in {
        "cut": whole[: whole.rindex(b'{"end"')],
        "edited": whole.replace(b"tester", b"nobody", 1),
        "short": whole[:-3],
        "text": b"{}\n",
    }.items():
        (folder / name).write_bytes(data)
        refused = imported(signed, name, "new.db")
        assert (refused.exit_code, refused.stdout) == (5, ""), name
    assert signed("--db", "new.db", "import", "a.jsonl", "--vkey", "other.vkey").exit_code == 5
    signed("evidence", "--by", "tester", "--sign", "key", "-o", "some.jsonl")
    refused = imported(signed, "some.jsonl", "new.db")
    assert refused.exit_code == 2
    assert "it is a selected bundle, and no archive" in " ".join(refused.stderr.split())
    # No ledger is made of what is not proved.
    assert not (folder / "new.db").exists()
    bare = signed("--db", "new.db", "import", "a.jsonl")
    assert bare.exit_code == 2
    assert "import FILE --vkey VKEY imports an archive" in " ".join(bare.stderr.split())


def test_an_archive_of_another_history_does_not_continue_a_ledger(
    signed: Run, folder: Path
) -> None:
    archived(signed, "--sign", "key", "-o", "a.jsonl")
    whole = (folder / "a.jsonl").read_bytes().splitlines(keepends=True)
    moved = placed([line.replace(b'"position":4,', b"") for line in whole], {1: 5})
    (folder / "moved.jsonl").write_bytes(b"".join(moved))
    assert signed("verify-evidence", "moved.jsonl", "--vkey", "vkey").exit_code == 0
    # Positions are what the archive says, so a ledger that has others refuses it.
    refused = imported(signed, "moved.jsonl", "archive.db")
    assert refused.exit_code == 0
    refused = signed("import", "moved.jsonl", "--vkey", "vkey")
    assert (refused.exit_code, refused.stdout) == (3, "")
    assert "does not continue the log" in " ".join(refused.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("archive", "-o", "x"), "Name either --checkpoint FILE with --vkey, or --sign KEY."),
        (("archive", "--sign", "key"), "Missing option '-o'"),
        (("archive", "--checkpoint", "note", "-o", "x"), "Name the key"),
        (("archive", "--sign", "key", "--vkey", "vkey", "-o", "x"), "--sign knows its own"),
        (("archive", "--sign", "key", "-o", "-"), "read back from the disk"),
        (("archive", "--sign", "key", "-o", "key"), "which is read"),
        (("archive", "--sign", "key", "-o", "key.signed"), "which is read"),
        (("archive", "--sign", "key", "-o", "."), "is a directory"),
        (("import", "a.jsonl", "--origin", "x"), "--origin goes with --vkey"),
        (("import", "a.jsonl", "--vkey", "vkey", "--checkpoint", "note"), "has its own checkpoint"),
    ],
    ids=lambda given: given if isinstance(given, str) else " ".join(given),
)
def test_wrong_usage_exits_with_2(
    signed: Run, folder: Path, arguments: tuple[str, ...], said: str
) -> None:
    (folder / "a.jsonl").write_text("kept")
    before = {each.name: each.read_bytes() for each in folder.iterdir() if "db" not in each.name}
    refused = signed(*arguments)
    assert (refused.exit_code, refused.stdout) == (2, ""), refused.output
    assert said in " ".join(refused.stderr.split())
    after = {each.name: each.read_bytes() for each in folder.iterdir() if "db" not in each.name}
    assert after == before


def test_a_pipe_is_not_imported(signed: Run, folder: Path, target: str) -> None:
    archived(signed, "--sign", "key", "-o", "a.jsonl")
    done = subprocess.run(
        [COMMAND, "--db", target, "import", "-", "--vkey", "vkey"],
        input=(folder / "a.jsonl").read_bytes(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert b"read twice" in done.stderr


# --- in a program ---


@pytest.fixture
def making(folder: Path, signed: Run) -> Iterator[Callable[[Iterator[bytes]], Archive]]:
    """Return what writes an archive of lines, as `Ledger.archive` does."""
    del signed
    key = ledger.VerifierKey.parse((folder / "vkey").read_text())
    yield lambda lines: write_archive("made.jsonl", lines, [key])
    assert not (folder / "made.jsonl").exists()
    assert not list(folder.glob(".cursor-ledger*"))


def nameless(folder: Path) -> Path:
    """Return the file without a name that this process has open in a folder."""
    for each in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            there = each.readlink()
            if there.parent == folder and there.name.endswith(" (deleted)"):
                return each
    raise AssertionError("there is none")


def test_a_disk_that_gives_back_something_else_is_noticed(
    making: Callable[[Iterator[bytes]], Archive], signed: Run, folder: Path
) -> None:
    for to in range(3, 9):
        signed("advance", *OWNER, "--to", to, "--meta", "x=" + "y" * 4_000)
    archived(signed, "--sign", "key", "-o", "a.jsonl")
    whole = (folder / "a.jsonl").read_bytes()

    def struck(old: bytes, new: bytes) -> Iterator[bytes]:
        """Yield the lines, and change what is in the file by then before the last one."""
        assert len(old) == len(new)
        *before, last = whole.splitlines(keepends=True)
        yield from before
        with nameless(folder).open("r+b") as file:
            file.seek(file.read().index(old))
            file.write(new)
        yield last

    if not Path("/proc/self/fd").exists():
        pytest.skip("the file has no name meanwhile, and /proc is how it is found")
    with pytest.raises(UnprovenError):
        making(struck(b"tester", b"nobody"))
    # A position is not signed, so only the SHA-256 tells.
    with pytest.raises(StorageError, match="is not what was written"):
        making(struck(b'"position":4,', b'"position":5,'))


def test_what_is_no_archive_gets_no_name(
    making: Callable[[Iterator[bytes]], Archive], book: Ledger, folder: Path
) -> None:
    note = (folder / "note").read_bytes()
    for bundle in (
        iter([b"{}\n"]),
        iter(list(book.evidence(note))[:-1]),
        iter([]),
    ):
        with pytest.raises(UnprovenError):
            making(bundle)
    with pytest.raises(InvalidCursorError, match="selected bundle, and no archive"):
        making(book.evidence(note, ledger.EntryQuery(actor="tester")))


def test_a_full_disk_leaves_nothing(signed: Run, folder: Path, target: str) -> None:
    signed("advance", *OWNER, "--to", "9", "--meta", "x=" + "y" * 4_000)
    (folder / "note").write_text(signed("checkpoint", "--sign", "key").stdout)
    done = subprocess.run(
        [
            *("bash", "-c", "trap '' XFSZ; ulimit -f 4; exec \"$@\"", "bash", COMMAND, "--db"),
            *(target, "archive", "--checkpoint", "note", "--vkey", "vkey", "-o", "a.jsonl"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert "a.jsonl could not be written" in " ".join(done.stderr.split())
    assert not (folder / "a.jsonl").exists()
    assert not list(folder.glob(".cursor-ledger*"))
