"""The command that starts a cursor, what the others say of it, and takeovers in the list."""

from __future__ import annotations

import csv
import io
import json

import pytest

import ledger
from ledger import CursorKey
from support.commands import OWNER, Run, records

START = ("start", *OWNER, "--at", 41, "--source", "kafka group mailer", "--reason", "moved here")


def test_it_makes_the_cursor(run: Run) -> None:
    done = run(*START, "--delivery-id", "d-41", "--meta", "ticket=OPS-1", "--actor", "ines")
    assert done.exit_code == 0
    [cursor] = records(done)
    assert (cursor["last_sequence"], cursor["last_delivery_id"], cursor["epoch"]) == (41, "d-41", 0)
    [entry] = records(run("entries", "--kind", "start"))
    assert (entry["actor"], entry["metadata"]) == ("ines", {"ticket": "OPS-1"})
    assert entry["event"]["tag"] == "cursor.started.v1"
    assert entry["event"]["source"] == "kafka group mailer"
    assert records(run("entries", "--kind", "start", "--kind", "reset")) == [entry]
    assert records(run("entries", "--covering", 41)) == [entry]
    assert run("verify").exit_code == 0


@pytest.mark.parametrize(
    ("wrong", "code", "said"),
    [
        ({"--at": -1}, 2, "--at must be from 0"),
        ({"--at": "x"}, 2, "'x' is not a valid integer"),
        ({"--reason": " "}, 2, "--reason is required"),
        ({"--reason": "x" * 4_097}, 2, "--reason has 4,097 characters"),
        ({"--source": "x" * 513}, 2, "--source has 513 characters"),
        ({"--source": "\u200b"}, 2, "--source has no character that can be seen"),
    ],
)
def test_what_it_refuses_is_said_in_the_words_that_were_typed(
    run: Run, wrong: dict[str, object], code: int, said: str
) -> None:
    given = {"--at": 41, "--reason": "moved", **wrong}
    refused = run("start", *OWNER, *(part for pair in given.items() for part in pair))
    assert refused.exit_code == code
    assert said in refused.stderr
    assert run("start", *OWNER, "--at", 41, "--reason", "moved").exit_code == 0


def test_a_second_one_is_refused_and_says_what_to_do(run: Run) -> None:
    run(*START)
    run("advance", *OWNER, "--to", 44, "--delivery-id", "msg-44")
    refused = run(*START)
    assert refused.exit_code == 3
    assert refused.stderr == (
        "cursor-ledger: webhooks/orders is at 44 (msg-44), and has 2 entries, so it cannot start "
        "at 41: only the first entry of a cursor starts it. To move it there, reset it, with a "
        "reason.\n"
    )


def test_a_name_with_its_words_in_another_order_is_refused(run: Run) -> None:
    run("advance", "orders", "webhooks", "--to", 1)
    assert run(*START).exit_code == 4
    assert run(*START, "--new").exit_code == 0


def test_a_file_of_requests_may_start_cursors(run: Run) -> None:
    key = {"consumer_id": "webhooks", "stream_name": "orders"}
    asked = {"key": key, "last_sequence": 41, "source": "kafka", "reason": "moved"}
    line = json.dumps({"op": "start", "start": asked}) + "\n"
    done = run("append", "-", text=line + line)
    assert done.exit_code == 3
    [refused] = records(done)
    assert (refused["line"], refused["error"]) == (2, "CursorExistsError")
    assert run("append", "--atomic", "-", text=line).exit_code == 3


def test_csv_has_its_source_in_the_column_of_the_log(run: Run) -> None:
    run("start", *OWNER, "--at", 41, "--source", "=kafka", "--reason", "moved here")
    [row] = csv.DictReader(io.StringIO(run("history", *OWNER, "--csv").stdout))
    assert (row["tag"], row["sequence"], row["previous_sequence"]) == (
        "cursor.started.v1",
        "41",
        "",
    )
    assert (row["reason"], row["message"]) == ("moved here", "'=kafka")
    assert None not in row


def test_tables_say_where_it_started_and_why(run: Run) -> None:
    run(*START, "--actor", "ines")
    table = run("history", *OWNER, "--table").stdout
    assert "start at 41" in table
    assert "from kafka group mailer: moved here" in table
    life = run("timeline", *OWNER, "--table").stdout
    assert "R reset, E errors, J jump, S start" in life
    told = run("explain", *OWNER, 41, "--table").stdout.splitlines()
    assert told[0] == "webhooks/orders 41: before the ledger's time: the cursor was started at 41."
    assert told[1].endswith("started at 41, taken from kafka group mailer, by ines: moved here")


def test_what_was_jumped_over_or_delivered_again_says_from_where_on_that_is_known(run: Run) -> None:
    run(*START)
    run("advance", *OWNER, "--to", 44)
    for command in ("gaps", "repeats"):
        told = run(command, *OWNER)
        assert told.stderr == (
            "webhooks/orders was started at 41 from kafka group mailer: what lies before is before "
            "the ledger's time\n"
        )
    assert [(gap["first"], gap["last"]) for gap in records(run("gaps", *OWNER))] == [(42, 43)]
    for number in range(2):
        run("start", "new", "orders", str(number), "--at", 7, "--reason", "new")
    run("start", "at 0", "orders", "--at", 0, "--reason", "new")
    several = (
        "webhooks/orders was started at 41 from kafka group mailer, and 2 other cursors likewise: "
    )
    assert run("gaps").stderr.startswith(several)
    one_more = "new/orders/0 was started at 7, and 1 other cursor likewise: "
    assert run("gaps", "--consumer", "new").stderr.startswith(one_more)
    run("advance", "mailer", "jobs", "--to", 1)
    assert run("gaps", "mailer", "jobs").stderr == ""


def test_a_reset_to_a_moment_before_says_that_it_was_started(run: Run) -> None:
    run(*START)
    refused = run("reset", *OWNER, "--to-time", "1h", "--reason", "x")
    assert refused.exit_code == 3
    assert "It was started at 41 from kafka group mailer, at 20" in refused.stderr


# --- takeovers ---


def test_the_list_of_resets_leaves_takeovers_out_and_lists_them_apart(
    run: Run, target: str
) -> None:
    run("advance", *OWNER, "--to", 44)
    run("reset", *OWNER, "--to", 41, "--reason", "lost", "--actor", "ines", "--execute", "--yes")
    assert run("resets").stderr == ""
    with ledger.open(target, actor="web-2") as book:
        book.consumer(CursorKey(*OWNER), take_over="deploy 1.4.2")
    listed = run("resets")
    assert [reset["reason"] for reset in records(listed)] == ["lost"]
    assert listed.stderr == "takeovers are left out: --takeovers lists them\n"
    apart = run("resets", "--takeovers")
    [takeover] = records(apart)
    assert (takeover["reason"], takeover["actor"]) == ("deploy 1.4.2", "web-2")
    assert takeover.keys() == records(listed)[0].keys()
    assert apart.stderr == ""
    table = run("resets", "--takeovers", "--table").stdout.splitlines()
    assert table[0].split() == ["recorded", "consumer", "stream", "at", "epoch", "actor", "reason"]
    assert table[2].split()[3:] == ["41", "1", "→", "2", "web-2", "deploy", "1.4.2"]
    assert "take over at 41" in run("history", *OWNER, "--table").stdout
    assert "T takeover" in run("timeline", *OWNER, "--table").stdout
    # Those that the other options do not choose are not spoken of.
    assert run("resets", "--stream", "jobs").stderr == "No cursor has the stream 'jobs'.\n"
    assert records(run("resets", "--takeovers", "--direction", "back")) == []


def test_the_reset_before_it_is_undone(run: Run, target: str) -> None:
    run("advance", *OWNER, "--to", 44)
    run("reset", *OWNER, "--to", 41, "--reason", "typo", "--execute", "--yes")
    with ledger.open(target, actor="web-2") as book:
        book.consumer(CursorKey(*OWNER), take_over="deploy 1.4.2")
    [plan] = records(run("reset", *OWNER, "--undo"))
    assert (plan["previous_sequence"], plan["sequence"], plan["version"]) == (41, 44, 3)
