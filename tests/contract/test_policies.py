"""Policies: what a reset must carry is refused to be left out, by whatever way it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

import ledger
import ledger.aio
from ledger import (
    ActorRequiredError,
    AdvanceCursor,
    CursorKey,
    InvalidCursorError,
    Ledger,
    Policy,
    PolicyKind,
    PolicyUnmetError,
    ResetCursor,
    ResetReasonRequiredError,
)
from ledger.law.reserved import POLICY, POLICY_STREAMS
from ledger.stores.postgres import asking
from ledger.stores.sqlite.transaction import SQLiteTransaction
from projections import ResetPlan
from support.clock import Clock
from support.coroutines import asynchronous
from support.cursors import JOBS, ORDERS
from support.lending import KINDS, awaited, lending

TICKET = Policy(PolicyKind.META, "ticket")
SIGNATURE = Policy(PolicyKind.SIGNATURE)
WITH_TICKET = {"ticket": "OPS-7"}


@pytest.fixture
def strict(book: Ledger) -> Ledger:
    """Return a ledger with two cursors at 44, whose resets need a ticket."""
    book.append([AdvanceCursor(ORDERS, 44), AdvanceCursor(JOBS, 44)])
    book.policies.set(TICKET, reason="audit of 2026", actor="ines")
    return book


def lost(key: CursorKey = ORDERS, **given: Any) -> ResetCursor:
    return ResetCursor(key, 1, "receiver lost 2", **given)


# --- setting and dropping ---


def test_a_policy_is_set_and_dropped_and_both_stay_in_the_log(book: Ledger, clock: Clock) -> None:
    first = book.policies.set(TICKET, reason="audit", actor="ines", metadata={"n": "1"})
    clock.tick()
    assert book.policies.set(TICKET, reason="again", actor="omar") == first
    assert book.policies.in_force() == [first]
    dropped = book.policies.drop(TICKET, reason="the tracker is down", actor="omar")
    assert (dropped.actor, dropped.in_force, dropped.policy) == ("omar", False, TICKET)
    assert book.policies.in_force() == []
    assert book.policies.all() == [dropped]
    again = book.policies.set(TICKET, reason="it is up", actor="ines")
    assert book.policies.in_force() == [again]
    told = [(e.event.sequence, e.event.reason, e.actor) for e in book.history(TICKET.key)]  # type: ignore[union-attr]
    assert told == [
        (1, "audit", "ines"),
        (0, "the tracker is down", "omar"),
        (1, "it is up", "ines"),
    ]
    assert dict(next(book.history(TICKET.key)).metadata) == {"n": "1"}
    assert book.verify().ok


def test_policies_are_listed_by_kind_and_name(book: Ledger) -> None:
    wanted = [SIGNATURE, Policy("require-approval"), Policy("require-meta", "a"), TICKET]  # type: ignore[arg-type]
    for policy in reversed(wanted):
        book.policies.set(policy, reason="audit")
    assert [each.policy for each in book.policies.in_force()] == wanted
    with pytest.raises(PolicyUnmetError) as caught:
        book.append([lost()])
    assert [each.policy for each in caught.value.policies or ()] == wanted


def test_the_streams_of_policies_are_their_kinds() -> None:
    assert tuple(kind.value for kind in PolicyKind) == POLICY_STREAMS


def test_a_change_needs_a_reason_and_an_actor(target: str) -> None:
    with ledger.open(target) as book:
        with pytest.raises(ResetReasonRequiredError):
            book.policies.set(TICKET, reason=" ", actor="ines")
        with pytest.raises(ActorRequiredError):
            book.policies.set(TICKET, reason="audit")
        book.policies.set(TICKET, reason="audit", actor="ines")
        with pytest.raises(ResetReasonRequiredError):
            book.policies.drop(TICKET, reason="", actor="ines")
        with pytest.raises(ActorRequiredError):
            book.policies.drop(TICKET, reason="over")
        assert len(list(book.entries())) == 1


def test_what_is_not_in_force_is_not_dropped(strict: Ledger) -> None:
    with pytest.raises(InvalidCursorError, match="In force: require-meta ticket"):
        strict.policies.drop(Policy(PolicyKind.META, "tiket"), reason="over")
    strict.policies.drop(TICKET, reason="over")
    with pytest.raises(InvalidCursorError, match="In force: none"):
        strict.policies.drop(TICKET, reason="over")


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("require-meta", ""),
        ("require-meta", " "),
        ("require-meta", "\u200b"),
        ("require-meta", "x" * 513),
        ("require-meta", "cursor-ledger/signature"),
        ("require-signature", "ticket"),
        ("require-luck", ""),
        (7, ""),
        ("require-meta", 7),
    ],
)
def test_what_is_no_policy_is_refused(wanted: Any, name: Any) -> None:
    with pytest.raises(InvalidCursorError):
        Policy(wanted, name)


def test_only_a_policy_is_set(book: Ledger) -> None:
    wrong: Any = "require-signature"
    with pytest.raises(InvalidCursorError, match="must be a Policy"):
        book.policies.set(wrong, reason="audit")


# --- what it refuses ---


def test_a_reset_without_it_is_refused_and_says_who_wants_it(strict: Ledger) -> None:
    before = strict.get(ORDERS)
    with pytest.raises(PolicyUnmetError) as caught:
        strict.reset(ORDERS, to=1, reason="receiver lost 2")
    [unmet] = caught.value.policies or ()
    assert unmet == strict.policies.in_force()[0]
    assert caught.value.request == lost()
    assert str(caught.value) == (
        "webhooks/orders/customer-7 cannot be reset like this: require-meta ticket is in force, "
        "set by ines at 2026-05-05T16:00:00Z. Add it: reset --meta ticket=…, or "
        "metadata={'ticket': …}."
    )
    assert strict.get(ORDERS) == before
    assert strict.reset(ORDERS, to=1, reason="lost", metadata=WITH_TICKET).epoch == 1
    strict.policies.drop(TICKET, reason="over")
    assert strict.reset(ORDERS, to=1, reason="lost").epoch == 2


@pytest.mark.parametrize("ticket", ["", " ", "\t"])
def test_a_blank_ticket_is_none(strict: Ledger, ticket: str) -> None:
    with pytest.raises(PolicyUnmetError):
        strict.append([lost(metadata={"ticket": ticket, "Ticket": "OPS-7"})])


WAYS: dict[str, Callable[[Ledger, ResetCursor], object]] = {
    "append": lambda book, request: book.append([request]),
    "a group": lambda book, request: book.append([AdvanceCursor(JOBS, 45), request]),
    "behind another": lambda book, request: book.append(
        [attrs.evolve(request, key=JOBS, metadata=WITH_TICKET), request]
    ),
    "submit": lambda book, request: book.submit(request).result(),
    "a new cursor": lambda book, request: book.append(
        [attrs.evolve(request, key=CursorKey("new", "orders"))]
    ),
    "a head": lambda book, request: book.append(
        [attrs.evolve(request, key=CursorKey("cursor-ledger/head", "orders"))]
    ),
    "a plan": lambda book, _: ResetPlan.make(book, [ORDERS, JOBS], to=1, reason="x").apply(book),
    "to where it stands": lambda book, request: book.append(
        [attrs.evolve(request, last_sequence=44)]
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_it_is_refused_by_whatever_way_it_comes(strict: Ledger, way: str) -> None:
    before = [entry.position for entry in strict.entries()]
    with pytest.raises(PolicyUnmetError):
        WAYS[way](strict, lost())
    assert [entry.position for entry in strict.entries()] == before


def test_each_of_several_is_judged_by_itself(strict: Ledger) -> None:
    answers = strict.append_each(
        [lost(), lost(JOBS, metadata=WITH_TICKET), AdvanceCursor(ORDERS, 45), lost()]
    )
    kinds = [type(answer).__name__ for answer in answers]
    assert kinds == ["PolicyUnmetError", "Cursor", "Cursor", "PolicyUnmetError"]
    futures = [
        strict.submit(request)
        for request in (AdvanceCursor(ORDERS, 46), lost(), lost(metadata=WITH_TICKET))
    ]
    failed = [type(future.exception()).__name__ for future in futures]
    assert failed == ["NoneType", "PolicyUnmetError", "NoneType"]


def test_an_undo_is_judged_too(strict: Ledger) -> None:
    strict.append([lost(metadata=WITH_TICKET)])
    with pytest.raises(PolicyUnmetError):
        ResetPlan.undo(strict, [ORDERS]).apply(strict)
    [cursor] = ResetPlan.undo(strict, [ORDERS], metadata=WITH_TICKET).apply(strict)
    assert cursor.last_sequence == 44


@pytest.mark.parametrize("lent_kind", KINDS)
@asynchronous
async def test_it_holds_in_the_transaction_of_a_caller(
    lent_kind: str, target: str, strict: Ledger
) -> None:
    async with lending(lent_kind, target) as own:
        await awaited(own.begin())
        await own.call("advance", ORDERS, to=45)
        with pytest.raises(PolicyUnmetError):
            await own.call("append", [AdvanceCursor(JOBS, 45), lost(actor="ines")])
        await own.call("append", [lost(actor="ines", metadata=WITH_TICKET)])
        await awaited(own.commit())
    assert strict.get(ORDERS).last_sequence == 1
    assert strict.get(JOBS).last_sequence == 44
    assert strict.verify().ok


def test_a_policy_is_not_changed_in_the_transaction_of_a_caller(
    target: str, strict: Ledger
) -> None:
    async def main() -> None:
        async with lending("driver", target) as own:
            await awaited(own.begin())
            with pytest.raises(InvalidCursorError, match="not inside your own transaction"):
                own.lent.policies.drop(TICKET, reason="over")
            await awaited(own.rollback())

    asyncio.run(main())
    assert len(strict.policies.in_force()) == 1


def test_coroutines_have_the_same(strict: Ledger, target: str) -> None:
    async def main() -> None:
        async with ledger.aio.open(target, actor="omar") as book:
            assert await book.policies.in_force() == strict.policies.in_force()
            with pytest.raises(PolicyUnmetError):
                await book.reset(ORDERS, to=1, reason="lost")
            await book.policies.drop(TICKET, reason="over")
            assert [each.actor for each in await book.policies.all()] == ["omar"]
            assert (await book.reset(ORDERS, to=1, reason="lost")).epoch == 1
            await book.policies.set(SIGNATURE, reason="audit")

    asyncio.run(main())
    assert [each.policy for each in strict.policies.in_force()] == [SIGNATURE]


# --- what it leaves alone ---


def test_a_takeover_moves_nothing_and_goes_on(strict: Ledger) -> None:
    strict.consumer(ORDERS, take_over="deploy 1.4.2")
    strict.consumer(CursorKey("new", "orders"), take_over="first deploy")
    assert strict.get(ORDERS).epoch == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"last_sequence": 43},
        {"last_delivery_id": "msg-43"},
        {"metadata": {"cursor-ledger/takeover": "1"}},
        {"metadata": {"cursor-ledger/takeover": ""}},
    ],
    ids=str,
)
def test_what_only_says_that_it_is_a_takeover_is_refused(
    strict: Ledger, changes: dict[str, Any]
) -> None:
    mark = {"cursor-ledger/takeover": "0"}
    stands = strict.get(ORDERS)
    honest = lost(metadata=mark, last_delivered_at=stands.last_delivered_at)
    honest = attrs.evolve(honest, last_sequence=44)
    with pytest.raises(PolicyUnmetError):
        strict.append([attrs.evolve(honest, **changes)])
    assert strict.append([honest])[0].epoch == 1


def test_starts_advances_and_errors_are_not_judged(strict: Ledger) -> None:
    strict.start(CursorKey("moved", "orders"), at=9, reason="from Kafka")
    strict.advance(ORDERS, to=45)
    strict.record_error(ORDERS, "HTTP 503")
    assert strict.get(ORDERS).last_sequence == 45


@pytest.mark.parametrize("ticket", ["", " ", "\u200b", "\u3164"])
def test_a_ticket_that_nobody_can_see_is_none(strict: Ledger, ticket: str) -> None:
    with pytest.raises(PolicyUnmetError):
        strict.append([lost(metadata={"ticket": ticket})])
    assert strict.append([lost(metadata={"ticket": f"{ticket}7"})])


def test_a_policy_is_no_cursor_that_is_reset(strict: Ledger) -> None:
    for key in (TICKET.key, SIGNATURE.key, CursorKey(POLICY, "else")):
        for to in (0, 1, 2):
            with pytest.raises(InvalidCursorError, match="policy drop"):
                strict.append([lost(key, metadata=WITH_TICKET)] if to else [lost(key)])
    with pytest.raises(InvalidCursorError, match="policy drop"):
        ResetPlan.undo(strict, [TICKET.key], metadata=WITH_TICKET).apply(strict)
    assert len(strict.policies.in_force()) == 1


def test_what_else_is_appended_to_its_cursor_changes_no_policy(strict: Ledger) -> None:
    strict.advance(TICKET.key, to=7)
    strict.record_error(TICKET.key, "x")
    strict.advance(SIGNATURE.key, to=1)
    strict.start(Policy(PolicyKind.APPROVAL).key, at=1, reason="x")
    [only] = strict.policies.in_force()
    assert (only.policy, only.actor) == (TICKET, "ines")
    with pytest.raises(PolicyUnmetError) as caught:
        strict.append([lost()])
    assert [each.policy for each in caught.value.policies or ()] == [TICKET]
    strict.policies.drop(TICKET, reason="over")
    strict.advance(TICKET.key, to=9)
    strict.append([lost()])
    strict.policies.set(TICKET, reason="again")
    with pytest.raises(PolicyUnmetError):
        strict.append([lost()])


def test_a_stream_of_the_same_name_is_not_a_policy(book: Ledger) -> None:
    for stream in POLICY_STREAMS:
        book.reset(CursorKey("mailer", stream, "ticket"), to=1, reason="lost")
    book.append([lost()])
    assert book.policies.all() == []


def test_history_that_is_copied_is_not_judged(strict: Ledger, tmp_path: Path) -> None:
    strict.append([lost(metadata=WITH_TICKET)])
    strict.policies.drop(TICKET, reason="over")
    strict.append([lost()])
    strict.policies.set(TICKET, reason="again")
    with ledger.open(tmp_path / "copy.db", actor="omar") as copy:
        strict.copy_to(copy)
        assert list(copy.entries()) == list(strict.entries())
        with pytest.raises(PolicyUnmetError):
            copy.append([lost()])


def test_only_a_reset_asks_for_policies(strict: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    for owner in (SQLiteTransaction, asking):
        found: Any = owner.policies

        def ask(what: Any, found: Any = found) -> Any:
            asked.append(1)
            return found(what)

        monkeypatch.setattr(owner, "policies", ask)
    strict.append([AdvanceCursor(ORDERS, 45), AdvanceCursor(JOBS, 45)])
    strict.append_each([AdvanceCursor(ORDERS, 46)])
    strict.record_error(ORDERS, "HTTP 503")
    strict.submit(AdvanceCursor(ORDERS, 47)).result()
    strict.start(CursorKey("moved", "orders"), at=9, reason="from Kafka")
    assert asked == []
    # A batch asks once.
    with pytest.raises(PolicyUnmetError):
        strict.append([lost(metadata=WITH_TICKET), lost(JOBS)])
    assert asked == [1]
