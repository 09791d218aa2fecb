"""Epochs: who carries one, who must, and what is refused without."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import ledger
import ledger.aio
from ledger import (
    AdvanceCursor,
    DeliveringError,
    EpochRequiredError,
    Ledger,
    RecordError,
    StaleEpochError,
)
from support.commands import Run
from support.cursors import JOBS, ORDERS

WORDS = (ORDERS.consumer_id, ORDERS.stream_name, ORDERS.subject_id)


@pytest.fixture
def strict(target: str) -> Any:
    with ledger.open(target, actor="tester", require_epoch=True) as book:
        yield book


# --- errors carry one ---


def test_an_error_of_an_earlier_epoch_is_refused(book: Ledger) -> None:
    book.reset(ORDERS, to=3, reason="again")
    with pytest.raises(StaleEpochError, match="this error was made in epoch 0") as refused:
        book.record_error(ORDERS, "HTTP 503", epoch=0)
    assert isinstance(refused.value.request, RecordError)
    assert refused.value.current == book.get(ORDERS)
    assert book.record_error(ORDERS, "HTTP 503", epoch=1).last_error == "HTTP 503"
    assert book.record_error(ORDERS, "HTTP 504").last_error == "HTTP 504", "it may be left out"


def test_an_error_of_a_cursor_that_is_gone_is_refused(book: Ledger) -> None:
    with pytest.raises(StaleEpochError) as refused:
        book.record_error(ORDERS, "HTTP 503", epoch=1)
    assert "this error was made in epoch 1, which it has not reached" in str(refused.value)
    assert book.record_error(ORDERS, "HTTP 503", epoch=0).epoch == 0


def test_the_command_records_an_error_of_its_epoch_only(run: Run, book: Ledger) -> None:
    book.reset(ORDERS, to=3, reason="again")
    refused = run("error", *WORDS, "-m", "HTTP 503", "--epoch", 0)
    assert refused.exit_code != 0
    assert "was made in epoch 0" in refused.output
    assert run("error", *WORDS, "-m", "HTTP 503", "--epoch", 1).exit_code == 0


# --- a newer epoch than that of the cursor ---


def test_a_newer_epoch_is_no_sign_of_a_reset(book: Ledger) -> None:
    book.advance(ORDERS, to=41)
    with pytest.raises(StaleEpochError) as refused:
        book.advance(ORDERS, to=42, epoch=7)
    assert str(refused.value) == (
        f"{ORDERS} is in epoch 0; this advance was made in epoch 7, which it has not reached. "
        "That epoch is of another ledger, or of this one before it was restored from a backup. "
        "Make sure that this is the right ledger; then read the cursor again, and go on from 41."
    )


def test_a_newer_epoch_is_told_apart_from_an_older_one_after_a_reset_as_well(book: Ledger) -> None:
    book.advance(ORDERS, to=41)
    book.reset(ORDERS, to=40, reason="again")
    with pytest.raises(StaleEpochError, match="in epoch 7, which it has not reached"):
        book.advance(ORDERS, to=42, epoch=7)
    with pytest.raises(StaleEpochError, match="because it was reset"):
        book.advance(ORDERS, to=42, epoch=0)


# --- delivering without a consumer ---


def test_a_stale_epoch_is_refused_before_the_body(book: Ledger) -> None:
    book.reset(ORDERS, to=3, reason="again")
    with pytest.raises(StaleEpochError), book.delivering(ORDERS, to=5, epoch=0):
        pytest.fail("it was delivered")
    with book.delivering(ORDERS, to=5, epoch=1):
        pass
    assert book.get(ORDERS).last_sequence == 5


def test_a_late_error_with_an_epoch_is_not_recorded(book: Ledger) -> None:
    def deliver(epoch: int | None) -> None:
        with book.delivering(ORDERS, to=5, epoch=epoch):
            book.reset(ORDERS, to=0, reason="again")
            raise ConnectionError("503")

    with pytest.raises(ConnectionError) as raised:
        deliver(0)
    assert "could not record this error: StaleEpochError" in raised.value.__notes__[0]
    assert book.get(ORDERS).last_error == ""
    with pytest.raises(ConnectionError):
        deliver(None)
    assert book.get(ORDERS).last_error == "ConnectionError: 503", "without one it is"


def test_a_second_deliverer_of_one_key_is_refused(book: Ledger) -> None:
    with book.delivering(ORDERS, to=5):
        with (
            pytest.raises(DeliveringError, match="is being delivered already") as refused,
            book.delivering(ORDERS, to=6),
        ):
            pytest.fail("it was delivered")
        assert refused.value.key == ORDERS
        with book.through(lambda appender: appender).delivering(JOBS, to=6):
            pass
        with (
            pytest.raises(DeliveringError),
            book.through(lambda appender: appender).delivering(ORDERS, to=6),
        ):
            pytest.fail("it was delivered")
    with pytest.raises(ConnectionError), book.delivering(ORDERS, to=6):
        raise ConnectionError("503")
    with book.delivering(ORDERS, to=6):
        pass
    assert book.get(ORDERS).last_sequence == 6


def test_a_second_deliverer_in_a_task_is_refused(book: Ledger) -> None:
    async def main() -> None:
        abook = ledger.aio.AsyncLedger(book)
        async with abook.delivering(ORDERS, to=5):
            with pytest.raises(DeliveringError):
                async with abook.delivering(ORDERS, to=6):
                    pytest.fail("it was delivered")
            with pytest.raises(DeliveringError), book.delivering(ORDERS, to=6):
                pytest.fail("it was delivered")
        async with abook.delivering(ORDERS, to=6, epoch=0):
            pass
        await abook.reset(ORDERS, to=0, reason="again")
        with pytest.raises(StaleEpochError):
            await abook.record_error(ORDERS, "HTTP 503", epoch=0)
        with pytest.raises(StaleEpochError):
            async with abook.delivering(ORDERS, to=6, epoch=0):
                pytest.fail("it was delivered")
        abook._readers.close()

    asyncio.run(main())


# --- a ledger that requires one ---


@pytest.mark.parametrize(
    "advance",
    [
        lambda book: book.advance(ORDERS, to=5),
        lambda book: book.append([AdvanceCursor(ORDERS, 5)]),
        lambda book: book.append([RecordError(ORDERS, "503"), AdvanceCursor(ORDERS, 5)]),
        lambda book: book.submit(AdvanceCursor(ORDERS, 5)).result(),
        lambda book: book.through(lambda appender: appender).advance(ORDERS, to=5),
        lambda book: asyncio.run(in_task(book)),
    ],
    ids=["advance", "append", "append two", "submit", "through", "aio"],
)
def test_an_advance_without_an_epoch_is_refused(
    strict: Ledger, advance: Callable[[Ledger], object]
) -> None:
    with pytest.raises(EpochRequiredError, match=r"require_epoch=True. Pass epoch=…") as refused:
        advance(strict)
    assert refused.value.current is None or refused.value.current.last_sequence == 0
    assert refused.value.request == AdvanceCursor(ORDERS, 5)
    assert strict.find(ORDERS) is None


async def in_task(book: Ledger) -> None:
    abook = ledger.aio.AsyncLedger(book)
    await abook.advance(ORDERS, to=5)


def test_each_of_many_is_refused_by_itself(strict: Ledger) -> None:
    requests = [AdvanceCursor(ORDERS, 5), AdvanceCursor(ORDERS, 5, epoch=0)]
    refused, cursor = strict.append_each(requests)
    assert isinstance(refused, EpochRequiredError)
    assert isinstance(cursor, ledger.Cursor)


def test_many_callers_at_once_are_refused_as_well(strict: Ledger) -> None:
    futures = [strict.submit(AdvanceCursor(ORDERS, n)) for n in range(1, 30)]
    kept = [strict.submit(AdvanceCursor(JOBS, n, epoch=0)) for n in range(1, 30)]
    assert all(isinstance(future.exception(10), EpochRequiredError) for future in futures)
    assert [future.result(10).last_sequence for future in kept] == list(range(1, 30))


def test_errors_resets_and_deliveries_need_none(strict: Ledger) -> None:
    strict.record_error(ORDERS, "HTTP 503")
    strict.reset(ORDERS, to=3, reason="again")
    with strict.delivering(ORDERS, to=5):
        pass
    with strict.consumer(ORDERS) as consumer, consumer.delivering(6):
        pass
    assert strict.get(ORDERS).last_sequence == 6


@pytest.mark.parametrize("value", [None, 1, "yes"])
def test_whether_one_is_required_is_true_or_false(value: Any) -> None:
    with pytest.raises(ledger.InvalidCursorError, match="require_epoch must be True or False"):
        ledger.open(":memory:", require_epoch=value)
