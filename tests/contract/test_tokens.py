"""Tokens: positions without an order, which the ledger numbers, each after the one before it."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

import ledger
import ledger.aio
from ledger import (
    NEXT,
    AdvanceCursor,
    ConfirmToken,
    CursorAdvanced,
    EpochRequiredError,
    InvalidCursorError,
    Ledger,
    NonMonotonicCursorError,
    Outcome,
    RecordError,
    ResetCursor,
    StaleEpochError,
    StaleTokenError,
    VersionConflictError,
)
from ledger.law.fields import SEQUENCE_MAX
from ledger.log.json import structure, unstructure
from support.callers import connected
from support.clock import Clock
from support.coroutines import asynchronous
from support.cursors import JOBS, ORDERS, chain

# --- the chain ---


def test_tokens_are_numbered_in_the_order_of_the_chain(book: Ledger) -> None:
    cursor = chain(book, "evt_9a", "evt_3f", "evt_77")
    assert (cursor.last_sequence, cursor.last_delivery_id) == (3, "evt_77")
    events = [entry.event for entry in book.history(ORDERS)]
    assert [
        (event.previous_sequence, event.sequence, event.delivery_id)
        for event in events
        if isinstance(event, CursorAdvanced)
    ] == [(0, 1, "evt_9a"), (1, 2, "evt_3f"), (2, 3, "evt_77")]
    assert book.verify().ok


@pytest.mark.parametrize("after", [None, "", "evt_9a", "evt_77", " "])
def test_a_token_that_does_not_follow_is_refused_and_changes_nothing(
    book: Ledger, after: str | None
) -> None:
    before = chain(book, "evt_9a", "evt_3f")
    with pytest.raises(StaleTokenError) as refused:
        book.advance(ORDERS, to=NEXT, delivery_id="evt_55", after=after)
    assert refused.value.current == before
    assert refused.value.request == ConfirmToken(ORDERS, "evt_55", after=after or "")
    assert "is at 2 (evt_3f); evt_55 was to follow" in str(refused.value)
    assert "go on after evt_3f" in str(refused.value)
    assert book.get(ORDERS) == before


def test_the_first_token_follows_nothing_and_no_other(book: Ledger) -> None:
    with pytest.raises(StaleTokenError, match=r"is at 0 \(no delivery id\)") as refused:
        book.advance(ORDERS, to=NEXT, delivery_id="evt_3f", after="evt_9a")
    assert refused.value.current is None
    assert book.find(ORDERS) is None
    assert book.advance(ORDERS, to=NEXT, delivery_id="evt_9a").last_sequence == 1


def test_a_confirmation_repeated_is_an_entry_at_the_same_place(book: Ledger, clock: Clock) -> None:
    first = chain(book, "evt_9a", "evt_3f")
    book.record_error(ORDERS, "the answer was lost")
    clock.now += timedelta(minutes=1)
    again = book.advance(ORDERS, to=NEXT, delivery_id="evt_3f", after="evt_9a")
    assert (again.last_sequence, again.version, again.last_error) == (2, 4, "")
    assert again.last_delivered_at == first.last_delivered_at, "it was delivered then"
    # Only the last one can be repeated: what came before an earlier one is not known any more.
    with pytest.raises(StaleTokenError):
        book.advance(ORDERS, to=NEXT, delivery_id="evt_9a")


def test_it_goes_on_from_a_cursor_that_was_advanced_by_sequences(book: Ledger) -> None:
    book.advance(ORDERS, to=44)
    assert chain(book, "evt_9a").last_sequence == 45
    assert book.advance(ORDERS, to=50, delivery_id="evt_3f").last_sequence == 50
    assert chain(book, "evt_77").last_sequence == 51


def test_nothing_comes_after_the_last_sequence(book: Ledger) -> None:
    at = book.advance(ORDERS, to=SEQUENCE_MAX, delivery_id="evt_9a")
    with pytest.raises(StaleTokenError, match="the last sequence there is"):
        book.advance(ORDERS, to=NEXT, delivery_id="evt_3f", after="evt_9a")
    again = book.advance(ORDERS, to=NEXT, delivery_id="evt_9a")
    assert (again.last_sequence, again.version) == (SEQUENCE_MAX, at.version + 1)


# --- resets, epochs, versions, errors ---


def test_after_a_reset_with_a_token_the_chain_goes_on_behind_it(book: Ledger) -> None:
    chain(book, "evt_9a", "evt_3f", "evt_77")
    cursor = book.reset(ORDERS, to=1, delivery_id="evt_9a", reason="lost")
    with pytest.raises(StaleTokenError):
        book.advance(ORDERS, to=NEXT, delivery_id="evt_12", after="evt_77")
    assert chain(book, "evt_3f").last_sequence == 2
    assert cursor.epoch == 1


def test_after_a_reset_without_a_token_nothing_comes_before_the_next(book: Ledger) -> None:
    chain(book, "evt_9a", "evt_3f")
    book.reset(ORDERS, to=0, reason="all of them again")
    with pytest.raises(StaleTokenError):
        book.advance(ORDERS, to=NEXT, delivery_id="evt_77", after="evt_3f")
    assert chain(book, "evt_9a").last_sequence == 1


def test_the_token_of_a_reset_to_0_was_not_confirmed(book: Ledger) -> None:
    book.reset(ORDERS, to=0, delivery_id="evt_9a", reason="begin behind it")
    with pytest.raises(StaleTokenError):
        book.advance(ORDERS, to=NEXT, delivery_id="evt_9a")
    assert chain(book, "evt_3f").last_sequence == 1
    assert book.verify().ok


def test_the_epoch_is_judged_before_the_token(book: Ledger) -> None:
    cursor = chain(book, "evt_9a")
    book.reset(ORDERS, to=1, delivery_id="evt_9a", reason="again")
    with pytest.raises(StaleEpochError, match="this advance was made in epoch 0"):
        book.advance(ORDERS, to=NEXT, delivery_id="evt_3f", after="evt_9a", epoch=cursor.epoch)
    assert book.advance(
        ORDERS, to=NEXT, delivery_id="evt_3f", after="evt_9a", epoch=1
    ).last_sequence == 2  # fmt: skip


def test_the_version_is_judged_before_both(book: Ledger) -> None:
    chain(book, "evt_9a")
    with pytest.raises(VersionConflictError):
        book.advance(ORDERS, to=NEXT, delivery_id="evt_3f", after="no", epoch=7, expected_version=0)


def test_an_error_keeps_the_token(book: Ledger) -> None:
    chain(book, "evt_9a")
    assert book.record_error(ORDERS, "HTTP 503").last_delivery_id == "evt_9a"
    assert chain(book, "evt_3f").last_sequence == 2


def test_a_ledger_that_requires_an_epoch_requires_it_of_tokens(target: str) -> None:
    with ledger.open(target, actor="tester", require_epoch=True) as strict:
        with pytest.raises(EpochRequiredError, match=r"advance of .* to evt_9a has no epoch"):
            strict.advance(ORDERS, to=NEXT, delivery_id="evt_9a")
        assert strict.advance(ORDERS, to=NEXT, delivery_id="evt_9a", epoch=0).last_sequence == 1


def test_what_an_advance_may_carry_a_token_may_carry(book: Ledger, clock: Clock) -> None:
    early = clock.now - timedelta(hours=1)
    book.advance(
        ORDERS,
        to=NEXT,
        delivery_id=" evt_9a ",
        outcome=Outcome.SKIPPED,
        delivered_at=early,
        now=early,
        actor="ines",
        metadata={"ticket": "OPS-12"},
    )
    [entry] = book.history(ORDERS)
    assert isinstance(entry.event, CursorAdvanced)
    assert entry.event.delivery_id == "evt_9a"
    assert (entry.event.outcome, entry.actor) == (Outcome.SKIPPED, "ines")
    assert (entry.event.delivered_at, entry.event.occurred_at) == (early, early)
    assert dict(entry.metadata) == {"ticket": "OPS-12"}


# --- ways in ---


def test_one_transaction_may_have_a_chain(book: Ledger) -> None:
    requests: list[ledger.Request] = [
        ConfirmToken(ORDERS, "a"),
        ConfirmToken(ORDERS, "b", after="a"),
        RecordError(ORDERS, "HTTP 503"),
        ConfirmToken(ORDERS, "c", after="b"),
        AdvanceCursor(JOBS, 7),
    ]
    assert [cursor.last_sequence for cursor in book.append(requests)] == [1, 2, 2, 3, 7]
    with pytest.raises(StaleTokenError):
        book.append([ConfirmToken(ORDERS, "d", after="c"), ConfirmToken(ORDERS, "f", after="e")])
    assert book.get(ORDERS).last_delivery_id == "c", "all or nothing"
    answers = book.append_each(
        [ConfirmToken(ORDERS, "d", after="c"), ConfirmToken(ORDERS, "f", after="e")]
    )
    assert [type(answer).__name__ for answer in answers] == ["Cursor", "StaleTokenError"]


def test_what_is_submitted_is_chained_in_order(book: Ledger) -> None:
    names = [f"evt_{n}" for n in range(50)]
    futures = [
        book.submit(ConfirmToken(ORDERS, name, after=after))
        for after, name in zip(["", *names], names, strict=False)
    ]
    assert [future.result(10).last_sequence for future in futures] == list(range(1, 51))


def test_a_token_in_the_caller_s_own_transaction(book: Ledger, target: str) -> None:
    chain(book, "evt_9a")
    with closing(connected(target)) as connection:
        inside = book.using(connection)
        inside.advance(ORDERS, to=NEXT, delivery_id="evt_3f", after="evt_9a")
        with pytest.raises(StaleTokenError):
            inside.advance(ORDERS, to=NEXT, delivery_id="evt_77", after="evt_9a")
        connection.rollback()
        assert book.get(ORDERS).last_sequence == 1
        inside.advance(ORDERS, to=NEXT, delivery_id="evt_3f", after="evt_9a")
        connection.commit()
    assert book.get(ORDERS).last_delivery_id == "evt_3f"


def test_delivering_refuses_a_token_before_the_body(book: Ledger) -> None:
    with book.delivering(ORDERS, to=NEXT, delivery_id="evt_9a") as before:
        assert before is None
    with (
        pytest.raises(StaleTokenError),
        book.delivering(ORDERS, to=NEXT, delivery_id="evt_77", after="evt_3f"),
    ):
        pytest.fail("it was delivered")
    with (
        pytest.raises(ConnectionError),
        book.delivering(ORDERS, to=NEXT, delivery_id="evt_3f", after="evt_9a"),
    ):
        raise ConnectionError("503")
    assert book.get(ORDERS).last_error == "ConnectionError: 503"
    with book.delivering(ORDERS, to=NEXT, delivery_id="evt_3f", after="evt_9a"):
        pass
    assert book.get(ORDERS).last_sequence == 2


@asynchronous
async def _in_coroutines(target: str) -> None:
    async with ledger.aio.open(target, actor="tester") as book:
        async with book.delivering(ORDERS, to=NEXT, delivery_id="evt_9a"):
            pass
        with pytest.raises(StaleTokenError):
            async with book.delivering(ORDERS, to=NEXT, delivery_id="evt_77"):
                pytest.fail("it was delivered")
        after = "evt_9a"
        cursor = await book.advance(ORDERS, to=NEXT, delivery_id="evt_3f", after=after)
        assert cursor.last_sequence == 2
        await book.submit(ConfirmToken(ORDERS, "evt_55", after="evt_3f"))
        with pytest.raises(InvalidCursorError, match="after is for tokens"):
            await book.advance(ORDERS, to=4, after="evt_55")


def test_coroutines_confirm_tokens(target: str) -> None:
    _in_coroutines(target)


# --- what is refused, and what is kept ---


def test_after_is_for_tokens_only(book: Ledger) -> None:
    with pytest.raises(InvalidCursorError, match="after is for tokens") as refused:
        book.advance(ORDERS, to=5, delivery_id="evt_9a", after="")
    assert refused.value.field == "after"
    with pytest.raises(InvalidCursorError, match="after is for tokens"):
        book.delivering(ORDERS, to=5, after="evt_9a").__enter__()
    with pytest.raises(InvalidCursorError, match=r"make a ledger\.ConfirmToken"):
        AdvanceCursor(ORDERS, NEXT)  # type: ignore[arg-type]
    with pytest.raises(InvalidCursorError):
        ResetCursor(ORDERS, NEXT, "why")  # type: ignore[arg-type]
    assert book.find(ORDERS) is None


@pytest.mark.parametrize(
    ("given", "field", "bound"),
    [
        ({"delivery_id": ""}, "delivery_id", None),
        ({"delivery_id": " \t"}, "delivery_id", None),
        ({"delivery_id": "x" * 513}, "delivery_id", 512),
        ({"delivery_id": "a\0b"}, "delivery_id", None),
        ({"delivery_id": 7}, "delivery_id", None),
        ({"delivery_id": "b", "after": 7}, "after", None),
        ({"delivery_id": "b", "after": "x" * 513}, "after", 512),
        ({"delivery_id": "b", "after": "\ud800"}, "after", None),
    ],
)
def test_what_is_no_token_is_refused(
    book: Ledger, given: dict[str, Any], field: str, bound: int | None
) -> None:
    with pytest.raises(InvalidCursorError) as refused:
        book.advance(ORDERS, to=NEXT, **given)
    assert (refused.value.field, refused.value.bound) == (field, bound)
    assert ("SHA-256" in str(refused.value)) == (bound is not None)


@pytest.mark.parametrize("token", ["é" * 512, "49" * 28, "消费者", "a b", "'; DROP TABLE x; --"])
def test_odd_tokens_are_kept_as_they_are(book: Ledger, token: str) -> None:
    assert chain(book, token, "evt_3f").last_sequence == 2
    assert [entry.event.delivery_id for entry in book.history(ORDERS)][:1] == [token]  # type: ignore[union-attr]


def test_the_json_of_a_token_is_its_own_and_others_stay() -> None:
    request = ConfirmToken(ORDERS, "evt_3f", after="evt_9a", epoch=2)
    plain = unstructure(request)
    assert plain["op"] == "confirm"
    assert plain["confirm"]["delivery_id"] == "evt_3f"
    assert plain["confirm"]["after"] == "evt_9a"
    assert structure(plain, ledger.Request) == request
    assert "after" not in unstructure(AdvanceCursor(ORDERS, 1))["advance"]
    with pytest.raises(InvalidCursorError, match="delivery_id is missing"):
        structure({"op": "confirm", "confirm": {"key": plain["confirm"]["key"]}}, ledger.Request)


def test_a_plain_advance_is_judged_as_before_where_tokens_are(book: Ledger) -> None:
    chain(book, "evt_9a", "evt_3f")
    with pytest.raises(NonMonotonicCursorError):
        book.advance(ORDERS, to=2, delivery_id="evt_9a")
