"""The commands that say how cursors do: `list`, `describe`, `events`, and what `show` adds."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

import ledger
from ledger import AdvanceCursor, CursorKey, RecordError
from ledger.law.reserved import HEAD
from support.clock import Clock
from support.commands import OWNER, Run, lines, records, table
from support.nights import LONG, MORNING, NIGHT, a_night
from support.printed_commands import in_a_shell
from support.targets import new_target

STORES = "every"

CURSOR = {
    "key",
    "last_sequence",
    "last_delivery_id",
    "last_delivered_at",
    "last_error",
    "updated_at",
    "version",
    "epoch",
}
ADDED = {"head", "behind", "since", "age_s", "state", "errors", "error", "moved_at", "ahead"}


@pytest.fixture(scope="module")
def of_a_night(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with new_target(kind, tmp_path_factory.mktemp("night") / "cursors.db") as target:
        a_night(target, Clock())
        yield target


@pytest.fixture
def night(of_a_night: str, run: Run, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return the command in the morning after a night of 30 cursors, which it only reads."""
    monkeypatch.setenv("CURSOR_LEDGER_DB", of_a_night)
    return in_the_morning(run, clock, monkeypatch)


@pytest.fixture
def own_night(target: str, run: Run, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return the command after such a night, of which it may change the ledger."""
    a_night(target, clock)
    return in_the_morning(run, clock, monkeypatch)


def in_the_morning(run: Run, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Run:
    clock.now = MORNING
    monkeypatch.setattr("ledger.cli.typed.target.ledger.open", partial(ledger.open, clock=clock))
    monkeypatch.setattr("ledger.cli.shown.tables.utc_now", clock)
    monkeypatch.setattr("ledger.cli.shown.forms.terminal_width", lambda: 400)
    return run


def names(found: list[Any]) -> list[str]:
    return ["/".join(filter(None, each["key"].values())) for each in found]


BEHIND = [
    f"warehouse-sync-us-east-1/{LONG}",
    "billing/payments",
    "search-index/orders",
    "webhooks/payments",
]


def test_a_list_shows_which_cursors_are_behind_and_since_when(night: Run) -> None:
    found = lines(night, "list", "--sort", "behind")
    assert len(found) == len(NIGHT) == 30
    assert names(found[:4]) == BEHIND
    assert [each["behind"] for each in found[:5]] == [800, 144, 68, 50, 0]
    assert [each["state"] for each in found[:7]] == [
        "stalled",
        "failing",
        "stalled",
        "behind",
        "failing",
        "ahead",
        "ok",
    ]
    first = found[0]
    assert first.keys() == CURSOR | ADDED
    assert (first["moved_at"], first["since"]) == ("2025-08-23T06:31:00Z", "2025-08-23T07:00:00Z")
    assert (first["head"], first["age_s"]) == (10_940, 20 * 3_600)


def test_a_table_sums_up_the_level_ones_and_says_how_to_see_them(night: Run) -> None:
    for order in ("behind", "state"):
        done = night("list", "--sort", order, "--table")
        assert len(done.stdout.splitlines()) == 2 + 6
        assert done.stderr == "24 more are level: --all lists them\n"
        every = night("list", "--sort", order, "--all", "--table")
        assert (len(every.stdout.splitlines()), every.stderr) == (32, "")
    # What was asked for is never summed up.
    asked = night("list", "--sort", "behind", "--state", "ok", "--table")
    assert (len(asked.stdout.splitlines()), asked.stderr) == (26, "")
    for order in ("name", "moved", "-sequence"):
        assert len(night("list", "--sort", order, "--table").stdout.splitlines()) == 32
    level = night(
        "list", "--sort", "state", "--consumer", "mailer", "--stream", "orders", "--table"
    )
    assert (level.stdout, level.stderr) == ("", "1 is level: --all lists them\n")
    none = night("list", "--sort", "state", "--consumer", "nobody", "--table")
    assert (none.stdout, none.stderr.splitlines()[0]) == ("", "none")


def test_they_are_sorted_and_chosen(night: Run) -> None:
    moved = lines(night, "list", "--sort", "moved", "-n", 3)
    assert names(moved) == BEHIND[:3]
    at = [each["last_sequence"] for each in lines(night, "list", "--sort", "-sequence")]
    assert at == sorted(at, reverse=True)
    assert len(lines(night, "list", "--sort", "-sequence", "-n", 3)) == 3
    assert [each["state"] for each in lines(night, "list", "--sort", "state")][:5] == [
        "failing",
        "failing",
        "stalled",
        "stalled",
        "behind",
    ]
    chosen = lines(night, "list", "--state", "failing", "--state", "ahead", "-n", 2)
    assert names(chosen) == ["mailer/invoices", "billing/payments"]
    assert names(lines(night, "list")) == names(lines(night, "lag"))
    assert len(lines(night, "list", "-n", 7)) == 7


def test_a_table_says_what_is_wrong_and_who_did_it(night: Run) -> None:
    screen = table(night, "list", "--sort", "behind")
    assert screen.splitlines()[0].split() == [
        "consumer",
        "stream",
        "subject",
        "sequence",
        "behind",
        "moved",
        "state",
    ]
    rows = [" ".join(row.split()) for row in screen.splitlines()[2:]]
    warehouse, billing, _, webhooks, _, mailer = rows
    assert warehouse.endswith("20h ago stalled")
    assert "4h ago failing 48× HTTP 503 from https://billing.example.com" in billing
    # It was reset, and has advanced since.
    assert webhooks.endswith("8m ago behind")
    assert mailer.endswith("+101 9m ago ahead, reset by omar")
    wide = night("list", "--wide", "--state", "stalled").stdout.splitlines()
    assert "2025-08-23T06:31:00Z" in wide[2] or "2025-08-23T06:31:00Z" in wide[3]


def test_columns_of_a_wide_table_are_known_by_their_names(night: Run) -> None:
    asked = table(night, "list", "--columns", "consumer,delivery,updated,state", "-n", 1)
    assert asked.splitlines()[0].split() == ["consumer", "delivery", "updated", "state"]
    for order in ("-updated,sequence", "-updated_at,last_sequence"):
        found = lines(night, "list", "--sort", order, "-n", 2)
        assert [each["updated_at"] for each in found] == ["2025-08-24T02:52:00Z"] * 2
    assert night("list", "--template", "{state} {behind}", "-n", 1).stdout == "ok 0\n"


def test_csv_has_all_names_also_where_nothing_is_found(night: Run) -> None:
    heading = ["consumer_id", "stream_name", "subject_id", "last_sequence", "last_delivery_id"]
    rows = list(csv.reader(io.StringIO(night("list", "--csv").stdout)))
    assert rows[0][:5] == heading
    assert set(rows[0]) == {*heading, *CURSOR - {"key"}, *ADDED}
    assert len(rows) == 31
    assert night("list", "--csv", "--state", "no-head").stdout.strip().split(",") == rows[0]


def test_without_heads_nothing_is_said_of_them(run: Run) -> None:
    run("advance", *OWNER, "--to", 5)
    run("error", "mailer", "orders", "-m", "HTTP 503")
    done = run("list", "--sort", "behind", "--table")
    assert "head" not in done.stdout
    assert "behind" not in done.stdout
    assert "never" in done.stdout
    assert "no head is recorded for any of them. Record heads with: heads STREAM" in done.stderr
    [mailer, webhooks] = lines(run, "list", "--sort", "moved")
    assert (mailer["moved_at"], mailer["state"], mailer["errors"]) == (None, "failing", 1)
    assert (webhooks["state"], webhooks["head"], webhooks["behind"]) == ("no-head", None, None)
    run("heads", "orders", "--to", 5)
    run("advance", "mailer", "parcels", "--to", 5)
    assert "no head" in table(run, "list")


def test_the_ledgers_own_are_behind_nothing(own_night: Run) -> None:
    own_night("positions", "declare", "orders", "zero-based")
    own = [
        each
        for each in lines(own_night, "list", "--reserved")
        if each["key"]["consumer_id"].startswith("cursor-ledger/")
    ]
    assert len(own) == 6
    assert {each["state"] for each in own} == {"no-head"}
    assert len(lines(own_night, "list", "--consumer", HEAD)) == 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sort", "age"], "No column here is called 'age'"),
        (["--sort", "-version", "--watch"], "With --watch, --sort takes one of name, behind"),
        (["--state", "late"], "'late' is not one of"),
        (["--sort", "moved", "-n", 2**64], "--limit must be"),
        (["--watch", "-n", 3], "leave --limit out"),
        (["--watch", "--csv"], "use --jsonl or --table"),
    ],
)
def test_what_cannot_be_listed_is_refused(run: Run, arguments: list[object], said: str) -> None:
    run("advance", *OWNER, "--to", 5)
    refused = run("list", *arguments)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert said in refused.stderr


# --- one cursor ---


def test_a_cursor_in_trouble_is_described(night: Run) -> None:
    [found] = lines(night, "describe", "billing", "payments")
    assert found.keys() > CURSOR | ADDED
    assert (found["state"], found["errors"], found["last_error"]) == ("failing", 48, "")
    assert found["error"].startswith("HTTP 503")
    assert found["failing_since"] == "2025-08-23T23:01:00Z"
    assert found["takeover"]["event"]["reason"] == "deploy 1.4.2"
    assert [each["kind"] for each in found["spells"]] == ["advance", "errors", "takeover"]
    assert (found["spells"][1]["entries"], found["entries"]) == (48, 89)
    assert (found["gaps"][-1]["first"], found["gaps"][-1]["last"]) == (785, 801)
    screen = table(night, "describe", "billing", "payments")
    for said in (
        "moved       4h ago, 2025-08-23T22:31:00Z",
        "state       failing 48× since 2025-08-23T23:01:00Z",
        "head        946, 144 further, past it since 2025-08-23T23:00:00Z",
        "taken over  2025-08-24T02:52:00Z by dispatcher@web-1: deploy 1.4.2\n",
    ):
        assert f"\n  {said}" in screen


def test_resets_and_repeats_are_described(run: Run) -> None:
    run("advance", *OWNER, "--to", 44)
    for turn in range(4):
        reason = f"lost, turn {turn}"
        run("reset", *OWNER, "--to", 41, "--reason", reason, "--execute", "--yes")
        run("advance", *OWNER, "--to", 44)
    [found] = lines(run, "describe", *OWNER)
    reasons = [each["event"]["reason"] for each in found["resets"]]
    assert reasons == ["lost, turn 3", "lost, turn 2", "lost, turn 1"]
    assert (found["repeats"][-1]["first"], found["repeats"][-1]["deliveries"]) == (42, 5)
    assert len(found["spells"]) == 6
    assert any(" repeats webhooks orders" in command for command in found["next"])
    assert json.loads(run("describe", *OWNER, "--json").stdout) == found


NASTY = [("--undo", "-h"), ("$(touch gone)", "a'b", "c d"), ("naïve/€", '{"a": 1}', "\\")]


@pytest.mark.parametrize("named", NASTY)
def test_what_to_type_next_can_be_pasted(
    run: Run, target: str, path: Any, named: tuple[str, ...]
) -> None:
    with ledger.open(target, actor="x") as book:
        key = CursorKey(*named)
        book.heads.record(key.stream_name, key.subject_id, 50)
        book.append([AdvanceCursor(key, 41), AdvanceCursor(key, 44), RecordError(key, "no")])
    [found] = lines(run, "describe", "--db", target, "--", *named)
    commands = [command for command in found["next"] if " watch " not in command]
    assert len(commands) == len(found["next"]) - 1 >= 4
    for command in commands:
        done = in_a_shell(command, path.with_name("elsewhere"))
        assert done.returncode == 0, done.stderr
    # Where the ledger was not typed, the next command finds it as this one did.
    assert "--db" not in lines(run, "describe", "--", *named)[0]["next"][0]


def test_a_name_that_cannot_be_typed_has_no_commands(run: Run, target: str) -> None:
    with ledger.open(target, actor="x") as book:
        book.advance(CursorKey("web\x1b[2Jhooks", "orders"), to=5)
    screen = run("describe", "web\x1b[2Jhooks", "orders", "--table").stdout
    assert "\x1b" not in screen
    assert "cursor-ledger history" not in screen


def test_a_cursor_that_is_not_there_is_not_described(night: Run) -> None:
    missing = night("describe", "billing", "paymets")
    assert (missing.exit_code, missing.stdout) == (4, "")
    assert "Did you mean billing payments" in missing.stderr


def test_show_says_what_a_takeover_hides(own_night: Run) -> None:
    done = own_night("show", "billing", "payments")
    assert records(done)[0]["last_error"] == ""
    assert "billing/payments failed before it was taken over, and has not moved since: HTTP" in (
        done.stderr
    )
    assert own_night("show", "webhooks", "payments").stderr == ""
    own_night("advance", "billing", "payments", "--to", 900)
    assert own_night("show", "billing", "payments").stderr == ""


# --- one stream ---


def test_events_say_who_passed_what_and_when(night: Run) -> None:
    screen = table(night, "events", "payments", "--since", "2025-08-24T02:20:00Z")
    rows = [" ".join(row.split()) for row in screen.splitlines()[2:]]
    by = "dispatcher@web-1"
    assert rows[0] == f"2025-08-24T02:31:00Z webhooks 929–946 last delivered m-47 {by}"
    assert rows[-3:] == [
        "2025-08-24T02:51:00Z webhooks 946 → 886 reset by ines: the receiver lost 60 ines",
        f"2025-08-24T02:52:00Z billing at 802 taken over by {by}: deploy 1.4.2 {by}",
        f"2025-08-24T02:52:00Z webhooks 887–896 last skipped {by}",
    ]
    assert sum("failed HTTP 503" in row for row in rows) == 6
    assert not any("up to 946" in row for row in rows)
    own = table(night, "events", "payments", "--since", "2025-08-24T02:20:00Z", "--reserved")
    assert "up to 946  head" in own


def test_events_are_those_of_the_log(night: Run) -> None:
    found = lines(night, "events", "payments")
    log = [
        entry
        for entry in lines(night, "entries", "--stream", "payments")
        if not entry["key"]["consumer_id"].startswith("cursor-ledger/")
    ]
    assert found == log
    assert lines(night, "events", "payments", "--newest-first", "-n", 3) == log[::-1][:3]
    assert lines(night, "events", "payments", "-n", 3, "--reserved") != log[:3]
    assert names(lines(night, "events", "注文", "eu", "--kind", "error")) == [
        "注文処理システム/注文/eu"
    ]
    assert len(lines(night, "events", "payments", "--sequence", 940)) == 6
    assert lines(night, "events", "payments", "--until", "2025-08-01T00:00:00Z") == []


@pytest.mark.parametrize("place", [("ordrs",), ("orders", "eu"), ("注文", "us")])
def test_a_stream_that_nobody_is_on_has_no_events(night: Run, place: tuple[str, ...]) -> None:
    missing = night("events", *place)
    assert (missing.exit_code, missing.stdout) == (4, "")
    assert "No cursor is on stream" in missing.stderr
    assert missing.stderr.count("Did you mean orders?") == (place == ("ordrs",))
