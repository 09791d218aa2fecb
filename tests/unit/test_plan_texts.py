"""The text that is signed of a plan, and what each reset has of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import CursorKey, InvalidCursorError, PlanText
from ledger.evidence.merkle import Tree
from ledger.evidence.paths import inclusion_paths, is_included, leaf_hash
from projections import PlannedReset
from projections.resets.seals import line_of

AT = datetime(2026, 5, 5, 16, tzinfo=UTC)
TEXT = PlanText(
    ledger="4f9c",
    first=b"\1" * 32,
    planned_by="ines",
    planned_at=AT,
    expires_at=AT + timedelta(hours=2),
    plan="ab" * 32,
    cursors=3,
    root=b"\2" * 32,
)
OTHERS: dict[str, Any] = {
    "ledger": "4f9d",
    "first": None,
    "planned_by": "omar",
    "planned_at": AT + timedelta(microseconds=1),
    "expires_at": None,
    "plan": "cd" * 32,
    "cursors": 4,
    "root": b"\3" * 32,
}
RESET = PlannedReset(
    key=CursorKey("webhooks", "orders", "customer-7"),
    version=3,
    previous_sequence=44,
    sequence=41,
    reason="lost",
    delivery_id="msg-41",
    delivered_at=AT,
    occurred_at=AT,
    metadata={"ticket": "OPS-7", "a": "1"},
    head=b"\4" * 32,
)
OTHER_RESETS: dict[str, Any] = {
    "key": CursorKey("webhooks", "orders", "customer-8"),
    "version": 4,
    "previous_sequence": 45,
    "sequence": 40,
    "reason": "lost it",
    "delivery_id": "msg-40",
    "delivered_at": None,
    "occurred_at": None,
    "metadata": {"ticket": "OPS-8", "a": "1"},
    "head": b"\5" * 32,
}


def test_the_text_is_written_like_this_for_ever() -> None:
    assert TEXT.to_sign().decode() == (
        "cursor-ledger reset plan v1\n"
        'ledger: "4f9c"\n'
        f"first entry: {'01' * 32}\n"
        'planned by: "ines"\n'
        "planned at: 2026-05-05T16:00:00Z\n"
        "expires at: 2026-05-05T18:00:00Z\n"
        f"digest of the plan: {'ab' * 32}\n"
        "cursors: 3\n"
        f"root: {'02' * 32}\n"
    )
    heading, name, *rest = TEXT.to_approve("omar").decode().splitlines()
    assert heading == "cursor-ledger approval of a reset plan v1"
    assert name == 'approved by: "omar"'
    assert rest == TEXT.to_sign().decode().splitlines()[1:]
    nothing = attrs.evolve(TEXT, ledger="", first=None, expires_at=None).to_sign().decode()
    assert 'ledger: ""\nfirst entry: none\n' in nothing
    assert "expires at: never\n" in nothing


def test_the_line_of_a_reset_is_written_like_this_for_ever() -> None:
    assert line_of(RESET).decode() == (
        '{"consumer_id":"webhooks","stream_name":"orders","subject_id":"customer-7","version":3,'
        f'"head":"{"04" * 32}","previous_sequence":44,"sequence":41,"delivery_id":"msg-41",'
        '"delivered_at":"2026-05-05T16:00:00Z","reason":"lost",'
        '"occurred_at":"2026-05-05T16:00:00Z","metadata":{"a":"1","ticket":"OPS-7"}}'
    )


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(PlanText)])
def test_each_field_is_in_both_texts(name: str) -> None:
    other = attrs.evolve(TEXT, **{name: OTHERS[name]})
    assert other.to_sign() != TEXT.to_sign()
    assert other.to_approve("omar") != TEXT.to_approve("omar")


def test_the_approver_is_in_the_approval_and_it_is_never_the_text_of_the_planner() -> None:
    assert TEXT.to_approve("omar") != TEXT.to_approve("eve")
    assert TEXT.to_sign().splitlines()[0] != TEXT.to_approve("omar").splitlines()[0]
    with pytest.raises(InvalidCursorError, match="approved_by is required"):
        TEXT.to_approve(" ")


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(PlannedReset)])
def test_each_field_of_a_reset_is_in_its_line(name: str) -> None:
    assert line_of(attrs.evolve(RESET, **{name: OTHER_RESETS[name]})) != line_of(RESET)


@pytest.mark.parametrize("part", ["consumer_id", "stream_name", "subject_id"])
def test_each_part_of_a_key_is_in_its_line(part: str) -> None:
    key = attrs.evolve(RESET.key, **{part: "other"})
    assert line_of(attrs.evolve(RESET, key=key)) != line_of(RESET)


def test_the_order_in_which_metadata_were_given_does_not_matter() -> None:
    other = attrs.evolve(RESET, metadata={"a": "1", "ticket": "OPS-7"})
    assert line_of(other) == line_of(RESET)


def test_a_reset_that_does_not_say_what_it_follows_is_not_signed() -> None:
    with pytest.raises(InvalidCursorError, match="does not say which entry it follows"):
        line_of(attrs.evolve(RESET, head=None))
    assert line_of(attrs.evolve(RESET, head=None, version=0))


def test_a_name_can_neither_begin_a_line_nor_look_like_another() -> None:
    text = attrs.evolve(TEXT, planned_by='x"\nplanned by: "\u202eomar').to_sign()
    assert text.isascii()
    assert len(text.splitlines()) == 9
    assert b"\\u202e" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("plan", "AB" * 32),
        ("plan", ""),
        ("cursors", 0),
        ("cursors", True),
        ("root", b"\2" * 31),
        ("first", "01" * 32),
        ("planned_at", datetime(2026, 5, 5, 16)),  # noqa: DTZ001 - no zone is what is refused
        ("ledger", None),
    ],
)
def test_what_is_no_text_of_a_plan_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidCursorError):
        attrs.evolve(TEXT, **{name: value})


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=70))
def test_every_line_leads_to_the_root_and_no_other_does(lines: list[bytes]) -> None:
    text, paths = PlanText.over(
        lines, ledger="", first=None, planned_by="", planned_at=AT, plan="0" * 64
    )
    tree = Tree()
    for number, line in enumerate(lines, 1):
        tree.add(number, line)
    assert text.root == tree.checkpoint().root
    for index, (line, path) in enumerate(zip(lines, paths, strict=True)):
        assert PlanText.root_of(line, index, len(lines), path) == text.root
        assert PlanText.root_of(line + b"x", index, len(lines), path) != text.root
        assert is_included(index, len(lines), leaf_hash(line), path, text.root)
        with pytest.raises(InvalidCursorError, match="path is none of the line"):
            PlanText.root_of(line, index, len(lines), [*path, b"\0" * 32])


def test_a_tree_of_nothing_has_a_root() -> None:
    assert inclusion_paths([]) == (Tree().checkpoint().root, [])
