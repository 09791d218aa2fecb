"""What a trigger or a rule keeps away is never acknowledged, however it was to be stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import ledger
from ledger import AdvanceCursor, CursorKey, Ledger, StorageError
from support.cursors import JOBS, ORDERS
from support.servers import connect

KEYS = [CursorKey(f"c{n}", "orders") for n in range(40)]
WORK: dict[str, Callable[[Ledger], object]] = {
    "one that is remembered": lambda book: book.advance(ORDERS, to=9),
    "a few that are remembered": lambda book: book.append(
        [AdvanceCursor(key, to) for to in (7, 8, 9) for key in (ORDERS, JOBS)]
    ),
    "one under its lock": lambda book: book.reset(ORDERS, to=9, reason="x"),
    "some old and new ones": lambda book: book.append(
        [AdvanceCursor(key, 9) for key in (ORDERS, JOBS, *KEYS[:5])]
    ),
    "many by COPY": lambda book: book.append([AdvanceCursor(ORDERS, to) for to in range(9, 99)]),
    "many new ones by COPY": lambda book: book.append([AdvanceCursor(key, 9) for key in KEYS]),
}
# A table, what is done to it, and which rows of it are kept away.
SWALLOWING = {
    "events": ("ledger_events", "INSERT", "true"),
    "the last event": ("ledger_events", "INSERT", "NEW.sequence IN (9, 98)"),
    "moves": ("ledger_cursors", "UPDATE", "true"),
    "one move": ("ledger_cursors", "UPDATE", "NEW.consumer_id = 'webhooks'"),
    "new cursors": ("ledger_cursors", "INSERT", "NEW.consumer_id IN ('c1', 'c2')"),
}
CASES = [
    (work, kept)
    for kept in SWALLOWING
    for work in WORK
    if not (kept == "new cursors" and "new" not in work)
    and not (SWALLOWING[kept][1] == "UPDATE" and work == "many new ones by COPY")
]


@contextmanager
def swallowing(target: str, name: str) -> Iterator[None]:
    table, event, which = SWALLOWING[name]
    with connect(target) as owner:
        owner.execute(
            f"""
            CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS
                'BEGIN RETURN NULL; END';
            CREATE TRIGGER a_swallow BEFORE {event} ON {table}
                FOR EACH ROW WHEN ({which}) EXECUTE FUNCTION swallow()
            """.encode()
        )
        yield
        owner.execute("DROP FUNCTION swallow CASCADE")


def do(book: Ledger, work: str, *, lent_to: str | None) -> None:
    if lent_to is None:
        WORK[work](book)
        return
    with connect(lent_to, autocommit=False) as caller:
        WORK[work](book.using(caller))


@pytest.mark.parametrize("lent", [False, True], ids=["own", "lent"])
@pytest.mark.parametrize(("work", "kept"), CASES)
def test_it_is_an_error_and_nothing_is_appended(
    target: str, book: Ledger, work: str, kept: str, lent: bool
) -> None:
    for key in (ORDERS, JOBS):
        book.advance(key, to=1)
    before = (list(book.cursors()), list(book.entries()))
    with swallowing(target, kept):
        with pytest.raises(StorageError, match=f"{SWALLOWING[kept][0]} has stored") as refused:
            do(book, work, lent_to=target if lent else None)
        assert "a trigger on it keeps rows away. Nothing was appended" in str(refused.value)
        assert (list(book.cursors()), list(book.entries())) == before
    assert book.verify().ok
    # Nor has anything stayed behind in the memory of the ledger.
    WORK[work](book)
    assert book.verify().ok


@pytest.mark.parametrize("work", [work for work in WORK if "COPY" not in work])
def test_a_rule_is_an_error_too(target: str, book: Ledger, work: str) -> None:
    for key in (ORDERS, JOBS):
        book.advance(key, to=1)
    before = (list(book.cursors()), list(book.entries()))
    with connect(target) as owner:
        owner.execute("CREATE RULE swallow AS ON INSERT TO ledger_events DO INSTEAD NOTHING")
        with pytest.raises(StorageError, match="ledger_events"):
            WORK[work](book)
        owner.execute("DROP RULE swallow ON ledger_events")
    assert (list(book.cursors()), list(book.entries())) == before
    assert book.verify().ok


def test_a_cursor_that_cannot_be_made_anew_is_said_to(target: str, book: Ledger) -> None:
    book.advance(ORDERS, to=1)
    with connect(target) as owner:
        owner.execute("UPDATE ledger_cursors SET last_sequence = 7")
    with (
        swallowing(target, "moves"),
        pytest.raises(StorageError, match="ledger_cursors has stored"),
    ):
        book.rebuild()
    assert not book.verify().ok
    assert len(book.rebuild().repaired) == 1


def test_entries_that_are_copied_are_counted_as_well(target: str, book: Ledger) -> None:
    with ledger.open(":memory:", actor="a") as source:
        for to in range(1, 99):
            source.advance(ORDERS, to=to)
        with swallowing(target, "the last event"), pytest.raises(StorageError, match="has stored"):
            source.copy_to(book)
        assert list(book.entries()) == []
        source.copy_to(book)
    assert book.verify().ok
