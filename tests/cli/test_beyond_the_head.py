"""A plan says where it goes beyond the recorded head: most likely, a number was mistyped."""

from __future__ import annotations

import pytest

import ledger
from ledger import CursorKey
from ledger.positions import PositionMapping
from projections import ResetPlan
from support.commands import Run, records, table

WHY = ("--reason", "x")
NAMES = ("webhooks", "orders")


@pytest.fixture
def headed(target: str, run: Run) -> Run:
    """Return the command, with cursors on streams of which some have a head."""
    with ledger.open(target, actor="web-1") as book:
        for consumer in ("webhooks", "mailer"):
            book.advance(CursorKey(consumer, "orders"), to=1400)
        book.advance(CursorKey("webhooks", "payments"), to=7)
        book.advance(CursorKey("webhooks", "events"), to=1, delivery_id="evt_1")
        book.positions.declare("events", PositionMapping.TOKENS)
        book.heads.record("orders", "", 1500)
        book.heads.record("events", "", 1)
    return run


def shown(run: Run, *options: object) -> str:
    return " ".join(table(run, "reset", *options).split())


def passed(run: Run, *options: object) -> list[int | None]:
    return [each["head_passed"] for each in records(run("reset", *options, "--jsonl"))]


def test_the_plan_of_one_cursor_says_that_it_goes_beyond_the_head(headed: Run) -> None:
    options = (*NAMES, "--to", 99999, *WHY)
    assert "beyond the recorded head: orders goes up to 1500 reason x" in shown(headed, *options)
    assert passed(headed, *options) == [1500]


@pytest.mark.parametrize("to", [0, 1400, 1500])
def test_a_place_up_to_the_head_is_not_beyond_it(headed: Run, to: int) -> None:
    options = (*NAMES, "--to", to, *WHY)
    assert "beyond" not in shown(headed, *options)
    assert passed(headed, *options) == [None]


def test_a_stream_without_a_head_or_with_tokens_has_nothing_to_go_beyond(headed: Run) -> None:
    assert passed(headed, "webhooks", "payments", "--to", 99999, *WHY) == [None]
    of_tokens = ("webhooks", "events", "--to", 99999, "--delivery-id", "evt_9", *WHY)
    assert passed(headed, *of_tokens) == [None]


def test_a_head_itself_goes_where_it_is_reset_to(headed: Run) -> None:
    assert passed(headed, "cursor-ledger/head", "orders", "--to", 99999, *WHY) == [None]


def test_the_plan_of_several_says_how_many_go_beyond_which_head(headed: Run) -> None:
    options = ("--stream", "orders", "--stream", "payments", "--to", 99999, *WHY)
    said = "2 of these: beyond the recorded head: orders goes up to 1500 reason x"
    assert said in shown(headed, *options)
    assert passed(headed, *options) == [1500, 1500, None]


def test_the_plan_of_an_undo_says_it_too(headed: Run, target: str) -> None:
    with ledger.open(target, actor="ines") as book:
        book.advance(CursorKey(*NAMES), to=1600)
        ResetPlan.make(book, [CursorKey(*NAMES)], to=0, reason="x").apply(book)
    assert "beyond the recorded head: orders goes up to 1500" in shown(headed, *NAMES, "--undo")
    assert passed(headed, *NAMES, "--undo") == [1500]


def test_the_place_is_called_as_its_source_calls_it(headed: Run, target: str) -> None:
    with ledger.open(target, actor="ines") as book:
        book.positions.declare("orders", PositionMapping.ZERO_BASED)
    said = "orders goes up to 1500 (offset 1499)"
    assert said in shown(headed, *NAMES, "--to", 99999, *WHY)


def test_many_heads_are_counted(run: Run, target: str) -> None:
    with ledger.open(target, actor="ines") as book:
        for subject in "abcde":
            book.advance(CursorKey("webhooks", "orders", subject), to=1)
            book.heads.record("orders", subject, 1)
    said = "orders/b goes up to 1, orders/c goes up to 1, and 2 more"
    assert said in shown(run, "--all", "--to", 9, *WHY)


@pytest.mark.usefixtures("headed")
def test_the_plan_in_a_file_is_as_it_was(target: str) -> None:
    with ledger.open(target) as book:
        plan = ResetPlan.make(book, [CursorKey(*NAMES)], to=99999, reason="x")
    assert "head_passed" not in "".join(plan.lines())
