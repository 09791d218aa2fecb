"""A signature over a plan proves who planned a reset: this one, here, now, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import ledger
from ledger import (
    AllowedSigners,
    CursorKey,
    Ledger,
    ResetCursor,
    SignatureState,
    VersionConflictError,
)
from ledger.law.pairs import SignedPairs
from projections import ResetPlan
from projections.resets.seals import ABOUT
from support.cursors import JOBS, ORDERS
from support.ssh_keys import OTHER, Keys, forge, judged, needs_ssh, planned, states
from support.targets import new_target

STORES = "every"
pytestmark = needs_ssh

SIGNED, UNKNOWN, BAD = SignatureState.SIGNED, SignatureState.UNKNOWN, SignatureState.BAD


# --- what is signed ---


def test_a_reset_is_signed_by_whoever_planned_it(
    three: Ledger, keys: Keys, signers: AllowedSigners
) -> None:
    keys.sign("ines", planned(three, ORDERS)).apply(three, actor="omar")
    three.reset(JOBS, to=1, reason="lost", actor="ines")
    signed, asserted = judged(three, signers)
    assert (signed.by.state, signed.by.signer, signed.by.why) == (SIGNED, "ines@example.com", "")
    assert signed.by.key.startswith("SHA256:")
    assert signed.approval is None
    assert asserted.by.state is SignatureState.ASSERTED
    assert three.verify().ok


def test_each_reset_of_a_plan_is_proved_by_itself(
    three: Ledger, keys: Keys, signers: AllowedSigners, tmp_path: Path
) -> None:
    plan = ResetPlan.make(
        three, to={ORDERS: 3, JOBS: 4, OTHER: 5}, reason="lost", planned_by="ines"
    )
    plan.save(tmp_path / "plan.jsonl")
    keys.sign("ines", ResetPlan.load(tmp_path / "plan.jsonl")).apply(three, actor="omar")
    found = judged(three, signers)
    assert [each.by.signer for each in found] == ["ines@example.com"] * 3
    assert {each.cursors for each in found} == {3}


def test_a_plan_that_is_in_no_file_is_signed_as_it_would_be(
    three: Ledger, keys: Keys, signers: AllowedSigners
) -> None:
    plan = ResetPlan.make(
        *(three, [ORDERS]),
        to=41,
        reason="lost\n\u202e",
        delivery_id="msg-41",
        delivered_at=datetime(2026, 1, 1, tzinfo=UTC),
        now=datetime(2026, 1, 2, tzinfo=UTC),
        metadata={"z": "1", "a": "\u00e9"},
    )
    assert plan.digest == ""
    keys.sign("ines", plan).apply(three, actor="ines")
    assert states(three, signers) == [SIGNED]


def test_a_cursor_that_is_new_and_an_undo_are_signed(
    three: Ledger, keys: Keys, signers: AllowedSigners
) -> None:
    new = CursorKey("search", "orders")
    keys.sign("ines", planned(three, new, to=9)).apply(three, actor="ines")
    keys.sign("ines", ResetPlan.undo(three, [new])).apply(three, actor="ines")
    assert states(three, signers) == [SIGNED, SIGNED]


def test_a_ledger_that_was_empty_when_the_plan_was_made(
    book: Ledger, keys: Keys, signers: AllowedSigners
) -> None:
    plan = keys.sign("ines", planned(book, ORDERS))
    book.advance(JOBS, to=1)
    plan.apply(book, actor="ines")
    assert states(book, signers) == [SIGNED]


# --- somebody forges it ---


def test_what_was_signed_can_be_appended_by_anybody_and_is_what_was_signed(
    three: Ledger, keys: Keys, signers: AllowedSigners
) -> None:
    forge(three, keys.sign("ines", planned(three, ORDERS, JOBS)))
    assert states(three, signers) == [SIGNED, SIGNED]


@pytest.mark.parametrize(
    "changes",
    [
        {"last_sequence": 2},
        {"reason": "lost it"},
        {"last_delivery_id": "msg-1"},
        {"last_delivered_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"key": JOBS},
        {"key": CursorKey("search", "orders")},
    ],
    ids=str,
)
def test_a_reset_that_differs_in_anything_is_bad(
    three: Ledger, keys: Keys, signers: AllowedSigners, changes: dict[str, Any]
) -> None:
    forge(three, keys.sign("ines", planned(three, ORDERS)), **changes)
    [found] = judged(three, signers)
    assert found.is_bad
    assert "it is not of this text" in found.by.why


def test_a_time_that_was_planned_cannot_be_changed_nor_left_out(
    three: Ledger, keys: Keys, signers: AllowedSigners
) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    plan = keys.sign("ines", ResetPlan.make(three, [ORDERS], to=1, reason="x", now=at))
    forge(three, plan, now=at + timedelta(seconds=1))
    other = keys.sign("ines", ResetPlan.make(three, [JOBS], to=1, reason="x", now=at))
    forge(three, other, metadata=about(occurred=False))
    assert states(three, signers) == [BAD, BAD]


def about(**changes: object) -> Callable[[dict[str, str]], dict[str, str]]:
    """Return what changes the part of the metadata that says what was signed."""
    return lambda pairs: {**pairs, ABOUT: json.dumps({**json.loads(pairs[ABOUT]), **changes})}


def set_to(**changes: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda pairs: {**pairs, **changes}


def without(name: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda pairs: {label: text for label, text in pairs.items() if label != name}


@pytest.mark.parametrize(
    "change",
    [
        set_to(ticket="OPS-8"),
        without("ticket"),
        set_to(more="x"),
        set_to(planned_by="omar"),
        without("planned_by"),
        set_to(planned_by="ines "),
        lambda pairs: {**pairs, "planned_at": pairs["planned_at"].replace("Z", "+00:00")},
        lambda pairs: {**pairs, ABOUT: pairs[ABOUT].replace(":0", ": 0")},
        set_to(**{"cursor-ledger/signature-approved-by": "omar"}),
        set_to(planned_at="2026-01-01T00:00:00Z"),
        without("planned_at"),
        set_to(plan="0" * 64),
        without("plan"),
        without(ABOUT),
        without("cursor-ledger/signature"),
        set_to(**{"cursor-ledger/signature": "AAAA"}),
        set_to(**{"cursor-ledger/signature-more": "x"}),
        set_to(**{"cursor-ledger/batch": "0" * 32}),
        set_to(**{ABOUT: "{"}),
        set_to(**{ABOUT: "[]"}),
        about(expires_at="2099-01-01T00:00:00Z"),
        about(expires_at=1),
        about(first=None),
        about(cursors=2),
        about(cursors="1"),
        about(index=1),
        about(index=-1),
        about(path="AAAA"),
        about(path="?"),
        about(path=None),
        about(occurred=True),
        about(ledger="other"),
        about(ledger=None),
        about(more=1),
    ],
)
def test_metadata_that_differ_in_anything_are_bad(
    three: Ledger,
    keys: Keys,
    signers: AllowedSigners,
    change: Callable[[dict[str, str]], dict[str, str]],
) -> None:
    forge(three, keys.sign("ines", planned(three, ORDERS)), metadata=change)
    [found] = judged(three, signers)
    assert found.is_bad
    assert found.by.why


def test_a_signature_is_not_for_another_entry_of_the_same_cursor(
    three: Ledger, keys: Keys, signers: AllowedSigners
) -> None:
    plan = keys.sign("ines", planned(three, ORDERS))
    plan.apply(three, actor="ines")
    with pytest.raises(VersionConflictError):
        plan.apply(three, actor="mallory")
    # The cursor is back where it was, and is to be reset in the same words.
    three.advance(ORDERS, to=44, delivery_id="msg-44")
    forge(three, plan)
    assert states(three, signers) == [SIGNED, BAD]


def test_a_signature_is_not_for_another_history_of_the_cursor(
    three: Ledger, keys: Keys, signers: AllowedSigners, kind: str, path: Path
) -> None:
    """Everything is the same, except the delivery before it."""
    plan = keys.sign("ines", planned(three, JOBS))
    with (
        new_target(kind, path.with_name("other.db")) as target,
        ledger.open(target, actor="tester") as other,
    ):
        for key in (ORDERS, JOBS, OTHER):
            other.advance(key, to=44, delivery_id="msg-44" if key == ORDERS else "msg-43")
        forge(other, plan)
        assert states(other, signers) == [BAD]


def test_a_cursor_that_was_added_is_bad_and_one_that_was_left_out_is_missed(
    three: Ledger, keys: Keys, signers: AllowedSigners
) -> None:
    plan = keys.sign("ines", planned(three, ORDERS, JOBS))
    pairs = {}

    def keep(given: dict[str, str]) -> dict[str, str]:
        pairs.update(given)
        return given

    forge(three, plan, metadata=keep)
    three.append([ResetCursor(OTHER, 1, "lost", actor="mallory", metadata=SignedPairs(pairs))])
    found = judged(three, signers)
    assert [each.by.state for each in found] == [SIGNED, SIGNED, BAD]
    assert [each.cursors for each in found[:2]] == [2, 2]


def test_a_part_of_a_plan_that_was_made_is_still_proved(
    three: Ledger, keys: Keys, signers: AllowedSigners
) -> None:
    plan = keys.sign("ines", planned(three, ORDERS, JOBS, OTHER))
    three.advance(JOBS, to=45)
    forge(three, plan)
    assert states(three, signers) == [SIGNED, BAD, SIGNED]
