"""Every store can be checked since a checkpoint: what is new, and what is older in turn."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

import ledger
from ledger import (
    NEXT,
    AdvanceCursor,
    Checkpoint,
    CursorKey,
    InvalidCursorError,
    Ledger,
    RecordError,
    ResetCursor,
    Standing,
    StartCursor,
    TreeHead,
)
from ledger.errors import BrokenChainError
from ledger.evidence.chains import CursorCheck
from ledger.evidence.merkle import BLOCK
from ledger.evidence.source import paired
from ledger.evidence.spans import begun, check_heads, check_span
from support.clock import Clock
from support.cursors import JOBS, ORDERS, chain

KEYS = [CursorKey("mailer", f"stream-{number}") for number in range(16)]
BLOCKS = 5


@pytest.fixture(autouse=True)
def one_block_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.evidence.kept.BLOCKS_A_TURN", 1)


def grow(book: Ledger, by: int) -> None:
    at = book.horizon().last
    book.append([AdvanceCursor(KEYS[n % 16], at + n + 1) for n in range(by)])


def live(book: Ledger, clock: Clock) -> None:
    """Append what makes it hard to say where a cursor stands by its last entry."""
    later = clock.now + timedelta(days=1)
    for request in (
        RecordError(ORDERS, "before there was a cursor"),
        RecordError(ORDERS, "HTTP 503"),
        AdvanceCursor(ORDERS, 4, delivery_id="d-4"),
        AdvanceCursor(ORDERS, 4, delivery_id="d-4", last_delivered_at=later),
        AdvanceCursor(ORDERS, 4, delivery_id="d-4"),
        RecordError(ORDERS, "HTTP 500"),
        RecordError(ORDERS, "HTTP 501"),
        ResetCursor(ORDERS, 2, "again"),
        RecordError(ORDERS, "HTTP 502"),
        AdvanceCursor(ORDERS, 2, last_delivered_at=later),
        AdvanceCursor(ORDERS, 2),
        RecordError(ORDERS, "HTTP 504"),
        AdvanceCursor(ORDERS, 9),
        ResetCursor(ORDERS, 2, "again", last_delivered_at=later, last_delivery_id="d-2"),
        AdvanceCursor(ORDERS, 2, delivery_id="d-2"),
        ResetCursor(ORDERS, 0, "from the first one"),
        RecordError(ORDERS, "HTTP 505"),
        StartCursor(JOBS, 7, "moved here", source="kafka"),
        AdvanceCursor(JOBS, 7),
        RecordError(JOBS, "HTTP 506"),
        AdvanceCursor(JOBS, 7),
        AdvanceCursor(JOBS, 8),
    ):
        clock.tick()
        book.append([request])
    token = CursorKey("changes", "orders")
    chain(book, "a", "b", key=token)
    for after in ("a", "b"):
        clock.tick()
        book.advance(token, to=NEXT, delivery_id="b", after=after)


@pytest.fixture
def kept(book: Ledger, clock: Clock) -> Checkpoint:
    """Return a checkpoint over five full blocks, and some entries behind them."""
    live(book, clock)
    grow(book, BLOCKS * BLOCK)
    return book.checkpoint()


def test_where_a_cursor_stands_is_found_by_few_of_its_entries(book: Ledger, clock: Clock) -> None:
    live(book, clock)
    with book._store.snapshot() as log:
        for head, rows in paired(log):
            assert head is not None
            check, before = CursorCheck(place=head[1]), None
            for row in rows:
                assert not list(check.follow(row))
                found = begun(log, (head[0], *row, before))  # type: ignore[arg-type]
                assert attrs.evolve(found, place=head[1]) == check
                before = row[-1]
            assert check.compare(head[2]) is None


@pytest.mark.slow("it checks a long log in many turns")
def test_each_span_can_be_checked_alone(book: Ledger, clock: Clock) -> None:
    live(book, clock)
    positions = [0, *(entry.position for entry in book.entries())]
    with book._store.snapshot() as log:
        for first, after in enumerate(positions):
            assert check_span(log, after)[0] == len(positions) - 1 - first  # type: ignore[arg-type]
            for last, until in enumerate(positions[first:], first):
                found, _ = check_span(log, after, until)  # type: ignore[arg-type]
                assert found == last - first


@pytest.mark.parametrize("parts", [1, 2, 8, 64, 1 << 20])
def test_each_stored_cursor_is_in_one_of_the_parts(book: Ledger, parts: int) -> None:
    grow(book, 16)
    with book._store.snapshot() as log:
        heads = [head for head, *_ in log.heads()]
        each: dict[int, int] = {}
        for part in range(parts) if parts <= 64 else ():
            for head, *_ in log.heads(log.share(part, parts)):  # type: ignore[attr-defined]
                assert each.setdefault(head, part) == part
        assert parts > 64 or sorted(each) == heads
        halves = [log.share(part, 2 * parts) for part in (2 * (parts // 3), 2 * (parts // 3) + 1)]  # type: ignore[attr-defined]
        assert halves[0].end == halves[1].first
        assert check_heads(log, log.share(0, 1)) == 16  # type: ignore[arg-type, attr-defined]


@pytest.mark.slow("it checks a long log in many turns")
def test_what_is_new_is_read_and_the_rest_in_turn(book: Ledger, kept: Checkpoint) -> None:
    grow(book, 100)
    whole, old, turns = book.verify(kept), kept.entries // BLOCK * BLOCK, 8
    cursors = 0
    for turn in range(turns):
        found = book.verify(since=kept, turn=turn)
        assert found.ok
        assert found.partial == ledger.Partial(unread=old - BLOCK, again=BLOCK, turns=turns)
        assert found.entries == kept.entries - old + 100 + BLOCK
        assert (found.checkpoint, found.checkpoint.first) == (
            whole.checkpoint,
            whole.checkpoint.first,
        )
        assert (found.unvouched, found.unsettled) == (100, 0)
        [compared] = found.against
        assert (compared.checkpoint, compared.standing) == (kept, Standing.BY_TREE)
        cursors += found.cursors - 16
    assert cursors == whole.cursors
    for again, needed in ((2, 4), (3, 3), (7, 2)):
        found = book.verify(since=kept, turn=5, again=again)
        assert found.partial is not None
        assert found.partial.turns == needed
    # Parts that come twice are counted once.
    for again in range(1, turns):
        for turn in range(turns):
            found = book.verify(since=kept, turn=turn, again=again)
            assert found.partial is not None
            assert 0 <= found.partial.unread == old - found.partial.again
            assert found.entries == kept.entries - old + 100 + found.partial.again
    # As much as there is.
    assert book.verify(since=kept, again=turns) == attrs.evolve(whole, against=whole.against)


def test_other_checkpoints_are_compared_with_the_tree(book: Ledger, tmp_path: Path) -> None:
    key = ledger.make_key(tmp_path / "key", "example.com/cursors").verifier
    days: list[Checkpoint] = []
    for by in (0, 1, 255, 1, 300, 512, 400, 90):
        grow(book, by)
        note = book.sign(tmp_path / "key")
        days += [book.checkpoint(), TreeHead.opened(note, [key]).checkpoint]
    for since in days[-4:]:
        found = book.verify(days, since=since, turn=1)
        assert found.partial is not None
        assert [each.standing for each in found.against] == [Standing.BY_TREE] * 17
        assert [each.checkpoint.entries for each in found.against[1:]] == [
            each.entries for each in days
        ]
    other = attrs.evolve(days[4], root=bytes(32))
    found = book.verify([*days, other], since=days[-2], turn=1)
    assert (found.partial, found.ok, found.against[-1].standing) == (None, False, "changed")


def test_what_the_tree_does_not_lead_to_is_read_whole(book: Ledger, kept: Checkpoint) -> None:
    for since, standing in (
        (attrs.evolve(kept, root=bytes(32)), Standing.CHANGED),
        (attrs.evolve(kept, position=kept.position + 1), Standing.CHANGED),
        (attrs.evolve(kept, entries=kept.entries + 1), Standing.CUT_OFF),
        (attrs.evolve(kept, entries=10**15), Standing.CUT_OFF),
        (attrs.evolve(kept, root=bytes(32), first=bytes(32)), Standing.OTHER),
    ):
        found = book.verify(since=since, turn=1)
        assert (found.partial, found.ok) == (None, False)
        assert found.against[0].standing is standing
        assert found.entries == kept.entries


def test_where_little_is_older_or_nothing_is_kept_all_is_read(book: Ledger, clock: Clock) -> None:
    live(book, clock)
    few = book.checkpoint()
    grow(book, BLOCKS * BLOCK)
    late = book.checkpoint()
    with ledger.open(":memory:") as copy:
        book.copy_to(copy)
        for since in (few, late):
            found = copy.verify(since=since)
            assert (found.ok, found.partial, found.against[0].standing) == (True, None, "kept")
    found = book.verify(since=few)
    assert (found.ok, found.partial, found.against[0].standing) == (True, None, "kept")


def test_what_was_kept_after_the_checkpoint_is_compared(book: Ledger, kept: Checkpoint) -> None:
    grow(book, 2 * BLOCK)
    book.checkpoint()
    assert book.verify(since=kept, turn=1).partial is not None
    grow(book, BLOCK)
    with book._store.snapshot() as log:
        last = max(row for row in log.tree_rows(1))  # type: ignore[attr-defined]
    forged = last._replace(number=last.number + 1, position=last.position + 256)
    book._store.keep_tree([forged])  # type: ignore[attr-defined]
    found = book.verify(since=kept, turn=1)
    assert (found.partial, [fault.kind for fault in found.faults]) == (None, ["tree"])


def test_a_long_silence_of_a_cursor_is_no_gap(book: Ledger, kept: Checkpoint) -> None:
    """Its last entry is in a block that is read because of the new one."""
    book.record_error(JOBS, "HTTP 507")
    book.advance(ORDERS, to=1)
    for turn in range(8):
        assert book.verify(since=kept, turn=turn).partial is not None


def test_progress_is_told(book: Ledger, kept: Checkpoint) -> None:
    grow(book, 10_000)
    told: list[int] = []
    found = book.verify(since=kept, turn=1, progress=told.append)
    assert found.partial is not None
    assert told == [10_000, found.entries]


@pytest.mark.parametrize(
    "given",
    [
        {"since": "tuesday.note"},
        {"since": [Checkpoint(entries=0, position=0, root=bytes(32))]},
        {"again": 0},
        {"again": True},
        {"turn": -1},
        {"turn": "monday"},
    ],
)
def test_what_cannot_be_meant_is_refused(book: Ledger, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidCursorError, match=next(iter(given))):
        book.verify(**given)


def test_a_damaged_log_is_left_to_who_reads_all(
    book: Ledger, kept: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    with book._store.snapshot() as log:
        kind = type(log)

    def damaged(*_: object) -> Iterator[Any]:
        raise BrokenChainError("the database", "it cannot be read")

    for method in ("rows_between", "rows_before", "heads_behind", "last_rows", "definitions"):
        with monkeypatch.context() as patch:
            patch.setattr(kind, method, damaged)
            found = book.verify(since=kept, turn=1)
            assert (found.ok, found.partial) == (True, None)
