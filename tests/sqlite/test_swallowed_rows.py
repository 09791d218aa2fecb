"""An append that a planted trigger swallows is refused: what is acknowledged is stored."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import ledger
from ledger import AdvanceCursor, Ledger, StorageError
from support.cursors import JOBS, ORDERS

SWALLOWED = {
    "every entry": "BEFORE INSERT ON main.ledger_events",
    "one entry of many": "BEFORE INSERT ON main.ledger_events WHEN NEW.sequence = 7",
    "every new cursor": "BEFORE INSERT ON main.ledger_cursors",
    "every cursor that moves": "BEFORE UPDATE ON main.ledger_cursors",
}


def one(book: Ledger) -> None:
    book.advance(ORDERS, to=7)


def new(book: Ledger) -> None:
    book.advance(JOBS, to=7)


def many(book: Ledger) -> None:
    book.append([AdvanceCursor(key, n) for key in (ORDERS, JOBS) for n in range(2, 10)])


def submitted(book: Ledger) -> None:
    asked = [book.submit(AdvanceCursor(key, 7)) for key in (ORDERS, JOBS)]
    # Both, or the second may be appended when the trigger is gone.
    for future in asked:
        future.exception()
    asked[0].result()


def planted(connection: sqlite3.Connection, when: str, *, temporary: bool) -> None:
    if not temporary:
        when = when.replace("main.", "")
    connection.execute(
        f"CREATE {'TEMP' if temporary else ''} TRIGGER planted {when}"
        " BEGIN SELECT RAISE(IGNORE); END"
    )


@pytest.fixture
def raw(book: Ledger, path: Path) -> Iterator[sqlite3.Connection]:
    book.advance(ORDERS, to=1)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        yield raw


CASES = [
    (deed, what)
    for deed in (one, new, many)
    for what in SWALLOWED
    if (deed, what) not in {(one, "every new cursor"), (new, "every cursor that moves")}
]


@pytest.mark.parametrize(("deed", "what"), [*CASES, (submitted, "every entry")])
def test_what_a_trigger_swallows_was_not_appended(
    book: Ledger, raw: sqlite3.Connection, deed: Callable[[Ledger], None], what: str
) -> None:
    planted(raw, SWALLOWED[what], temporary=False)
    with pytest.raises(StorageError, match=r"swallowed.*Nothing was appended"):
        deed(book)
    raw.execute("DROP TRIGGER planted")
    assert [cursor.last_sequence for cursor in book.cursors()] == [1]
    assert (book.verify().ok, book.verify().entries) == (True, 1)
    many(book)
    assert (book.verify().ok, book.verify().entries) == (True, 17)


@pytest.mark.parametrize("temporary", [False, True])
@pytest.mark.parametrize(("deed", "what"), CASES)
def test_what_a_trigger_swallows_on_a_lent_connection_was_not_appended(
    book: Ledger,
    raw: sqlite3.Connection,
    deed: Callable[[Ledger], None],
    what: str,
    temporary: bool,
) -> None:
    planted(raw, SWALLOWED[what], temporary=temporary)
    raw.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match=r"swallowed.*Nothing was appended"):
        deed(book.using(raw))
    raw.execute("COMMIT")
    found = book.verify()
    assert found.entries == 1
    assert [fault.kind for fault in found.faults] == [ledger.FaultKind.FOREIGN] * (not temporary)


def test_a_copy_that_is_swallowed_is_refused(book: Ledger, tmp_path: Path) -> None:
    book.advance(ORDERS, to=1)
    with ledger.open(tmp_path / "copy.db") as copy:
        with closing(sqlite3.connect(tmp_path / "copy.db")) as there:
            planted(there, SWALLOWED["every entry"], temporary=False)
        with pytest.raises(StorageError, match="swallowed"):
            book.copy_to(copy)
        assert not list(copy.entries())


def test_a_repair_that_is_swallowed_is_refused(book: Ledger, raw: sqlite3.Connection) -> None:
    raw.execute("UPDATE ledger_cursors SET last_sequence = 9")
    planted(raw, SWALLOWED["every cursor that moves"], temporary=False)
    with pytest.raises(StorageError, match="swallowed"):
        book.rebuild()
    raw.execute("DROP TRIGGER planted")
    assert len(book.rebuild().repaired) == 1
