"""Commands show what a source calls its positions, and take it where they take a sequence."""

from __future__ import annotations

import json

import pytest

from ledger import CursorKey, Ledger
from ledger.law import fields
from support.commands import Run, lines, table

STORES = "every"

ORDERS = CursorKey("mailer", "orders")
MAILER = ("mailer", "orders")


@pytest.fixture
def kafka(book: Ledger) -> Ledger:
    """A stream of offsets: 0, then a jump to 5, an error, and a reset to 2."""
    book.positions.declare("orders", "zero-based")
    book.advance(ORDERS, to=1, delivery_id="m-0")
    book.advance(ORDERS, to=6)
    book.record_error(ORDERS, "HTTP 503")
    book.record_error(ORDERS, "HTTP 503")
    book.reset(ORDERS, to=3, reason="lost")
    return book


# --- declared by the command ---


def test_a_mapping_is_declared_listed_and_changed_with_a_reason(run: Run) -> None:
    [declared] = lines(run, "positions", "declare", "orders", "zero-based", "--actor", "ines")
    assert (declared["stream_name"], declared["mapping"]) == ("orders", "zero-based")
    assert lines(run, "positions", "list") == [declared]
    refused = run("positions", "declare", "orders", "lsn")
    assert refused.exit_code == 3
    assert "orders is declared as zero-based" in refused.stderr
    run("positions", "declare", "orders", "lsn", "--reason", "it is a slot")
    assert "lsn" in table(run, "positions", "list")
    [first, second] = lines(run, "history", "cursor-ledger/positions", "orders")
    assert (first["actor"], second["actor"]) == ("ines", "ops@desk")
    assert second["event"]["reason"] == "it is a slot"
    assert run("positions", "declare", "orders", "kafka").exit_code == 2


@pytest.mark.usefixtures("kafka")
def test_a_declaration_has_no_positions_of_its_own(run: Run) -> None:
    [entry] = lines(run, "history", "cursor-ledger/positions", "orders")
    assert "at_source" not in entry
    assert "offset" not in table(run, "history", "cursor-ledger/positions", "orders")


# --- shown ---


@pytest.mark.usefixtures("kafka")
@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (("show", *MAILER), ["3 (offset 2)"]),
        (("list",), ["3 (offset 2)"]),
        (("as-of", 3, *MAILER), ["6 (offset 5)"]),
        (("as-of", 3), ["6 (offset 5)"]),
        (("diff", 2), ["1 (offset 0)", "3 (offset 2)"]),
        (("history", *MAILER), ["advance 0 → 1 (offset 0)", "reset 6 → 3 (offset 2)"]),
        (("entries",), ["advance 0 → 1 (offset 0)", "reset 6 → 3 (offset 2)"]),
        (("tail",), ["advance 1 → 6 (offset 5)"]),
        (("resets",), ["6 (offset 5)", "3 (offset 2)"]),
        (("gaps",), ["2 (offset 1)", "5 (offset 4)"]),
        (("stalls",), ["6 (offset 5)"]),
        (("timeline", *MAILER), ["offset 2 – offset 5"]),
        (
            ("explain", *MAILER, "offset:5"),
            ["orders 6 (offset 5): delivered once", "at 3 (offset 2), 3 before it"],
        ),
        (("explain", *MAILER, 3), ["orders 3 (offset 2): NOT DELIVERED", "to 6 (offset 5)"]),
        (("reset", *MAILER, "--to", 0, "--reason", "all"), ["0 (before offset 0)"]),
    ],
)
def test_a_table_shows_the_offset_beside_the_sequence(
    run: Run, command: tuple[object, ...], shown: list[str]
) -> None:
    said = table(run, *command)
    for each in shown:
        assert each in said


def test_what_was_delivered_again_is_shown_as_well(run: Run, kafka: Ledger) -> None:
    kafka.advance(ORDERS, to=6)
    assert "6 (offset 5)" in table(run, "repeats")


@pytest.mark.usefixtures("kafka")
@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("show", *MAILER), {"last_sequence": "offset:2"}),
        (("list",), {"last_sequence": "offset:2"}),
        (("resets",), {"previous_sequence": "offset:5", "sequence": "offset:2"}),
        (("explain", *MAILER, 6), {"sequence": "offset:5", "last_sequence": "offset:2"}),
        (
            ("history", *MAILER, "-n", 1),
            {"previous_sequence": "next-offset:0", "sequence": "offset:0"},
        ),
    ],
)
def test_json_has_the_words_that_commands_take(
    run: Run, command: tuple[object, ...], words: dict[str, str]
) -> None:
    [record] = lines(run, *command)
    assert record["at_source"] == words
    for word in words.values():
        # Only 0 is no sequence that could be delivered.
        code = 2 if word == "next-offset:0" else 0
        assert run("explain", *MAILER, word).exit_code == code
    one = json.loads(run(*command, "--json").stdout)
    assert (one if isinstance(one, dict) else one[0])["at_source"] == words


def test_nothing_changes_where_nothing_is_declared(run: Run, book: Ledger) -> None:
    book.advance(ORDERS, to=44, delivery_id="m-44")
    before = [run(*command, form).stdout for command, form in _EVERY]
    book.positions.declare("invoices", "lsn")
    book.positions.declare("orders", "plain")
    after = [run(*command, form).stdout for command, form in _EVERY]
    assert after == before
    assert "at_source" not in "".join(after)


def test_each_partition_is_reset_to_its_own_offset(run: Run, book: Ledger) -> None:
    book.positions.declare("orders", "zero-based")
    for partition in "01":
        book.advance(CursorKey("mailer", "orders", partition), to=9)
    reset = ("reset", *MAILER, "--to", "0=offset:4", "--to", "1=next-offset:7", "--reason", "lost")
    assert "5 (offset 4)" in table(run, *reset)
    after = lines(run, *reset, "--execute", "--yes")
    assert [cursor["last_sequence"] for cursor in after] == [5, 7]
    refused = run("reset", *MAILER, "--to", "0=lsn:0/4", "--reason", "lost")
    assert "--to must be offset:43, next-offset:44 or a sequence" in refused.stderr


def test_each_of_many_streams_has_its_own_mapping(run: Run, book: Ledger) -> None:
    names = [f"s{nth:02}" for nth in range(20)]
    for name, mapping in zip(names, ["zero-based", "lsn", "plain", ""] * 5, strict=True):
        book.advance(CursorKey("mailer", name), to=44)
        if mapping:
            book.positions.declare(name, mapping)
    found = [cursor.get("at_source") for cursor in lines(run, "list")]
    offset, lsn = {"last_sequence": "offset:43"}, {"last_sequence": "lsn:0/2C"}
    assert found == [offset, lsn, None, None] * 5


def test_a_stream_that_nobody_can_see_is_listed_as_before(
    run: Run, book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(fields, "is_seen", lambda _: True)
        book.advance(CursorKey("mailer", "\u2800"), to=44)
    assert book.positions.of("\u2800") is None
    assert lines(run, "list")[0]["last_sequence"] == 44
    assert "44" in table(run, "entries")


_EVERY = [
    (command, form)
    for command in (
        ("show", *MAILER),
        ("list",),
        ("history", *MAILER),
        ("gaps",),
        ("explain", *MAILER, 44),
        ("timeline", *MAILER),
    )
    for form in ("--table", "--jsonl", "--csv")
]


@pytest.mark.usefixtures("kafka")
def test_the_heading_of_a_list_stays_in_csv(run: Run) -> None:
    heading, *_ = run("list", "--csv").stdout.splitlines()
    assert heading.startswith("consumer_id,stream_name,subject_id,last_sequence,")
    assert "at_source" not in heading


def test_heads_and_lag_show_offsets_as_well(run: Run, kafka: Ledger) -> None:
    [head] = lines(run, "heads", "orders", "--to", "next-offset:10")
    assert (head["last_sequence"], head["at_source"]) == (10, {"last_sequence": "offset:9"})
    assert kafka.heads.get("orders").last_sequence == 10
    assert "10 (offset 9)" in table(run, "heads")
    assert "3 (offset 2)" in table(run, "lag")
    [lag] = lines(run, "lag")
    assert lag["at_source"] == {"last_sequence": "offset:2", "head": "offset:9"}


def test_an_lsn_is_shown_and_typed(run: Run, book: Ledger) -> None:
    book.positions.declare("orders", "lsn")
    [cursor] = lines(run, "advance", *MAILER, "--to", "lsn:0/16b3748")
    assert cursor["last_sequence"] == 23803720
    assert cursor["at_source"] == {"last_sequence": "lsn:0/16B3748"}
    assert "23803720 (0/16B3748)" in table(run, "list")


# --- typed ---


def test_offsets_are_typed_where_sequences_are(run: Run, book: Ledger) -> None:
    book.positions.declare("orders", "zero-based")
    [first] = lines(run, "advance", *MAILER, "--to", "offset:0")
    [second] = lines(run, "advance", *MAILER, "--to", "next-offset:6")
    assert (first["last_sequence"], second["last_sequence"]) == (1, 6)
    reset = ("reset", *MAILER, "--to", "offset:2", "--reason", "lost", "--execute", "--yes")
    [after] = lines(run, *reset)
    assert after["last_sequence"] == 3
    covering = lines(run, "entries", "--covering", "offset:4", "--stream", "orders")
    assert [entry["event"]["sequence"] for entry in covering] == [6, 3]


def test_a_cursor_is_started_where_kafka_has_committed(run: Run, book: Ledger) -> None:
    book.positions.declare("orders", "zero-based")
    [cursor] = lines(run, "start", *MAILER, "--at", "next-offset:44", "--reason", "moved here")
    assert (cursor["last_sequence"], cursor["epoch"]) == (44, 0)
    assert cursor["at_source"] == {"last_sequence": "offset:43"}
    said = table(run, "explain", *MAILER, "offset:7")
    assert (
        "8 (offset 7): before the ledger's time: the cursor was started at 44 (offset 43)" in said
    )
    assert "start at 44 (offset 43)" in table(run, "history", *MAILER)
    refused = run("start", "mailer", "jobs", "--at", "lsn:0/1", "--reason", "moved here")
    assert "none was declared for jobs" in refused.stderr


def test_a_reset_of_several_takes_an_offset(run: Run, book: Ledger) -> None:
    book.positions.declare("orders", "zero-based")
    for consumer in ("mailer", "webhooks"):
        book.advance(CursorKey(consumer, "orders"), to=9)
    reset = ("reset", "--stream", "orders", "--to", "next-offset:4", "--reason", "lost")
    after = lines(run, *reset, "--execute", "--yes")
    assert [cursor["last_sequence"] for cursor in after] == [4, 4]
    book.advance(CursorKey("mailer", "jobs"), to=9)
    refused = run("reset", "--consumer", "mailer", "--to", "offset:3", "--reason", "lost")
    assert refused.exit_code == 2
    assert "none was declared for jobs" in refused.stderr


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("lsn:0/3", "--to must be offset:43, next-offset:44 or a sequence"),
        ("token:evt_a", "--to must be offset:43, next-offset:44 or a sequence"),
        ("offset:-1", "must have a number from 0 behind the colon"),
        ("offset:", "must have a number from 0 behind the colon"),
        ("offset:9223372036854775807", "--to must be from 0 to 9223372036854775806"),
        ("0/16B3748", "is not a valid integer, nor a position that says what it is"),
        ("4.0", "is not a valid integer"),
        ("0", "offset k is sequence k + 1"),
    ],
)
def test_what_is_no_position_of_the_stream_is_refused(
    run: Run, kafka: Ledger, typed: str, said: str
) -> None:
    before = kafka.get(ORDERS)
    refused = run("advance", *MAILER, "--to", typed)
    assert refused.exit_code == 2
    assert said in " ".join(refused.stderr.split())
    assert kafka.get(ORDERS) == before


def test_a_position_needs_a_declaration(run: Run, book: Ledger) -> None:
    book.advance(ORDERS, to=3)
    refused = run("explain", *MAILER, "offset:2")
    assert refused.exit_code == 2
    assert "cursor-ledger positions declare" in refused.stderr
    refused = run("entries", "--covering", "offset:2")
    assert "that --stream names" in " ".join(refused.stderr.split())
