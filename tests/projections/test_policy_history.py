"""What was in force when, and which resets were made against it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

import ledger
import ledger.aio
from ledger import (
    AllowedSigners,
    EntryQuery,
    InvalidCursorError,
    Ledger,
    Policy,
    PolicyKind,
    PolicyUnmetError,
    ResetCursor,
    SshSignature,
)
from ledger.law.pairs import SignedPairs
from ledger.law.policies import unmet
from ledger.law.reserved import APPROVAL, APPROVED_BY, SIGNATURE, SIGNED_TEXT
from projections import PolicyHistory, policy_changes, report_resets, resets
from support.clock import Clock
from support.cursors import JOBS, ORDERS
from support.ssh_keys import Keys, forge, judged, needs_ssh, planned
from support.unjudged import append_unjudged

STORES = "every"

TICKET = Policy(PolicyKind.META, "ticket")
SIGNED = Policy(PolicyKind.SIGNATURE)
APPROVED = Policy(PolicyKind.APPROVAL)
MARK = "cursor-ledger/takeover"


def against(book: Ledger, **options: Any) -> dict[int, list[Policy]]:
    """Return the policies that each reset does not meet, by its position."""
    history = PolicyHistory.of(book)
    found = {each.position: history.unmet(each) for each in resets(book, **options)}
    return {at: [change.policy for change in unmet] for at, unmet in found.items() if unmet}


def lost(**given: Any) -> ResetCursor:
    return ResetCursor(ORDERS, 1, "lost", actor="omar", **given)


def test_a_reset_is_held_against_what_was_in_force_when_it_was_made(
    book: Ledger, clock: Clock
) -> None:
    append_unjudged(book, lost())
    book.policies.set(TICKET, reason="audit")
    append_unjudged(book, lost(), lost(metadata={"ticket": "OPS-7"}))
    book.policies.set(SIGNED, reason="audit")
    append_unjudged(book, lost())
    clock.tick(-3_600)
    book.policies.drop(TICKET, reason="the tracker is down")
    append_unjudged(book, lost())
    book.policies.drop(SIGNED, reason="the key is lost")
    append_unjudged(book, lost())
    expected = {3: [TICKET], 6: [TICKET, SIGNED], 8: [SIGNED]}
    assert against(book) == expected
    assert against(book, query=EntryQuery(newest_first=True)) == expected
    assert against(book, query=EntryQuery(position_from=7)) == {8: [SIGNED]}
    changes = list(policy_changes(book))
    assert [(each.position, each.policy, each.in_force) for each in changes] == [
        (2, TICKET, True),
        (5, SIGNED, True),
        (7, TICKET, False),
        (9, SIGNED, False),
    ]
    assert book.verify().ok


def test_nothing_is_against_a_policy_that_the_ledger_has_let_through(book: Ledger) -> None:
    book.policies.set(TICKET, reason="audit")
    with pytest.raises(PolicyUnmetError):
        book.append([lost()])
    book.append([lost(metadata={"ticket": "OPS-7"})])
    book.consumer(ORDERS, take_over="deploy 1.4.2")
    book.policies.drop(TICKET, reason="over")
    book.append([lost()])
    assert against(book) == {}
    assert against(book, takeovers=True) == {}


def test_a_takeover_that_moves_something_is_none(book: Ledger) -> None:
    book.advance(ORDERS, to=44, delivery_id="msg-44")
    book.record_error(ORDERS, "HTTP 503")
    book.policies.set(TICKET, reason="audit")
    stands = book.get(ORDERS)
    honest = ResetCursor(
        ORDERS, 44, "deploy", last_delivery_id="msg-44", actor="eve", metadata={MARK: "0"}
    )
    append_unjudged(book, honest)
    moved = attrs.evolve(honest, last_delivery_id="msg-43", metadata={MARK: "1"})
    append_unjudged(book, moved)
    assert stands.last_delivery_id == "msg-44"
    assert against(book, takeovers=True) == {5: [TICKET]}


def test_what_is_appended_behind_a_drop_in_a_copy_is_found_as_well(
    book: Ledger, tmp_path: Path
) -> None:
    book.policies.set(TICKET, reason="audit")
    append_unjudged(book, lost())
    with ledger.open(tmp_path / "copy.db", actor="omar") as copy:
        book.copy_to(copy)
        assert against(copy) == {2: [TICKET]}


def test_a_report_names_them_and_what_was_dropped(book: Ledger, clock: Clock) -> None:
    book.policies.set(TICKET, reason="audit")
    append_unjudged(book, lost())
    clock.tick(60)
    book.policies.drop(TICKET, reason="over", actor="omar")
    report = report_resets(book, since=clock.now)
    assert [each.position for each in report.resets] == [3]
    assert report.against_policy == report.without_ticket == []
    # What was in force before the period is known all the same.
    assert [each.position for each in report.policies] == [1, 3]
    whole = report_resets(book)
    assert [each.position for each in whole.against_policy] == [2]
    assert [each.actor for each in whole.dropped] == ["omar"]
    assert [each.position for each in whole.without_ticket] == [2]
    assert [each.position for each in whole.without_signature] == [2]
    assert len(whole.of_cursors) == 1


def test_coroutines_ask_for_them_in_a_thread(target: str) -> None:
    async def main() -> list[bool]:
        async with ledger.aio.open(target, actor="ines") as book:
            await book.policies.set(TICKET, reason="audit")
            await book.policies.drop(TICKET, reason="over")
            wrong: Any = book
            for ask in (policy_changes, PolicyHistory.of):
                with pytest.raises(InvalidCursorError, match=r"await book\.run"):
                    ask(wrong)
            return [each.in_force async for each in book.stream(policy_changes)]

    assert asyncio.run(main()) == [True, False]


# --- signatures: their form, and whose they are ---


@needs_ssh
def test_a_plan_is_refused_until_it_is_signed_and_approved(
    three: Ledger, keys: Keys, signers: AllowedSigners
) -> None:
    three.policies.set(SIGNED, reason="audit")
    with pytest.raises(PolicyUnmetError, match="Sign the plan: reset --sign KEY"):
        planned(three, ORDERS, JOBS).apply(three, actor="omar")
    keys.sign("ines", planned(three, ORDERS)).apply(three, actor="omar")
    three.policies.set(APPROVED, reason="two pairs of eyes")
    with pytest.raises(PolicyUnmetError, match="have somebody else approve it"):
        keys.sign("ines", planned(three, JOBS)).apply(three, actor="omar")
    keys.approve("omar", keys.sign("ines", planned(three, JOBS))).apply(three, actor="omar")
    assert [found.is_approved for found in judged(three, signers) if found.cursors] == [
        False,
        True,
    ]
    assert against(three) == {}


@needs_ssh
def test_of_a_forged_signature_the_form_is_let_through_and_the_list_is_loud(
    three: Ledger, keys: Keys, signers: AllowedSigners
) -> None:
    three.policies.set(SIGNED, reason="audit")
    # Of another reset: the ledger does not run ssh-keygen while it holds a transaction.
    forge(three, keys.sign("ines", planned(three, ORDERS)), last_sequence=2)
    assert against(three) == {}
    assert [found.is_bad for found in judged(three, signers)] == [False, True]


@needs_ssh
def test_what_has_not_the_form_of_two_signatures_is_refused(keys: Keys, tmp_path: Path) -> None:
    ines, omar = (SshSignature.by(keys.folder / name, b"x").base64 for name in ("ines", "omar"))
    with ledger.open(tmp_path / "own.db", actor="x") as own:
        policies = [own.policies.set(policy, reason="audit") for policy in (SIGNED, APPROVED)]
    whole = {SIGNATURE: ines, SIGNED_TEXT: "{}", APPROVAL: omar, APPROVED_BY: "omar"}

    def missing(change: Mapping[str, str | None]) -> list[Policy]:
        pairs = {name: text for name, text in {**whole, **change}.items() if text is not None}
        return [each.policy for each in unmet(policies, SignedPairs(pairs))]

    both, second = [SIGNED, APPROVED], [APPROVED]
    assert missing({}) == []
    for wrong in (None, "", "x", ines[:-8], f"{ines} ", f"{ines}AAAA", "A" * 4_000, "é"):
        assert missing({SIGNATURE: wrong}) == both, wrong
        assert missing({APPROVAL: wrong}) == second, wrong
    assert missing({SIGNED_TEXT: None}) == both
    # The planner's own key approves nothing, under whatever name.
    assert missing({APPROVAL: ines, APPROVED_BY: "eve"}) == second
    assert missing({APPROVAL: SshSignature.by(keys.folder / "ines", b"y").base64}) == second
    for nobody in (None, "", " "):
        assert missing({APPROVED_BY: nobody}) == second
