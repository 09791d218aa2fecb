"""What a check since a checkpoint notices of what is done to a file: at once, in turn, or not."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import attrs
import pytest

import ledger
from ledger import AdvanceCursor, Checkpoint, CursorKey, Ledger
from ledger.evidence.digests import GENESIS, digest_of
from ledger.evidence.merkle import BLOCK
from ledger.log.columns import CONTENT, ENTRY
from support.clock import Clock
from support.cursors import JOBS, ORDERS, fill
from support.falsified_files import FALSIFICATIONS, run
from support.tampering_tables import SECTION

TURNS = 2
FILLER = [CursorKey("filler", f"stream-{number}") for number in range(16)]


@pytest.fixture(autouse=True)
def one_block_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.evidence.kept.BLOCKS_A_TURN", 1)


def grow(book: Ledger, by: int) -> None:
    at = book.horizon().last
    book.append([AdvanceCursor(FILLER[n % 16], at + n + 1) for n in range(by)])


@attrs.frozen
class Kept:
    path: Path
    since: Checkpoint

    def turns(self) -> list[ledger.Verification]:
        """Return what is found at each turn."""
        with ledger.open(self.path) as book:
            return [book.verify(since=self.since, turn=turn) for turn in range(TURNS)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Return a ledger in which what is falsified is in the first of two blocks."""
    path, clock = tmp_path_factory.mktemp("made") / "cursors.db", Clock()
    with ledger.open(path, actor="ines", durability="normal", clock=clock) as book:
        fill(book, clock)
        grow(book, TURNS * BLOCK + 20)
        kept = Kept(path, book.checkpoint())
        grow(book, 5)
    return kept


@pytest.fixture
def full(made: Kept, path: Path) -> Kept:
    shutil.copy(made.path, path)
    return Kept(path, made.since)


def test_what_nobody_has_touched_is_not_read_whole(full: Kept) -> None:
    found = full.turns()
    assert [each.ok and each.partial is not None for each in found] == [True] * TURNS


# Of these, an entry is not needed: what the tables are is looked at each time.
AT_ONCE = {
    "a tag renamed",
    "a tag removed",
    "the tag of starts removed",
    "a tag too many",
    "a second id for a tag",
    "a trigger dropped",
    "a trigger made to refuse nothing",
    "a trigger that swallows rows",
    "a trigger on the cursors",
    "an index dropped",
    "the index of resets dropped",
    "an index of somebody else's",
    "a column added",
    "a view that shows something else",
    "a view that is gone",
    "a constraint written out of the schema",
    "the table of tags dropped",
}


@pytest.mark.parametrize("deed", FALSIFICATIONS)
def test_whatever_is_falsified_is_named_in_one_of_the_turns(full: Kept, deed: str) -> None:
    do, kind, position = FALSIFICATIONS[deed]
    do(full.path)
    with ledger.open(full.path) as book:
        whole = book.verify(full.since)
    assert not whole.ok
    found = full.turns()
    named = [each for each in found if each.partial is None]
    assert named
    for each in named:
        assert (kind, position) in {(fault.kind, fault.position) for fault in each.faults}
        assert each.faults == whole.faults
    assert all(each.ok for each in found if each.partial is not None)
    if deed in AT_ONCE:
        assert len(named) == TURNS


Story = Callable[[Ledger, Clock], object]

# --- a table of what is done by whoever has the file, and knows of the tree ---


def told(path: Path, old: Story, new: Story) -> Checkpoint:
    """Write a ledger with a part that is old and one that is new; return the checkpoint between."""
    clock = Clock()
    with ledger.open(path, durability="normal", clock=clock) as book:
        grow(book, 10)
        old(book, clock)
        # What comes then is the same, whatever was told.
        clock.now = Clock().tick(100)
        grow(book, TURNS * BLOCK)
        since = book.checkpoint()
        new(book, clock)
    return since


def story(
    cursors: tuple[CursorKey, CursorKey],
    *,
    skip: int = 0,
    lie: int = 0,
    extra: int = 0,
    until: int = 9,
) -> Story:
    """Append nine entries of two cursors; or tell it otherwise, as in `test_tampering`."""

    def tell(book: Ledger, clock: Clock) -> None:
        for nth in range(1, until + 1):
            clock.tick()
            if nth == extra:
                book.record_error(cursors[1], "HTTP 503", actor="ines")
            if nth != skip:
                book.advance(
                    cursors[nth % 3 == 0], to=nth, actor="nobody" if nth == lie else "ines"
                )

    return tell


LATE = (CursorKey("webhooks", "late"), CursorKey("mailer", "late"))
OLD, NEW = (ORDERS, JOBS), LATE
Tamper = Callable[[Path, bool], object]


def anew(**otherwise: int) -> Tamper:
    """Write the file anew, with another story and sound digests, and put the old tree into it."""

    def deed(path: Path, is_old: bool) -> None:
        rows = tree(path)
        path.unlink()
        told(
            path,
            story(OLD, **otherwise if is_old else {}),
            story(NEW, **{} if is_old else otherwise),
        )
        put(path, rows)

    return deed


def tree(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as raw:
        return raw.execute("SELECT level, number, position, root FROM ledger_tree").fetchall()


def put(path: Path, rows: list[tuple[object, ...]]) -> None:
    run("DELETE FROM ledger_tree")(path)
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.executemany("INSERT INTO ledger_tree VALUES (?, ?, ?, ?)", rows)


def sql(*statements: str) -> Tamper:
    """Run SQL in which `{0}` is the position before the story, and `{id}` the id of a cursor."""

    def deed(path: Path, is_old: bool) -> None:
        before = 10 if is_old else TURNS * BLOCK + 19
        mailer = (
            "(SELECT id FROM ledger_cursors WHERE consumer_id = 'mailer' AND stream_name = "
            f"'{(OLD if is_old else NEW)[1].stream_name}')"
        )
        end = before + 9

        def at(nth: int) -> int:
            return before + nth

        run(
            *(
                statement.format(*map(at, range(10)), id=mailer, end=end, next=end + 10_000)
                for statement in statements
            )
        )(path)

    return deed


def reordered(first: int, second: int) -> Tamper:
    return sql(
        f"UPDATE ledger_events SET position = {{next}} WHERE position = {{{first}}}",
        f"UPDATE ledger_events SET position = {{{first}}} WHERE position = {{{second}}}",
        f"UPDATE ledger_events SET position = {{{second}}} WHERE position = {{next}}",
    )


INSERTED = (
    "INSERT INTO ledger_events SELECT {next}, cursor_id, version + 1, epoch, recorded_at, actor,"
    " metadata, tag_id, sequence, sequence + 1, delivery_id, delivered_at, outcome, reason,"
    " message, occurred_at, digest FROM ledger_events WHERE position = {9}"
)
DROPPED = (
    "DELETE FROM ledger_events WHERE cursor_id = {id}",
    "DELETE FROM ledger_cursors WHERE id = {id}",
)
RENUMBERED = (
    "CREATE TEMP TABLE moved AS SELECT * FROM ledger_events WHERE position > {0}",
    "DELETE FROM ledger_events WHERE position > {0}",
    "UPDATE moved SET position = position + 5",
    "INSERT INTO ledger_events SELECT * FROM moved",
)
BY_COLUMN: dict[str, Tamper] = {
    "an entry edited": sql("UPDATE ledger_events SET actor = 'x' WHERE position = {2}"),
    "an entry deleted": sql("DELETE FROM ledger_events WHERE position = {2}"),
    "an entry inserted": sql(INSERTED),
    "entries of one cursor reordered": reordered(4, 5),
    "entries of two cursors reordered": reordered(3, 4),
    "a cursor dropped, with its entries": sql(*DROPPED),
    "an entry edited, digests and heads rewritten": anew(lie=2),
    "an entry deleted, digests and heads rewritten": anew(skip=2),
    "an entry inserted, digests and heads rewritten": anew(extra=2),
    "an entry deleted, another inserted, digests and heads rewritten": anew(skip=2, extra=8),
    "the tail cut": anew(until=7),
    "a stored cursor edited": sql("UPDATE ledger_cursors SET last_error = 'x' WHERE id = {id}"),
    "positions renumbered, in the same order": sql(*RENUMBERED),
    "a row of the tree edited, which leads to the root": sql(
        "UPDATE ledger_tree SET root = zeroblob(32) WHERE level = 1 AND number = 1"
    ),
}
WORDS = {TURNS: "at once", 0: "**not caught**"}
COLUMNS = ("done to what is new", "done to what is older")


def outcome(tmp_path: Path, deed: str, is_old: bool) -> str:
    path = tmp_path / f"{is_old}.db"
    since = told(path, story(OLD), story(NEW))
    kept = Kept(path, since)
    BY_COLUMN[deed](path, is_old)
    return WORDS.get(sum(not found.ok for found in kept.turns()), "in turn")


def document() -> dict[str, list[str]]:
    head = f"| what is done | {' | '.join(COLUMNS)} |\n"
    lines = SECTION.partition(head)[2].splitlines()[1:]
    rows = [line.strip("| ").split(" | ") for line in lines[: len(BY_COLUMN)]]
    return {deed: said for deed, *said in rows}


@pytest.mark.parametrize("deed", BY_COLUMN)
def test_when_it_is_noticed_is_what_the_table_says(tmp_path: Path, deed: str) -> None:
    assert [outcome(tmp_path, deed, is_old) for is_old in (False, True)] == document()[deed]


def test_the_document_has_no_other_row() -> None:
    assert list(document()) == list(BY_COLUMN)


@pytest.mark.parametrize("follows", [True, False])
def test_an_older_entry_that_a_new_one_follows_is_compared_at_once(
    tmp_path: Path, follows: bool
) -> None:
    """It was edited with its digest, and the tree is the one that was kept."""
    path = tmp_path / "cursors.db"
    key = ORDERS if follows else LATE[0]

    def new(book: Ledger, _: Clock) -> None:
        book.advance(key, to=50)

    since = told(path, story(OLD), new)
    rows = tree(path)
    path.unlink()
    told(path, story(OLD, lie=8), new)
    put(path, rows)
    found = [each.ok for each in Kept(path, since).turns()]
    assert found == ([False] * TURNS if follows else [False, True])


def test_an_older_entry_that_a_new_one_follows_must_say_what_its_digest_covers(
    tmp_path: Path,
) -> None:
    path = tmp_path / "cursors.db"
    since = told(path, story(OLD), lambda book, _: book.advance(ORDERS, to=50))
    run("UPDATE ledger_events SET actor = 'x' WHERE position = 18")(path)
    assert [each.ok for each in Kept(path, since).turns()] == [False] * TURNS


@pytest.mark.parametrize("shift", [-1, 1, 7])
def test_a_row_that_says_it_ends_elsewhere_hides_no_entry(path: Path, shift: int) -> None:
    """A checkpoint that ends with a block, and is signed, so that it has no position."""
    with ledger.open(path, durability="normal") as book:
        grow(book, TURNS * BLOCK)
        since = attrs.evolve(book.checkpoint(), position=0)
        for key in LATE:
            book.append([AdvanceCursor(key, to) for to in range(1, 8)])
    end = TURNS * BLOCK
    run(
        f"UPDATE ledger_tree SET position = {end + shift} WHERE position = {end}",
        f"UPDATE ledger_events SET actor = 'x' WHERE position = {end + 1}",
    )(path)
    assert [each.ok for each in Kept(path, since).turns()] == [False] * TURNS


def test_where_a_cursor_stood_must_be_proved_as_well(path: Path) -> None:
    """Of the entries that a new one follows, the last is sound, and an earlier one is replaced."""
    with ledger.open(path, durability="normal") as book:
        book.advance(ORDERS, to=5)
        # What moved it is in another block than the last, and not the entry before that one.
        for number, filled in ((500, 0), (501, BLOCK), (502, BLOCK)):
            book.record_error(ORDERS, f"HTTP {number}")
            grow(book, filled)
        since = book.checkpoint()
        with book._store.snapshot() as log:
            row = log.row_at(1)[1:-1]  # type: ignore[attr-defined]
    content = list(row[ENTRY.places(CONTENT)])
    content[CONTENT.place("sequence")] = 6
    digest = digest_of(GENESIS, tuple(content))
    run(
        f"UPDATE ledger_events SET sequence = 6, digest = x'{digest.hex()}' WHERE position = 1",
        "UPDATE ledger_cursors SET last_sequence = 6 WHERE consumer_id = 'webhooks'",
    )(path)
    with ledger.open(path, durability="normal") as book:
        book.advance(ORDERS, to=7)
    assert [each.ok for each in Kept(path, since).turns()] == [False] * TURNS


@pytest.mark.parametrize("number", [-5, 0, 21, 99, 2**62, 2**63 - 1])
def test_a_stored_cursor_without_entries_is_found_in_turn(path: Path, number: int) -> None:
    with ledger.open(path, durability="normal") as book:
        grow(book, TURNS * BLOCK + 20)
        since = book.checkpoint()
    run(
        f"INSERT INTO ledger_cursors SELECT {number}, 'invented', stream_name, subject_id, 0, '',"
        " NULL, '', updated_at, version, 0, recorded_at, digest FROM ledger_cursors WHERE id = 1"
    )(path)
    found = Kept(path, since).turns()
    assert [fault.kind for each in found for fault in each.faults] == ["missing"]


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_row_of_no_block_is_found_in_turn(full: Kept, level: int) -> None:
    run(f"INSERT INTO ledger_tree VALUES ({level}, -1, 0, zeroblob(32))")(full.path)
    found = [each for each in full.turns() if each.partial is None]
    assert len(found) == (1 if level == 1 else TURNS)
    assert {fault.kind for each in found for fault in each.faults} == {"tree"}
