"""Every public function of the ledger, on bad input and in bad hours."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import ledger
from ledger import (
    AdvanceCursor,
    Cursor,
    CursorNotFoundError,
    CursorQuery,
    EntryQuery,
    ErrorRecorded,
    InvalidCursorError,
    Ledger,
    LedgerError,
    NonMonotonicCursorError,
    ResetCursor,
    StaleEpochError,
)
from support.clock import Clock
from support.cursors import JOBS, ORDERS

NAIVE = datetime(2026, 5, 5)  # noqa: DTZ001 - naive on purpose

BAD_CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    *[("get", (key,), {}) for key in (None, "webhooks", ("webhooks", "orders"), 7)],
    *[("history", (key,), {}) for key in (None, "webhooks")],
    *[("cursors", (query,), {}) for query in ("all", 7, b"", EntryQuery())],
    *[("entries", (query,), {}) for query in ("all", 7, CursorQuery())],
    ("advance", ("webhooks",), {"to": 9}),
    *[("advance", (ORDERS,), {"to": to}) for to in (0, -1, 2**63, "9", 9.0, True, None)],
    ("advance", (ORDERS,), {"to": 9, "delivery_id": None}),
    ("advance", (ORDERS,), {"to": 9, "delivery_id": "x" * 513}),
    ("advance", (ORDERS,), {"to": 9, "delivered_at": NAIVE}),
    ("advance", (ORDERS,), {"to": 9, "now": "now"}),
    ("advance", (ORDERS,), {"to": 9, "outcome": "lost"}),
    ("advance", (ORDERS,), {"to": 9, "actor": b"x"}),
    ("advance", (ORDERS,), {"to": 9, "epoch": -1}),
    ("advance", (ORDERS,), {"to": 9, "expected_version": "1"}),
    ("advance", (ORDERS,), {"to": 9, "metadata": {"a": 1}}),
    ("reset", (None,), {"to": 1, "reason": "x"}),
    *[("reset", (ORDERS,), {"to": to, "reason": "x"}) for to in (-1, 2**63, "1", None)],
    *[("reset", (ORDERS,), {"to": 1, "reason": why}) for why in (None, 7, "\0", "x" * 4_097)],
    ("record_error", (ORDERS, ""), {}),
    ("record_error", (ORDERS, None), {}),
    ("record_error", (ORDERS, ValueError("x")), {}),
    ("record_error", (None, "x"), {}),
    *[("append", (asked,), {}) for asked in (None, 7, AdvanceCursor(ORDERS, 9))],
    *[("append", ([AdvanceCursor(ORDERS, 9), bad],), {}) for bad in (None, "advance", 7, ORDERS)],
    ("append_each", ([AdvanceCursor(ORDERS, 9), None],), {}),
    ("append_each", (7,), {}),
    ("verify", ("checkpoint",), {}),
    ("verify", (b"\0" * 32,), {}),
    ("using", ("connection",), {}),
]


@pytest.mark.parametrize(("method", "given", "named"), BAD_CALLS)
def test_bad_input_is_refused_and_changes_nothing(
    book: Ledger, method: str, given: tuple[Any, ...], named: dict[str, Any]
) -> None:
    book.advance(ORDERS, to=5)
    before = book.checkpoint()
    with pytest.raises(InvalidCursorError):
        getattr(book, method)(*given, **named)
    assert book.checkpoint() == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"actor": None},
        {"actor": "x" * 513},
        {"clock": NAIVE},
        {"durability": "none"},
        {"durability": True},
        *[{"busy_timeout_s": value} for value in (-1, "5", True, float("nan"), 10**9, None)],
    ],
)
def test_open_refuses_settings_that_mean_nothing(
    target: str, path: Path, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InvalidCursorError):
        ledger.open(target, **wrong)
    assert not path.exists()


@pytest.mark.parametrize("time", [NAIVE, None, 7, "now"])
def test_a_clock_that_gives_no_moment_is_refused(target: str, time: Any) -> None:
    with ledger.open(target, clock=lambda: time) as book:
        with pytest.raises(InvalidCursorError, match="clock"):
            book.advance(ORDERS, to=1)
        assert list(book.entries()) == []


def test_a_clock_that_fails_leaves_nothing_behind(target: str) -> None:
    def broken() -> datetime:
        raise OSError("no time")

    with ledger.open(target, clock=broken) as book:
        with pytest.raises(OSError, match="no time"):
            book.advance(ORDERS, to=1)
        assert list(book.cursors()) == []
    with ledger.open(target) as book:
        assert book.advance(ORDERS, to=1).version == 1


def test_what_was_never_appended_is_not_found(book: Ledger) -> None:
    with pytest.raises(CursorNotFoundError, match="webhooks/orders/customer-7") as caught:
        book.get(ORDERS)
    assert caught.value.key == ORDERS
    assert isinstance(caught.value, LookupError)


# --- appending many ---


def test_append_is_all_or_nothing_and_in_order(book: Ledger) -> None:
    cursors = book.append(AdvanceCursor(ORDERS, n) for n in (1, 5, 9))
    assert [cursor.last_sequence for cursor in cursors] == [1, 5, 9]
    before = book.checkpoint()
    with pytest.raises(NonMonotonicCursorError) as caught:
        book.append([AdvanceCursor(JOBS, 1), AdvanceCursor(ORDERS, 10), AdvanceCursor(ORDERS, 3)])
    assert caught.value.current
    assert caught.value.current.last_sequence == 10
    assert book.checkpoint() == before
    assert book.append([]) == []
    assert book.append_each([]) == []


def test_a_batch_that_cannot_be_made_leaves_nothing(book: Ledger) -> None:
    def requests() -> Iterator[AdvanceCursor]:
        yield AdvanceCursor(ORDERS, 1)
        raise RuntimeError("the source failed")

    for append in (book.append, book.append_each):
        with pytest.raises(RuntimeError, match="the source failed"):
            append(requests())
    assert list(book.entries()) == []


def test_append_each_answers_each(book: Ledger) -> None:
    answers = book.append_each(
        [
            AdvanceCursor(ORDERS, 5),
            AdvanceCursor(ORDERS, 4),
            ResetCursor(ORDERS, 2, "x", expected_version=7),
            AdvanceCursor(ORDERS, 6, epoch=3),
            AdvanceCursor(JOBS, 1),
            AdvanceCursor(ORDERS, 6),
        ]
    )
    assert [type(answer).__name__ for answer in answers] == [
        "Cursor",
        "NonMonotonicCursorError",
        "VersionConflictError",
        "StaleEpochError",
        "Cursor",
        "Cursor",
    ]
    assert [entry.version for entry in book.entries()] == [1, 1, 2]


# --- delivering ---


def test_delivering_advances_when_the_body_is_done(book: Ledger) -> None:
    with book.delivering(ORDERS, to=5, delivery_id="d-5", metadata={"a": "b"}) as cursor:
        assert cursor is None
    with book.delivering(ORDERS, to=6, outcome=ledger.Outcome.SKIPPED, actor="other") as cursor:
        assert cursor == book.get(ORDERS)
    first, second = book.history(ORDERS)
    assert (first.metadata, first.actor) == ({"a": "b"}, "tester")
    assert (second.actor, second.event.outcome) == ("other", "skipped")  # type: ignore[union-attr]


def deliver(book: Ledger, error: BaseException, **more: Any) -> None:
    with book.delivering(ORDERS, **{"to": 6, **more}):
        raise error


def test_delivering_records_what_went_wrong_masked_and_raises_it_again(book: Ledger) -> None:
    book.advance(ORDERS, to=5)
    failure = ConnectionError("https://ines:hunter2@example.org refused")
    with pytest.raises(ConnectionError) as caught:
        deliver(book, failure, actor="mailer")
    assert caught.value is failure
    cursor = book.get(ORDERS)
    assert cursor.last_sequence == 5
    assert cursor.last_error == "ConnectionError: https://ines:***@example.org refused"
    with pytest.raises(KeyError):
        deliver(book, KeyError())
    assert book.get(ORDERS).last_error == "KeyError"
    with pytest.raises(ValueError, match="surrogate"):
        deliver(book, ValueError("surrogate \ud800"))
    assert book.get(ORDERS).last_error == "ValueError: surrogate \ufffd"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interruption_is_no_failed_delivery(
    book: Ledger, interruption: type[BaseException]
) -> None:
    with pytest.raises(interruption):
        deliver(book, interruption())
    assert list(book.entries()) == []


@pytest.mark.parametrize("fails", [False, True])
def test_a_reset_during_a_delivery_stands(book: Ledger, fails: bool) -> None:
    book.advance(ORDERS, to=5)

    def body() -> None:
        with book.delivering(ORDERS, to=6):
            book.reset(ORDERS, to=2, reason="again", actor="ines")
            if fails:
                raise ValueError("boom")

    with pytest.raises(ValueError if fails else StaleEpochError):
        body()
    cursor = book.get(ORDERS)
    assert (cursor.last_sequence, cursor.epoch) == (2, 1)


def test_a_first_reset_during_a_delivery_stands_as_well(book: Ledger) -> None:
    def body() -> None:
        with book.delivering(ORDERS, to=6):
            book.reset(ORDERS, to=2, reason="start there", actor="ines")

    with pytest.raises(StaleEpochError):
        body()
    assert book.get(ORDERS).last_sequence == 2


@pytest.mark.parametrize("wrong", [{"to": 0}, {"to": "6"}, {"actor": 7}, {"metadata": {"a": 1}}])
def test_delivering_refuses_bad_input_before_anything_is_delivered(
    book: Ledger, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InvalidCursorError):
        deliver(book, AssertionError("this was delivered"), **wrong)
    assert list(book.entries()) == []


def test_an_error_that_cannot_be_recorded_does_not_hide_the_one_that_happened(
    book: Ledger,
) -> None:
    def body() -> None:
        with book.delivering(ORDERS, to=6):
            book.close()
            raise ValueError("boom")

    with pytest.raises(ValueError, match="boom") as caught:
        body()
    [note] = caught.value.__notes__
    assert "could not record" in note
    assert "closed" in note


# --- the package ---


def test_it_works_from_asyncio_in_threads(book: Ledger) -> None:
    async def confirm() -> list[Cursor]:
        return await asyncio.gather(
            *(asyncio.to_thread(book.record_error, ORDERS, str(n)) for n in range(20))
        )

    versions = [cursor.version for cursor in asyncio.run(confirm())]
    assert sorted(versions) == list(range(1, 21))
    assert {
        e.event.message for e in book.history(ORDERS) if isinstance(e.event, ErrorRecorded)
    } == {str(n) for n in range(20)}


def test_importing_it_loads_no_command_line_and_no_migrations() -> None:
    script = "import sys, ledger; print(*sorted(name.split('.')[0] for name in sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "ledger" in loaded
    assert {"click", "sqlite_utils", "cattrs", "tabulate", "projections"}.isdisjoint(loaded)


def test_the_public_names_are_all_there_is() -> None:
    assert sorted(ledger.__all__) == sorted(set(ledger.__all__))
    for name in ledger.__all__:
        public = getattr(ledger, name)
        if isinstance(public, type) and issubclass(public, Exception):
            assert issubclass(public, LedgerError)


def test_the_time_of_a_zone_is_kept_as_an_instant(book: Ledger, clock: Clock) -> None:
    from zoneinfo import ZoneInfo

    there = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)
    cursor = book.advance(ORDERS, to=1, now=there)
    assert cursor.updated_at == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert next(book.history(ORDERS)).recorded_at == clock.now
