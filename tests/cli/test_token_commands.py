"""Commands number tokens, show them, find them, and go back to them."""

from __future__ import annotations

import json

import pytest

import ledger
from ledger import CursorKey, Ledger
from support.clock import Clock
from support.commands import Run, lines, table
from support.cursors import chain

STORES = "every"

BILLING = ("billing", "stripe")


@pytest.fixture
def stripe(book: Ledger) -> Ledger:
    """A stream of tokens: evt_a, evt_b, evt_c."""
    book.positions.declare("stripe", "tokens")
    chain(book, "evt_a", "evt_b", "evt_c", key=CursorKey(*BILLING))
    return book


def test_a_token_is_found_at_each_cursor_where_it_was_numbered(run: Run, book: Ledger) -> None:
    book.positions.declare("stripe", "tokens")
    chain(book, "a==", "b==", "c==", key=CursorKey(*BILLING))
    chain(book, "b==", "c==", key=CursorKey("mailer", "stripe"))
    reset = ("reset", "--stream", "stripe", "--to", "token:b==", "--reason", "lost")
    after = lines(run, *reset, "--execute", "--yes")
    assert [(each["last_sequence"], each["last_delivery_id"]) for each in after] == [
        (2, "b=="),
        (1, "b=="),
    ]


def test_the_token_that_was_typed_is_the_one_to_go_on_after(run: Run, book: Ledger) -> None:
    key = CursorKey(*BILLING)
    book.positions.declare("stripe", "tokens")
    chain(book, "evt_a", "evt_b", key=key)
    book.reset(key, to=0, reason="the source begins again")
    chain(book, "evt_b", key=key)
    for to, token in (("token:evt_a", "evt_a"), ("token: evt_b", "evt_b"), ("1", "evt_b")):
        [planned] = lines(run, "reset", *BILLING, "--to", to, "--reason", "lost")
        assert (planned["sequence"], planned["delivery_id"]) == (1, token)


def test_the_place_of_another_cursor_is_where_its_token_is(run: Run, book: Ledger) -> None:
    late, early = CursorKey("A", "stripe"), CursorKey("B", "stripe")
    book.positions.declare("stripe", "tokens")
    chain(book, *(f"evt_{n}" for n in range(3, 10)), key=late)
    chain(book, *(f"evt_{n}" for n in range(1, 6)), key=early)
    reset = ("reset", "A", "stripe", "--reason", "as B", "--execute", "--yes")
    [cursor] = lines(run, *reset, "--to-cursor", "B/stripe")
    assert (cursor["last_sequence"], cursor["last_delivery_id"]) == (3, "evt_5")
    same = run("reset", "B", "stripe", "--to-cursor", "A/stripe", "--reason", "as A")
    assert same.exit_code == 0, "evt_5 is the last one of both"
    chain(book, "evt_x", key=early)
    refused = run(*reset, "--to-cursor", "B/stripe")
    assert refused.exit_code == 2
    assert "B/stripe is at 6 (evt_x), and A/stripe numbers tokens for itself" in refused.stderr
    book.heads.record("stripe", "", 9)
    refused = run(*reset, "--to-stream-time", "0m")
    assert refused.exit_code == 2
    assert "the number of its head means nothing for a cursor" in refused.stderr


def test_numbers_of_tokens_are_compared_with_nothing(run: Run, target: str, clock: Clock) -> None:
    with ledger.open(target, actor="tester", clock=clock) as book:
        book.positions.declare("stripe", "tokens")
        for stream in ("stripe", "orders"):
            book.heads.record(stream, "eu", 9)
            chain(book, "evt_9", key=CursorKey("late", stream, "eu"))
            for n in range(9):
                clock.tick(600)
                chain(book, f"evt_{n}", key=CursorKey("early", stream, "eu"))
    for more in ((), ("--subject", "eu"), ("--siblings",)):
        assert {each["key"]["stream_name"] for each in lines(run, "stalls", *more)} == {"orders"}
    found = {
        (each["key"]["stream_name"], each["key"]["consumer_id"]): (each["head"], each["state"])
        for each in map(json.loads, run("lag", "--jsonl").stdout.splitlines())
    }
    assert found["stripe", "late"] == found["stripe", "early"] == (None, "no-head")
    assert found["orders", "early"] == (9, "ok")


def test_the_command_numbers_tokens(run: Run) -> None:
    [first] = lines(run, "advance", *BILLING, "--next", "--delivery-id", "evt_a")
    confirm = ("advance", *BILLING, "--next", "--delivery-id", "evt_b")
    [second] = lines(run, *confirm, "--after", "evt_a")
    assert (first["last_sequence"], second["last_sequence"]) == (1, 2)
    [again] = lines(run, *confirm, "--after", "evt_a")
    assert (again["last_sequence"], again["version"]) == (2, 3)
    refused = run("advance", *BILLING, "--next", "--delivery-id", "evt_c", "--after", "evt_a")
    assert refused.exit_code == 3
    assert "is at 2 (evt_b); evt_c was to follow evt_a" in refused.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "Add --to, or --next"),
        (("--to", 3, "--next"), "Add --to, or --next"),
        (("--to", 3, "--after", "evt_a"), "--after is for tokens"),
        (("--next",), "--delivery-id is required"),
        (("--next", "--delivery-id", "b", "--after", "x" * 513), "--after has 513 characters"),
    ],
)
def test_options_of_tokens_that_do_not_fit_are_refused(
    run: Run, options: tuple[object, ...], said: str
) -> None:
    refused = run("advance", *BILLING, *options)
    assert refused.exit_code == 2
    assert said in " ".join(refused.stderr.split())


@pytest.mark.usefixtures("stripe")
def test_a_token_is_shown_and_found(run: Run) -> None:
    assert "stripe 2 (evt_b): delivered once" in table(run, "explain", *BILLING, "token:evt_b")
    [cursor] = lines(run, "show", *BILLING)
    assert cursor["at_source"] == {"last_sequence": "token:evt_c"}
    assert "delivered once" in table(run, "explain", *BILLING, "token: evt_b "), "ids are trimmed"
    refused = run("explain", *BILLING, "token:evt_z")
    assert refused.exit_code == 2
    assert "is a token that billing/stripe never confirmed: 'evt_z'" in refused.stderr


@pytest.mark.parametrize("goal", [("--to", "token:evt_a"), ("--to", 1), ("--by", -2)])
def test_a_reset_of_tokens_names_the_token_to_go_on_after(
    run: Run, stripe: Ledger, goal: tuple[object, ...]
) -> None:
    reset = ("reset", *BILLING, *goal, "--reason", "lost")
    assert "1 (evt_a)" in table(run, *reset)
    [cursor] = lines(run, *reset, "--execute", "--yes")
    assert (cursor["last_sequence"], cursor["last_delivery_id"]) == (1, "evt_a")
    after = stripe.advance(CursorKey(*BILLING), to=ledger.NEXT, delivery_id="evt_b", after="evt_a")
    assert after.last_sequence == 2


@pytest.mark.usefixtures("stripe")
def test_a_reset_of_tokens_to_where_none_was_is_refused(run: Run) -> None:
    reset = ("reset", *BILLING, "--to", 7, "--reason", "on", "--execute", "--yes")
    refused = run(*reset)
    assert refused.exit_code == 2
    assert "no token of billing/stripe was confirmed as 7" in refused.stderr
    [cursor] = lines(run, *reset, "--delivery-id", "evt_g")
    assert cursor["last_delivery_id"] == "evt_g"
    begin = ("reset", *BILLING, "--to", 0, "--reason", "all", "--execute", "--yes")
    [cursor] = lines(run, *begin)
    assert (cursor["last_sequence"], cursor["last_delivery_id"]) == (0, "")


def test_a_file_of_requests_may_have_tokens(run: Run) -> None:
    key = {"consumer_id": "billing", "stream_name": "stripe"}
    asked = [
        {"op": "confirm", "confirm": {"key": key, "delivery_id": "evt_a"}},
        {"op": "confirm", "confirm": {"key": key, "delivery_id": "evt_b", "after": "evt_a"}},
        {"op": "confirm", "confirm": {"key": key, "delivery_id": "evt_d", "after": "evt_c"}},
    ]
    result = run("append", "-", "--jsonl", text="\n".join(map(json.dumps, asked)))
    assert result.exit_code == 3
    [refusal] = map(json.loads, result.stdout.splitlines())
    assert (refusal["line"], refusal["error"]) == (3, "StaleTokenError")
    assert lines(run, "show", *BILLING)[0]["last_sequence"] == 2


def test_a_token_with_escapes_is_shown_without_effect(run: Run, stripe: Ledger) -> None:
    stripe.advance(CursorKey(*BILLING), to=ledger.NEXT, delivery_id="\x1b[31m\u202e", after="evt_c")
    assert "\x1b" not in table(run, "explain", *BILLING, 4)
