"""A filter that no cursor matches finds nothing, and is answered with names that are near."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import ledger
from ledger import AdvanceCursor, CursorKey
from ledger.cli.typed import near
from support.commands import Run, records


@pytest.fixture
def full(run: Run) -> Run:
    run("advance", "webhooks", "orders", "customer-7", "--to", 44)
    run("advance", "mail server", "jobs", "--to", 3)
    run("heads", "orders", "customer-7", "--to", 50)
    return run


COMMANDS = [
    ["list"],
    ["list", "--table"],
    ["list", "--json"],
    ["list", "--csv"],
    ["entries"],
    ["tail"],
    ["tail", "--table"],
    ["lag"],
    ["stalls"],
    ["resets"],
    ["gaps"],
    ["repeats"],
    ["diff", "1"],
    ["as-of", "now"],
    ["export", "--format", "kafka"],
]
TYPED = {
    ("--consumer", "webhook"): "No cursor has the consumer 'webhook'. Did you mean webhooks?",
    ("--consumer", "WebHooks"): "No cursor has the consumer 'WebHooks'. Did you mean webhooks?",
    ("--consumer", "mail-server"): "Did you mean 'mail server'?",
    ("--stream", "order"): "No cursor has the stream 'order'. Did you mean orders?",
    ("--subject", "customer7"): "No cursor has the subject 'customer7'. Did you mean customer-7?",
    ("--stream", "zzz"): "No cursor has the stream 'zzz'.",
}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_mistyped_filter_is_answered_with_the_name_that_was_meant(
    full: Run, command: list[str]
) -> None:
    options = {each for each in TYPED if each[0] in full(command[0], "--help").stdout}
    if "kafka" in command:
        options = {each for each in options if each[0] != "--subject"}  # it is a partition there
    assert len(options) >= 2
    for option in options:
        found = full(*command, *option)
        assert found.exit_code == 0, found.output
        assert TYPED[option] in found.stderr
        assert "Did you mean" not in found.stdout


def test_a_stream_that_has_no_head_is_answered_with_the_one_that_was_meant(full: Run) -> None:
    found = full("heads", "order")
    assert (found.exit_code, found.stdout) == (0, "")
    assert "No cursor has the stream 'order'. Did you mean orders?" in found.stderr


def test_a_plan_for_a_mistyped_name_says_which_was_meant(full: Run) -> None:
    refused = full("reset", "--consumer", "webhook", "--to", "1", "--reason", "x")
    assert refused.exit_code == 4
    assert "there is nothing to reset" in refused.stderr
    assert "Did you mean webhooks?" in refused.stderr


def test_names_that_are_right_are_not_doubted_where_nothing_is_found(full: Run) -> None:
    for options in (
        ["--consumer", "webhooks", "--stream", "jobs"],
        ["--consumer", "cursor-ledger/head", "--subject", "customer-7", "--stream", "jobs"],
        ["--stream", ""],
    ):
        for command in ("list", "gaps", "resets"):
            assert "Did you mean" not in full(command, *options).stderr
            assert "No cursor has" not in full(command, *options).stderr
    assert "No cursor has" not in full("list", "--consumer", "webhooks").stderr


def test_where_there_is_no_ledger_the_refusal_stands_alone(run: Run) -> None:
    refused = run("list", "--consumer", "webhook")
    assert refused.exit_code == 1
    assert "Did you mean" not in refused.stderr


def test_a_value_of_a_choice_that_is_mistyped_is_answered_with_the_one_that_is_near(
    full: Run,
) -> None:
    for words, meant in (
        (["lag", "--state", "behnd"], "Did you mean behind?"),
        (["advance", "a", "b", "--to", "1", "--outcome", "delivred"], "Did you mean delivered?"),
        (["entries", "--kind", "resets"], "Did you mean reset?"),
        (["resets", "--direction", "foward"], "Did you mean forward?"),
    ):
        refused = full(*words)
        assert refused.exit_code == 2
        assert meant in refused.stderr
    assert "Did you mean" not in full("lag", "--state", "qqq").stderr
    assert "Did you mean 'list'?" in full("lits").stderr
    assert "--consumer" in full("list", "--consumr", "x").stderr


def test_the_search_is_bounded_in_a_ledger_of_ten_thousand_cursors(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger.open(tmp_path / "many.db", actor="x") as book:
        book.append(
            AdvanceCursor(CursorKey(f"consumer-{number:05}", "orders"), 1)
            for number in range(10_000)
        )
    began = time.process_time()
    found = run("--db", tmp_path / "many.db", "list", "--consumer", "consumer-0777")
    assert "Did you mean consumer-0" in found.stderr
    assert time.process_time() - began < 5  # Seconds of this process, on a machine that is busy.
    monkeypatch.setattr(near, "LOOKED_AT_S", 0.0)
    found = run("--db", tmp_path / "many.db", "list", "--consumer", "consumer-0777")
    assert found.exit_code == 0
    assert "No cursor has the consumer" in found.stderr
    assert records(found) == []


def test_what_is_offered_can_be_typed_and_shows_nothing_that_is_not_there() -> None:
    assert near.near_names("a b", ["a bc"]) == ["'a bc'"]
    assert near.near_names("order", ["ord\u202eer", "or\x1bder"]) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["web/%zz"], "No cursor has the consumer 'web'. "),
        (["webhooks/%zz"], "No cursor has the stream '%zz'. '%zz' stands as it is: in one word, "),
        (["webhooks/ord%2"], "'%2' stands as it is: in one word, %2F is a slash in a name"),
        (["webhooks/order/customer-7"], "Did you mean webhooks orders customer-7?"),
    ],
)
def test_a_cursor_in_one_word_is_answered_name_by_name(
    full: Run, words: list[str], said: str
) -> None:
    refused = full("show", *words)
    assert refused.exit_code == 4
    assert said in refused.stderr
    assert f"consumer {words[0]!r}" not in refused.stderr


def test_names_in_several_words_have_no_escapes(full: Run) -> None:
    refused = full("show", "webhooks", "%zz")
    assert "No cursor has the stream '%zz'." in refused.stderr
    assert "stands as it is" not in refused.stderr
