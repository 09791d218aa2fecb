"""Cursors that are reset together, each to its own place, and undone together."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

import ledger
from ledger import CursorKey
from ledger.log.text import show_time
from support.commands import Run, records

STORES = "every"

TOPIC = ("--consumer", "mailer", "--stream", "orders")
WHY = ("--reason", "lost")


def places(run: Run, *options: str) -> dict[str, int]:
    found = records(run("list", *(options or ("--consumer", "mailer", "--stream", "orders"))))
    return {cursor["key"]["subject_id"]: cursor["last_sequence"] for cursor in found}


def planned(result: Any) -> dict[str, int]:
    assert result.exit_code == 0, result.stderr
    return {reset["key"]["subject_id"]: reset["sequence"] for reset in records(result)}


BEFORE = {str(partition): 100 + partition for partition in range(12)}


# --- where each goes ---


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ((*TOPIC, "--to", "7=40", "--to", "11=900"), {"7": 40, "11": 900}),
        (("mailer", "orders", "--to", "7=40", "--to", "11=900"), {"7": 40, "11": 900}),
        (("mailer", "orders", "7", "--to", "40"), {"7": 40}),
        ((*TOPIC, "--subject", "7", "--subject", "11", "--to", "40"), {"7": 40, "11": 40}),
        ((*TOPIC, "--subject", "7", "--subject", "7", "--to", "40"), {"7": 40}),
        (
            ("--stream", "orders", "--subject", "7", "--consumer", "mailer", "--by", "-1"),
            {"7": 106},
        ),
        (
            ("--consumer", "mailer", "--stream", "invoices", "--stream", "invoices", "--to", "1"),
            {"": 1},
        ),
        (("--stream", "", "--consumer", "mailer", "--subject", "3", "--to", "1"), {"3": 1}),
    ],
    ids=lambda case: " ".join(case) if isinstance(case, tuple) else "",
)
def test_cursors_are_named_and_each_has_its_place(
    topic: Run, how: tuple[str, ...], wanted: dict[str, int]
) -> None:
    assert planned(topic("reset", *how, *WHY)) == wanted
    assert topic("reset", *how, *WHY, "--execute", "--yes").exit_code == 0
    assert places(topic, "--consumer", "mailer").items() >= wanted.items()


def test_several_streams_and_consumers_are_chosen_at_once(topic: Run) -> None:
    def chosen(*options: str) -> list[tuple[str, ...]]:
        plan = records(topic("reset", *options, "--by", "1", *WHY))
        return [tuple(reset["key"].values()) for reset in plan]

    both = chosen("--consumer", "mailer", "--consumer", "search", "--stream", "orders")
    assert len(both) == 24
    # In the order of lists: stream, subject, consumer.
    assert both[:3] == [
        ("mailer", "orders", "0"),
        ("search", "orders", "0"),
        ("mailer", "orders", "1"),
    ]
    assert both == [tuple(c["key"].values()) for c in records(topic("list", "--stream", "orders"))]
    streams = chosen("--consumer", "mailer", "--stream", "orders", "--stream", "invoices")
    assert len(streams) == 13
    assert chosen("--all") == [tuple(c["key"].values()) for c in records(topic("list"))]
    for command in (["gaps"], ["repeats"], ["as-of", "0s"]):
        done = topic(*command, "--stream", "orders", "--stream", "invoices", "--json")
        assert done.exit_code == 0
    then = records(topic("as-of", "0s", "--stream", "invoices", "--stream", "orders"))
    assert len(then) == 25
    assert len(records(topic("gaps", "--subject", "3", "--subject", "4", "--dense"))) == 4


def test_a_place_may_be_a_position_in_the_words_of_its_source(topic: Run, path: Path) -> None:
    refused = topic("reset", *TOPIC, "--to", "7=offset:43", *WHY)
    assert refused.exit_code == 2
    assert "none was declared for orders" in refused.stderr
    assert topic("positions", "declare", "orders", "zero-based").exit_code == 0
    how = ("--to", "7=offset:43", "--to", "a=b=next-offset:9", "--to", "8=5")
    plan = topic("reset", *TOPIC, *how, *WHY, "--missing", "zero")
    assert planned(plan) == {"7": 44, "a=b": 9, "8": 5}
    table = topic("reset", *TOPIC, *how, *WHY, "--missing", "zero", "--table").stdout
    assert "107 (offset 106)" in table
    assert "44 (offset 43)" in table
    assert set(planned(topic("reset", *TOPIC, "--to", "offset:43", *WHY)).values()) == {44}
    file = path.with_name("words.csv")
    file.write_text("subject,to\n7,offset:43\n8,5\n")
    assert planned(topic("reset", *TOPIC, "--targets", file, *WHY)) == {"7": 44, "8": 5}
    file.write_text('{"subject": "7", "to": "offset:43"}\n')
    assert planned(topic("reset", *TOPIC, "--targets", file, *WHY)) == {"7": 44}
    file.write_text("subject,to\n7,lsn:0/16B3748\n")
    refused = topic("reset", *TOPIC, "--targets", file, *WHY)
    assert (refused.exit_code, "must be offset:43" in refused.stderr) == (2, True)


def test_each_stream_has_its_own_meaning_of_a_word(topic: Run) -> None:
    topic("advance", "mailer", "wal", "--to", "23803720")
    topic("positions", "declare", "wal", "lsn")
    topic("positions", "declare", "orders", "zero-based")
    two = ("--consumer", "mailer", "--stream", "orders", "--stream", "wal")
    refused = topic("reset", *two, "--to", "offset:43", *WHY)
    assert (refused.exit_code, "must be an LSN" in refused.stderr) == (2, True)
    assert topic("reset", *two, "--to", "43", *WHY).exit_code == 0


def test_tokens_of_several_cursors_are_each_their_own(topic: Run) -> None:
    topic("positions", "declare", "stripe", "tokens")
    for subject, tokens in (("a", ("evt_1", "evt=2")), ("b", ("evt_0", "evt_1", "evt_3"))):
        for sequence, token in enumerate(tokens, 1):
            done = topic(
                *("advance", "mailer", "stripe", subject, "--to", sequence, "--delivery-id", token)
            )
            assert done.exit_code == 0
    how = ("reset", "--consumer", "mailer", "--stream", "stripe")
    # A token is another sequence for each cursor.
    both = records(topic(*how, "--to", "token:evt_1", *WHY))
    assert [(r["sequence"], r["delivery_id"]) for r in both] == [(1, "evt_1"), (2, "evt_1")]
    each = records(topic(*how, "--to", "a=token:evt=2", "--to", "b=1", *WHY))
    assert [(r["sequence"], r["delivery_id"]) for r in each] == [(2, "evt=2"), (1, "evt_0")]
    one = records(topic("reset", "mailer", "stripe", "a", "--to", "token:evt=2", *WHY))
    assert [(r["sequence"], r["delivery_id"]) for r in one] == [(2, "evt=2")]


FILES = {
    "orders.csv": "topic,partition,offset\norders,7,40\norders,11,900\n",
    "kafka.csv": "orders,7,40\norders,11,900\n",
    "group.csv": "mailer,orders,7,40\nmailer,orders,11,900\n",
    "named.csv": "consumer,stream,subject,to\nmailer,orders,7,40\nmailer,orders,11,900\n",
    "lines.jsonl": '{"subject": "7", "to": 40}\n{"subject": "11", "to": 900}\n',
}


@pytest.mark.parametrize("name", FILES)
def test_targets_are_read_from_a_file(topic: Run, path: Path, name: str) -> None:
    file = path.with_name(name)
    file.write_text(FILES[name])
    wanted = {"7": 40, "11": 900}
    for source, text in ((str(file), None), ("-", FILES[name])):
        how = ("reset", *TOPIC, "--targets", source, *WHY)
        assert planned(topic(*how, text=text)) == wanted
    done = topic("reset", *TOPIC, "--targets", file, *WHY, "--execute", "--yes")
    assert done.exit_code == 0
    assert places(topic) == {**BEFORE, **wanted}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--to", "7"), "Which cursors?"),
        ((*TOPIC, "--to", "7", "--to", "8"), "--to is one number for all cursors"),
        ((*TOPIC, "--to", "7", "--to", "8=7"), "--to is one number for all cursors"),
        ((*TOPIC, "--to", "8=7", "--to", " 8 =8"), "--to names the subject '8' twice"),
        (("--consumer", "mailer", "--to", "8=7"), "name CONSUMER STREAM before it"),
        (("--all", "--to", "8=7"), "name CONSUMER STREAM before it"),
        (("mailer", "orders", "8", "--to", "8=7"), "name CONSUMER STREAM before it"),
        ((*TOPIC, "--subject", "8", "--to", "8=7"), "name CONSUMER STREAM before it"),
        ((*TOPIC, "--to", "8=x"), "'x' is not a valid integer"),
        ((*TOPIC, "--to", "x"), "'x' is not a valid integer"),
        ((*TOPIC, "--to", "8="), "'' is not a valid integer"),
        ((*TOPIC, "--to", "8=-1"), "to of mailer/orders/8 must be from 0"),
        (("mailer", "orders", "--to", "8=7", "--new"), "--new makes one cursor"),
        ((*TOPIC, "--to", "8=7", "--delivery-id", "x"), "leave out --delivery-id"),
        ((*TOPIC, "--to", "8=7", "--by", "1"), "exactly one of"),
        ((*TOPIC, "--to", "8=7", "--targets", "-"), "exactly one of"),
        (("mailer", "orders", "--targets", "-"), "--targets names the cursors"),
        ((*TOPIC, "--subject", "7", "--targets", "-"), "--targets names the cursors"),
        ((*TOPIC, "--consumer", "search", "--targets", "-"), "--targets names the cursors"),
        ((*TOPIC, "--stream", "invoices", "--targets", "-"), "--targets names the cursors"),
        (("--all", "--targets", "-"), "--targets names the cursors"),
        (("--targets", "-"), "the file of targets is empty"),
        (("--targets", "/not/there"), "No such file"),
        ((*TOPIC, "--undo", "--missing", "zero"), "--missing zero is not for --undo"),
        ((*TOPIC, "--to", "7", "--group", "5"), "add --undo"),
        ((*TOPIC, "--undo", "--group", "5"), "leave out all other choices"),
        (("--all", "--undo", "--group", "5"), "leave out all other choices"),
        (("--undo", "--group", "0"), "--group must be from 1"),
        ((*TOPIC, "--to", "7", "--missing", "none"), "'none' is not one of"),
    ],
    ids=lambda case: " ".join(case) if isinstance(case, tuple) else "",
)
def test_what_is_ambiguous_or_says_too_little_is_refused(
    topic: Run, given: tuple[str, ...], said: str
) -> None:
    refused = topic("reset", *given, *WHY)
    assert (refused.exit_code, said in refused.stderr) == (2, True), refused.stderr
    assert records(topic("resets")) == []


# --- what is not there ---


def test_what_is_not_there_is_refused_left_out_or_made(topic: Run, path: Path) -> None:
    how = ("reset", "mailer", "orders", "--to", "7=40", "--to", "12=3", *WHY)
    refused = topic(*how, "--execute", "--yes")
    assert refused.exit_code == 4
    assert "mailer/orders/12 has no cursor" in refused.stderr
    assert "Add --missing zero to make it, or --missing skip." in refused.stderr
    assert topic(*how, "--missing", "refuse").exit_code == 4
    less = topic(*how, "--missing", "skip", "--export", path.with_name("plan.jsonl"))
    assert planned(less) == {"7": 40}
    assert "left out: mailer/orders/12 has no cursor" in less.stderr
    # A person who gets the plan sees it, too.
    handed = topic("reset", "--from-file", path.with_name("plan.jsonl"))
    assert "left out: mailer/orders/12 has no cursor" in handed.stderr
    made = topic(*how, "--missing", "zero", "--execute", "--yes")
    assert made.exit_code == 0
    assert places(topic) == {**BEFORE, "7": 40, "12": 3}


def test_a_plan_that_leaves_out_everything_resets_nothing(topic: Run) -> None:
    for given in (("mailer", "orders", "--to", "12=1"), ("mailer", "orders", "12", "--to", "1")):
        done = topic("reset", *given, *WHY, "--missing", "skip", "--execute", "--yes")
        assert done.exit_code == 4
        assert "left out: mailer/orders/12" in done.stderr
        assert "there is nothing to reset" in done.stderr
    made = topic(
        "reset",
        "mailer",
        "orders",
        "12",
        "--to",
        "1",
        *WHY,
        "--missing",
        "zero",
        "--execute",
        "--yes",
    )
    assert made.exit_code == 0


@pytest.mark.parametrize(
    ("given", "option"),
    [
        (("--stream", "orders", "--stream", "parcels"), "--stream 'parcels'"),
        (("--consumer", "mailer", "--consumer", "nailer"), "--consumer 'nailer'"),
        (("--consumer", "mailer", "--subject", "3", "--subject", "12"), "--subject '12'"),
    ],
)
def test_a_name_that_matches_nothing_is_not_passed_over(
    topic: Run, given: tuple[str, ...], option: str
) -> None:
    refused = topic("reset", *given, "--by", "1", *WHY)
    assert refused.exit_code == 4
    assert f"no cursor of these matches {option}" in refused.stderr
    assert topic("reset", *given, "--by", "1", *WHY, "--missing", "skip").exit_code == 0


def test_partitions_that_were_made_later_go_to_0_or_are_left_out(topic: Run, target: str) -> None:
    with ledger.open(target) as book:
        position = book.history(CursorKey("mailer", "orders", "9"))
        at = next(iter(position)).position
    how = ("reset", *TOPIC, "--to-entry", at, *WHY)
    refused = topic(*how)
    assert refused.exit_code == 3
    assert "mailer/orders/10 had no entry yet" in refused.stderr
    zero = planned(topic(*how, "--missing", "zero"))
    assert zero == {**BEFORE, "10": 0, "11": 0}
    assert planned(topic(*how, "--missing", "skip")) == {
        subject: to for subject, to in BEFORE.items() if subject not in {"10", "11"}
    }


def test_a_group_goes_to_where_its_stream_was(topic: Run, target: str) -> None:
    heads = [CursorKey("cursor-ledger/head", "orders", str(p)) for p in range(12)]
    with ledger.open(target, actor="producer") as book:
        book.append([ledger.AdvanceCursor(head, 200) for head in heads])
        then = show_time(max(entry.recorded_at for entry in book.entries()))
        time.sleep(0.01)
        book.append([ledger.AdvanceCursor(head, 900) for head in heads])
    plan = topic("reset", *TOPIC, "--to-stream-time", then, *WHY)
    assert set(planned(plan).values()) == {200}
    assert plan.stderr.startswith(f"--to-stream-time {then} is {then}")
    assert set(planned(topic("reset", *TOPIC, "--to-stream-time", "0s", *WHY)).values()) == {900}
    refused = topic("reset", "mailer", "invoices", "--to-stream-time", "0s", *WHY)
    assert refused.exit_code == 3
    assert "how far the stream of mailer/invoices goes" in refused.stderr
    # The heads themselves are not among all cursors.
    every = records(topic("reset", "--all", "--by", "1", *WHY))
    assert {reset["key"]["consumer_id"] for reset in every} == {"mailer", "search"}
