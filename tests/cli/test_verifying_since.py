"""`verify --since`, and many signed checkpoints at once: what is printed, and what is refused."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import ledger
from ledger import AdvanceCursor, Checkpoint, CursorKey
from ledger.evidence.merkle import BLOCK
from ledger.stores.sqlite.whole_log import SQLiteLog
from support.commands import Run
from support.falsified_files import run as sql

KEYS = [CursorKey("mailer", f"stream-{number}") for number in range(16)]


@pytest.fixture(autouse=True)
def one_block_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.evidence.kept.BLOCKS_A_TURN", 1)


def grow(path: Path, by: int) -> None:
    with ledger.open(path, durability="normal") as book:
        at = book.horizon().last
        book.append([AdvanceCursor(KEYS[n % 16], at + n + 1) for n in range(by)])


@pytest.fixture
def since(path: Path, run: Run) -> dict[str, Path]:
    """Return a checkpoint over two blocks, as JSON and signed; 20 entries are newer."""
    grow(path, 2 * BLOCK + 10)
    key = path.with_name("key")
    files = {name: path.with_name(name) for name in ("kept.json", "signed.note", "vkey")}
    files["vkey"].write_text(run("key", "new", key, "--origin", "example.com/x").stdout)
    files["signed.note"].write_text(run("checkpoint", "--sign", key).stdout)
    earlier = files["kept.json"]
    earlier.write_text(run("checkpoint", "--json").stdout)
    grow(path, 20)
    return files


@pytest.mark.parametrize("signed", [True, False])
def test_a_table_says_what_was_not_read(run: Run, since: dict[str, Path], signed: bool) -> None:
    file = since["signed.note" if signed else "kept.json"]
    asked = ["--since", file, *(["--vkey", since["vkey"]] if signed else [])]
    done = run("verify", *asked, "--table")
    assert done.exit_code == 0, done.output
    said = " ".join(done.stdout.split())
    assert said.startswith("ok as far as it was read: 286 entries and ")
    assert f"256 entries not read: only their tree was compared with {file}. 256 older" in said
    assert "2 days read all" in said
    assert f"{file}: kept by its tree, 522 entries" in said
    assert "20 entries not covered by a checkpoint that was given" in said


def test_json_says_so_too_and_is_else_as_it_was(run: Run, since: dict[str, Path]) -> None:
    part = json.loads(run("verify", "--since", since["kept.json"], "--json").stdout)
    assert part["ok"] is True
    assert part["partial"] == {"unread": 256, "again": 256, "turns": 2}
    assert part["against"][0]["standing"] == "kept by its tree"
    whole = json.loads(run("verify", "--against", since["kept.json"], "--json").stdout)
    assert [*whole] == [name for name in part if name != "partial"]
    assert whole["entries"] == 542
    assert whole["checkpoint"] == part["checkpoint"]
    csv = run("verify", "--since", since["kept.json"], "--csv")
    assert csv.stdout.splitlines()[1].startswith("ok as far as it was read,the log,,,")


def test_everything_is_read_if_as_much_is_asked_for(run: Run, since: dict[str, Path]) -> None:
    done = run("verify", "--since", since["kept.json"], "--again", 2, "--table")
    assert done.stdout.startswith("ok: 542 entries of 16 cursors, root")
    assert "kept, 522 entries" in done.stdout


def test_what_is_wrong_is_told_as_verify_does(run: Run, path: Path, since: dict[str, Path]) -> None:
    sql("UPDATE ledger_events SET actor = 'x' WHERE position = 530")(path)
    part = run("verify", "--since", since["kept.json"], "--table")
    whole = run("verify", "--against", since["kept.json"], "--table")
    assert part.exit_code == whole.exit_code == 5
    assert (part.stdout, part.stderr) == (whole.stdout, whole.stderr)
    assert "edited" in part.stdout


def test_the_last_of_many_checkpoints_in_a_file_counts(
    run: Run, path: Path, since: dict[str, Path]
) -> None:
    with since["kept.json"].open("a") as file:
        file.write(run("checkpoint", "--json").stdout)
    grow(path, 3)
    done = run("verify", "--since", since["kept.json"], "--table")
    assert "3 entries not covered" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--since", "signed.note"], "--since has a signed checkpoint, which needs --vkey"),
        (["--again", "2"], "--again needs --since, because without it all entries are checked"),
        (["--since", "absent"], "absent"),
        (["--since", "kept.json", "--again", "0"], "0 is not in the range"),
        (["--checkpoint", "empty", "--vkey", "vkey"], "is a folder without any file that ends in"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(
    run: Run, path: Path, since: dict[str, Path], asked: list[str], said: str
) -> None:
    path.with_name("empty").mkdir()
    names = {**{name: str(file) for name, file in since.items()}, "empty": path.with_name("empty")}
    done = run("verify", *(names.get(each, each) for each in asked))
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())


@pytest.mark.parametrize("text", ["", "{", '{"entries": 1}', "[]", "x\n\n— x y\n"])
def test_what_is_no_checkpoint_is_refused(
    run: Run, path: Path, since: dict[str, Path], text: str
) -> None:
    odd = path.with_name("odd")
    odd.write_text(text)
    done = run("verify", "--since", odd, "--vkey", since["vkey"])
    assert done.exit_code in {2, 5}, done.output
    assert str(odd) in done.stderr
    assert "Traceback" not in done.stderr


# --- a year of checkpoints ---


@pytest.fixture
def days(path: Path) -> Path:
    """Return a folder with a signed checkpoint for each day of a year."""
    folder = path.with_name("days")
    folder.mkdir()
    key = path.with_name("key")
    verifier = ledger.make_key(key, "example.com/x").verifier
    path.with_name("vkey").write_text(verifier.text)
    with ledger.open(path, durability="normal") as book:
        for day in range(365):
            at = book.horizon().last
            book.append([AdvanceCursor(KEYS[n % 16], at + n + 1) for n in range(5)])
            (folder / f"{day:03}.note").write_text(book.sign(key))
    return folder


def noted(name: str, passes: list[str]) -> Callable[..., object]:
    read = getattr(SQLiteLog, name)

    def reading(*given: object) -> object:
        passes.append(name)
        return read(*given)

    return reading


@pytest.mark.slow("it checks a long log in many turns")
def test_a_year_of_checkpoints_is_checked_in_one_pass(
    run: Run, path: Path, days: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[str] = []
    for name in ("leaves", "rows", "heads"):
        monkeypatch.setattr(SQLiteLog, name, noted(name, passes))
    vkey = path.with_name("vkey")
    done = run("verify", "--checkpoint", days, "--vkey", vkey, "--json")
    assert done.exit_code == 0, done.output
    against = json.loads(done.stdout)["against"]
    assert [each["standing"] for each in against] == ["kept"] * 365
    assert [each["checkpoint"]["entries"] for each in against] == [*range(5, 1_826, 5)]
    assert sorted(passes) == ["heads", "leaves", "rows"]
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT count(*) FROM ledger_events").fetchone() == (1_825,)
    # From the hundredth day on, they cover an entry that was edited.
    sql("UPDATE ledger_events SET digest = zeroblob(32) WHERE position = 498")(path)
    done = run("verify", "--checkpoint", days, "--vkey", vkey, "--json")
    assert done.exit_code == 5
    standing = [each["standing"] for each in json.loads(done.stdout)["against"]]
    assert standing == ["kept"] * 99 + ["changed"] * 266


def test_each_of_them_is_a_note_or_named(run: Run, path: Path, days: Path) -> None:
    (days / "180.note").write_text("not a note")
    done = run("verify", "--checkpoint", days, "--vkey", path.with_name("vkey"))
    assert done.exit_code == 5
    assert "180.note: it is not a signed note" in done.stderr


def test_other_files_of_the_folder_are_left_alone(run: Run, path: Path, days: Path) -> None:
    (days / "180.note.tsr").write_text("a timestamp")
    for day in range(2, 365):
        (days / f"{day:03}.note").unlink()
    done = run("verify", "--checkpoint", days, "--vkey", path.with_name("vkey"), "--table")
    assert done.exit_code == 0
    assert f"{days / '001.note'}: kept, 10 entries" in " ".join(done.stdout.split())


@pytest.mark.slow("it checks a long log in many turns")
def test_checkpoints_of_a_year_are_compared_by_the_tree_since_the_last(
    path: Path, days: Path
) -> None:
    key = ledger.VerifierKey.parse(path.with_name("vkey").read_text())
    kept: list[Checkpoint] = [
        ledger.TreeHead.opened(file.read_text(), [key]).checkpoint
        for file in sorted(days.iterdir())
    ]
    with ledger.open(path) as book:
        found = book.verify(kept, since=kept[-1], turn=1)
        assert found.partial is not None
        assert {each.standing for each in found.against} == {ledger.Standing.BY_TREE}
        sql("UPDATE ledger_events SET digest = zeroblob(32) WHERE position = 498")(path)
        found = book.verify(kept, since=kept[-1], turn=1)
        assert not found.ok
