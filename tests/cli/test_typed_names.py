"""What is typed for a cursor, and what is understood; and what is printed can be typed."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import CursorKey, InvalidCursorError
from ledger.law.reserved import HEAD
from support.commands import Run, records

UNDERSTOOD = {
    # In words, as they stand.
    "webhooks orders": ("webhooks", "orders", ""),
    "webhooks orders customer-7": ("webhooks", "orders", "customer-7"),
    "webhooks orders/eu": ("webhooks", "orders/eu", ""),
    "web/hooks orders": ("web/hooks", "orders", ""),
    "web/hooks orders/eu a/b": ("web/hooks", "orders/eu", "a/b"),
    "webhooks orders%2Feu": ("webhooks", "orders%2Feu", ""),
    "webhooks/orders customer-7": ("webhooks/orders", "customer-7", ""),
    "webhooks /": ("webhooks", "/", ""),
    "' webhooks ' orders": ("webhooks", "orders", ""),
    # In one word, as it is printed.
    "webhooks/orders": ("webhooks", "orders", ""),
    "webhooks/orders/customer-7": ("webhooks", "orders", "customer-7"),
    "webhooks/orders%2Feu": ("webhooks", "orders/eu", ""),
    "webhooks/orders%2feu": ("webhooks", "orders/eu", ""),
    "web%2Fhooks/orders/a%2Fb": ("web/hooks", "orders", "a/b"),
    "webhooks/orders%252Feu": ("webhooks", "orders%2Feu", ""),
    "webhooks/50%": ("webhooks", "50%", ""),
    "webhooks/50%2G": ("webhooks", "50%2G", ""),
    "webhooks/%25": ("webhooks", "%", ""),
    "webhooks/%2525": ("webhooks", "%25", ""),
    "webhooks/%2F": ("webhooks", "/", ""),
    "webhooks/%2F%2F/%2F": ("webhooks", "//", "/"),
    "'mail server/jobs'": ("mail server", "jobs", ""),
    "mail\\ server/jobs": ("mail server", "jobs", ""),
    "'webhooks / orders'": ("webhooks", "orders", ""),
    "https:%2F%2Fexample.org%2Fhook/orders": ("https://example.org/hook", "orders", ""),
    "cursor-ledger%2Fhead/orders": ("cursor-ledger/head", "orders", ""),
    "Zoë/注文": ("Zoë", "注文", ""),
    "%2Fvar%2Flog/lines": ("/var/log", "lines", ""),
}

REFUSED = {
    "webhooks": "The stream is missing: name the cursor as webhooks STREAM [SUBJECT], or in one",
    "webhooks%2Forders": "The stream is missing",
    "a/b/c/d": "in one word it is CONSUMER/STREAM or CONSUMER/STREAM/SUBJECT. Write %2F",
    "webhooks/": "in one word it is CONSUMER/STREAM",
    "/orders": "in one word it is CONSUMER/STREAM",
    "/": "in one word it is CONSUMER/STREAM",
    "webhooks//customer-7": "in one word it is CONSUMER/STREAM",
    "webhooks/orders/": "in one word it is CONSUMER/STREAM",
    "'webhooks/ '": "in one word it is CONSUMER/STREAM",
    "webhooks/\u200b": "the stream has no character that can be seen",
    # An empty word is not the same as none: a variable of a script may be empty.
    "webhooks/orders ''": "STREAM is required",
    "'' orders": "CONSUMER is required",
}


@pytest.mark.parametrize("typed", UNDERSTOOD)
def test_a_cursor_is_named_in_words_or_in_the_word_that_is_printed(run: Run, typed: str) -> None:
    key = CursorKey(*UNDERSTOOD[typed])
    made = run("advance", *shlex.split(typed), "--to", 1, "--new")
    assert made.exit_code == 0, made.output
    named = {"consumer_id": key.consumer_id, "stream_name": key.stream_name}
    assert records(made)[0]["key"] == {**named, "subject_id": key.subject_id}
    # The same word, and the one that is printed, name it in the other commands.
    for words in (shlex.split(typed), [str(key)]):
        for command in ("show", "history", "gaps", "repeats", "timeline"):
            shown = run(command, "--", *words)
            assert shown.exit_code == 0, (command, words, shown.output)
        assert records(run("explain", *words, 1))[0]["key"] == records(made)[0]["key"]
        assert run("as-of", "now", *words).exit_code == 0
        assert run("reset", *words, "--to", 0, "--reason", "again").exit_code == 0


@pytest.mark.parametrize("typed", REFUSED)
def test_what_names_no_cursor_is_refused_and_makes_none(run: Run, typed: str) -> None:
    run("advance", "mailer", "jobs", "--to", 1)
    for command in (["advance", "--to", 1], ["show"], ["history"]):
        refused = run(*command, *shlex.split(typed))
        assert refused.exit_code == 2, refused.output
        assert REFUSED[typed] in " ".join(refused.stderr.split())
    assert len(records(run("entries"))) == 1


PIECES = ["a", "/", "%", "2F", "25", "2f", "%2F", "%25", "%%", " ", "\u00e9"]
words = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
names = words.filter(str.strip)


@given(names, names, st.one_of(st.just(""), names))
def test_what_is_printed_is_read_as_the_same_cursor(one: str, two: str, three: str) -> None:
    key = CursorKey(one, two, three)
    assert CursorKey.parse(str(key)) == key
    assert str(key).count("/") == 1 + bool(key.subject_id)


@given(words)
def test_two_cursors_are_never_printed_alike(word: str) -> None:
    try:
        key = CursorKey.parse(word)
    except InvalidCursorError as error:
        assert "CONSUMER/STREAM" in str(error)
        return
    # A word has one meaning; what is printed may differ from it where a % needed no escape.
    assert CursorKey.parse(str(key)) == key


def test_what_tables_and_messages_print_can_be_pasted(run: Run) -> None:
    key = CursorKey("web/hooks", "orders", "50%25")
    word = "web%2Fhooks/orders/50%2525"
    assert str(key) == word
    run("advance", "web/hooks", "orders", "50%25", "--to", 5)
    assert word in run("tail", "--table").stdout
    assert word in run("explain", word, 5, "--table").stdout
    refused = run("advance", word, "--to", 3)
    assert refused.exit_code == 3
    assert f"{word} is at 5" in refused.stderr
    missing = run("show", "web%2Fhooks/orders/nobody")
    assert missing.stderr.startswith("cursor-ledger: web%2Fhooks/orders/nobody has no cursor")


def test_a_name_that_mixes_the_two_ways_makes_no_cursor_by_mistake(run: Run) -> None:
    run("advance", "webhooks/orders/customer-7", "--to", 5)
    for command in (
        ["advance", "--to", 6],
        ["error", "-m", "x"],
        ["start", "--at", 1, "--reason", "x"],
    ):
        refused = run(*command, "webhooks/orders", "customer-7")
        assert refused.exit_code == 4
        assert "Did you mean webhooks orders customer-7?" in refused.stderr
    assert run("advance", "webhooks/orders", "customer-7", "--to", 6, "--new").exit_code == 0
    assert len(records(run("list"))) == 2


def test_a_file_of_targets_may_name_its_cursors_in_one_word(run: Run, tmp_path: Path) -> None:
    run("advance", "webhooks", "orders/eu", "--to", 5)
    run("advance", "webhooks", "orders", "a", "--to", 5)
    file = tmp_path / "targets.csv"
    file.write_text("cursor,to\nwebhooks/orders%2Feu,2\nwebhooks/orders/a,3\n")
    planned = records(run("reset", "--targets", file, "--reason", "again"))
    assert sorted((each["key"]["stream_name"], each["sequence"]) for each in planned) == [
        ("orders", 3),
        ("orders/eu", 2),
    ]
    for text, complaint in (
        ("cursor,stream,to\nwebhooks/orders/a,orders,3\n", "both cursor and stream"),
        ("cursor,to\nwebhooks,3\n", "must be CONSUMER/STREAM"),
        ('{"cursor": 7, "to": 3}\n', "cursor must be"),
        ("cursor,to\nwebhooks/orders/a,3\nwebhooks/orders/a,2\n", "has a target already"),
    ):
        file.write_text(text)
        refused = run("reset", "--targets", file, "--reason", "again")
        assert refused.exit_code == 2, refused.output
        assert complaint in refused.stderr


def test_heads_takes_the_stream_and_the_subject_in_one_word(run: Run) -> None:
    run("advance", "webhooks", "orders", "eu", "--to", 41)
    # Where cursors have that subject; or by the name of the head's own cursor, as it is printed.
    for word, to in (("orders/eu", 44), ("cursor-ledger%2Fhead/orders/eu", 45)):
        [head] = records(run("heads", word, "--to", to))
        key = {"consumer_id": HEAD, "stream_name": "orders", "subject_id": "eu"}
        assert (head["key"], head["last_sequence"]) == (key, to)
        [shown] = records(run("heads", word))
        assert shown == head


def test_the_name_of_a_stream_that_has_a_slash_goes_before(run: Run) -> None:
    # As before: nobody has such a subject, and a new stream may be called so.
    [head] = records(run("heads", "orders/eu", "--to", 44))
    assert head["key"]["stream_name"] == "orders/eu"
    run("advance", "webhooks", "orders", "eu", "--to", 41)
    [head] = records(run("heads", "orders/eu", "--to", 45))
    assert (head["key"]["stream_name"], head["version"]) == ("orders/eu", 2)
    for odd in ("orders/", "/eu", "/", "a/b/c"):
        [head] = records(run("heads", odd, "--to", 1))
        assert (head["key"]["stream_name"], head["key"]["subject_id"]) == (odd, "")
