"""The commands that ask the history, and the one that plans resets: words, forms, exits."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import ledger
from ledger import CursorKey
from support.clock import Clock
from support.commands import OWNER, Run, last, records
from support.preloaded import COMMAND

STORES = "every"

ROOT = ("--actor", "ines")


@pytest.mark.parametrize(
    ("goal", "sequence"),
    [
        (["--to", "0"], 0),
        (["--by", "-3"], 41),
        (["--by", "6"], 50),
        (["--to-entry", "1"], 41),
        (["--to-time", "2999-01-01T00:00:00Z"], 44),
        (["--to-cursor", "mailer/orders"], 7),
        (["--to-cursor", '{"consumer_id": "mailer", "stream_name": "orders"}'], 7),
    ],
)
def test_a_reset_goes_where_it_is_told(full: Run, goal: list[str], sequence: int) -> None:
    [plan] = records(full("reset", *OWNER, *goal, "--reason", "x"))
    assert (plan["previous_sequence"], plan["sequence"], plan["version"]) == (44, sequence, 3)
    assert last(full, *OWNER)["last_sequence"] == 44
    full("reset", *OWNER, *goal, "--reason", "x", "--execute", "--expect-version", 3)
    assert last(full, *OWNER)["last_sequence"] == sequence


@pytest.mark.parametrize("key", [("web/hooks", "jobs"), ("a", "b%2Fc", "50%"), ("a", "b/c", "d")])
def test_a_reset_goes_to_a_cursor_as_it_is_printed(full: Run, key: tuple[str, ...]) -> None:
    full("advance", *key, "--to", 12)
    printed = str(CursorKey(*key))
    [plan] = records(full("reset", *OWNER, "--to-cursor", printed, "--reason", "x"))
    assert plan["sequence"] == 12


def test_several_cursors_are_reset_as_one(full: Run) -> None:
    plan = full("reset", "--stream", "orders", "--by", "-1", "--reason", "x", "--table")
    assert "44" in plan.stdout
    assert "mailer" in plan.stdout
    assert "--export FILE" in plan.stderr
    done = full("reset", "--stream", "orders", "--by", "-1", "--reason", "x", "--execute", "--yes")
    assert [cursor["last_sequence"] for cursor in records(done)] == [6, 43]
    first, second = records(full("resets"))
    assert first["metadata"]["cursor-ledger/batch"] == second["metadata"]["cursor-ledger/batch"]
    full("reset", "--all", "--undo", "--execute", "--yes")
    assert [c["last_sequence"] for c in records(full("list"))] == [7, 44]


def test_one_that_cannot_be_reset_keeps_the_others_where_they_are(full: Run) -> None:
    refused = full("reset", "--all", "--by", "-10", "--reason", "x", "--execute", "--yes")
    assert refused.exit_code == 3
    assert "mailer/orders is at 7; by -10 it would be at -3" in refused.stderr
    assert records(full("resets")) == []


def test_an_exported_plan_is_applied_only_if_nothing_has_changed(full: Run, path: Path) -> None:
    plan = path.with_name("plan.jsonl")
    goal = ("reset", "--all", "--by", "-2", "--reason", "lost", "--meta", "ticket=OPS-1")
    full(*goal, "--export", plan)
    assert [json.loads(line)["sequence"] for line in plan.read_text().splitlines()[1:]] == [
        5,
        42,
    ]
    shown = full("reset", "--from-file", plan)
    assert [planned["version"] for planned in records(shown)] == [1, 3]
    full("advance", "mailer", "orders", "--to", 8)
    for extra in ([], ["--execute"]):
        late = full("reset", "--from-file", plan, *extra)
        assert late.exit_code == 3
        assert "mailer/orders is at version 2, not 1" in late.stderr
    assert records(full("resets")) == []
    full(*goal, "--export", plan)
    done = full("reset", "--from-file", plan, "--execute", *ROOT)
    assert [cursor["last_sequence"] for cursor in records(done)] == [6, 42]
    assert {r["actor"] for r in records(full("resets"))} == {"ines"}


def test_an_undo_names_the_reset_it_undoes(full: Run) -> None:
    full("reset", *OWNER, "--to", 3, "--reason", "typo", "--execute", "--yes", *ROOT)
    plan = full("reset", *OWNER, "--undo", "--table")
    assert "undoes the reset at position 5 by ines" in plan.stdout
    full("reset", *OWNER, "--undo", "--execute", "--yes")
    cursor = last(full, *OWNER)
    assert (cursor["last_sequence"], cursor["last_delivery_id"]) == (44, "m-44")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["reset", "--to", "1", "--reason", "x"], 2, "Which cursors?"),
        (["reset", *OWNER, "--reason", "x"], 2, "exactly one of --to"),
        (["reset", *OWNER, "--to", "1", "--by", "1", "--reason", "x"], 2, "exactly one of --to"),
        (["reset", *OWNER, "--stream", "orders", "--to", "1", "--reason", "x"], 2, "not both"),
        (["reset", *OWNER, "--all", "--to", "1", "--reason", "x"], 2, "--all means all"),
        (["reset", "webhooks", "--to", "1", "--reason", "x"], 2, "--consumer webhooks"),
        (["reset", "--all", "--to", "1"], 2, "--reason is required"),
        (["reset", "--stream", "none", "--to", "1", "--reason", "x"], 4, "no cursor matches"),
        (["reset", *OWNER, "--undo"], 3, "never reset"),
        (["reset", *OWNER, "--undo", "--delivery-id", "x"], 2, "--undo restores"),
        (["reset", "new", "orders", "--undo"], 4, "has no cursor"),
        (["reset", *OWNER, "--to-entry", "0", "--reason", "x"], 3, "no entry yet"),
        (["reset", *OWNER, "--to-cursor", "mailer", "--reason", "x"], 2, "is not a cursor"),
        (["reset", *OWNER, "--to-cursor", "a/b", "--reason", "x"], 4, "a/b has no cursor"),
        (["reset", *OWNER, "--to-cursor", "{", "--reason", "x"], 2, "not JSON"),
        (["reset", "--from-file", "absent"], 2, "does not exist"),
        (["reset", "--from-file", __file__], 2, "line 1 is not the header of a plan"),
        (["reset", "--from-file", __file__, "--reason", "x"], 2, "The plan of --from-file says"),
        (["reset", "--all", "--to", "1", "--reason", "x", "--expect-version", "1"], 2, "one curs"),
        (["explain", *OWNER], 2, "SEQUENCE"),
        (["explain", *OWNER, "soon"], 2, "is not a sequence"),
        (["explain", *OWNER, "0"], 2, "SEQUENCE must be from 1"),
        (["explain", *OWNER, "a", "b", "1"], 2, "SEQUENCE"),
        (["explain", "new", "orders", "1"], 4, "has no cursor"),
        (["gaps", "new", "orders"], 4, "has no cursor"),
        (["repeats", "new", "orders"], 4, "has no cursor"),
        (["as-of", "soon"], 2, "is not a time"),
        (["as-of", "9" * 19], 2, "must be from 0"),
        (["as-of", "1", "mailer", "orders"], 4, "had no entries"),
        (["as-of", "1", "new", "orders"], 4, "has no cursor"),
        (["as-of", "99999"], 2, "has no entry 99999 yet: the last one is "),
        (["as-of", "99999", *OWNER], 2, "has no entry 99999 yet: the last one is "),
        (["diff", "99999"], 2, "has no entry 99999 yet: the last one is "),
        (["diff", "1", "99999"], 2, "has no entry 99999 yet: the last one is "),
        (["diff", "3", "2"], 2, "later than"),
        (["stalls", "--after", "15"], 2, "not a duration"),
        (["stalls", "--after", "999999999w"], 2, "too long"),
        (["stalls", "--errors", "0"], 2, "range"),
        (["resets", "--direction", "up"], 2, "up"),
        (["timeline", "new", "orders"], 4, "has no cursor"),
        (["timeline", *OWNER, "-o", "life.pdf"], 2, ".html, .svg, .png"),
        (["timeline", *OWNER, "-o", "no/such/life.svg"], 1, "No such file"),
        (["tail", "-n", "-1"], 2, "range"),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(
    full: Run, arguments: list[str], code: int, said: str
) -> None:
    refused = full(*arguments)
    assert refused.exit_code == code, refused.output
    assert said in refused.stderr
    assert refused.stdout == ""
    assert len(records(full("entries"))) == 4


def test_a_time_to_come_is_said_to_stand_for_now(full: Run) -> None:
    for command in (["as-of", "2999-01-01T00:00:00Z"], ["diff", "0", "2999-01-01T00:00:00Z"]):
        shown = full(*command)
        assert shown.exit_code == 0
        assert shown.stderr == "2999-01-01T00:00:00Z is still to come: now stands for it\n"
    assert "to come" not in full("as-of", "now").stderr


def test_an_empty_ledger_says_that_it_has_no_entry_at_all(run: Run, target: str) -> None:
    with ledger.open(target) as book:
        assert not list(book.entries())
    refused = run("as-of", "1")
    assert refused.exit_code == 2
    assert "has no entry 1 yet: it has none at all." in refused.stderr
    assert run("as-of", "0").exit_code == 0


# --- what is read ---


def test_the_verdict_comes_first_in_words_and_in_json(full: Run) -> None:
    table = full("explain", *OWNER, 43, "--table").stdout.splitlines()
    assert table[0] == "webhooks/orders 43: NOT DELIVERED: the cursor jumped over it."
    assert "jumped over by an advance from 41 to 44; 44 delivered as m-44, by ops@desk" in table[1]
    told = json.loads(full("explain", *OWNER, 50, "--json").stdout)
    assert (told["verdict"], told["deliveries"], told["distance"]) == ("not_yet", 0, 6)
    assert told["errors"]["last_message"] == "HTTP 503"
    subject = full("advance", "webhooks", "orders", "eu", "--to", 3)
    assert subject.exit_code == 0
    [told] = records(full("explain", "webhooks", "orders", "eu", 3))
    assert told["verdict"] == "delivered"


@pytest.mark.parametrize(
    ("command", "heading"),
    [
        (["resets"], "recorded consumer stream from to effect result actor reason"),
        (["as-of", "2"], "consumer stream sequence delivery delivered version epoch updated"),
        (["diff", "0"], "consumer stream from to moved entries resets errors"),
        (["gaps"], "consumer stream first last count verdict advance recorded actor"),
        (
            ["repeats"],
            "consumer stream first last passed landed on delivered again reset by reset at reason",
        ),
        (["stalls", "--errors", "1"], "consumer stream problem sequence since until detail"),
    ],
)
def test_each_has_a_table_csv_and_json(full: Run, command: list[str], heading: str) -> None:
    full("reset", *OWNER, "--to", 40, "--reason", "lost", "--execute", "--yes")
    full("advance", *OWNER, "--to", 44)
    table = full(*command, "--table").stdout.splitlines()
    shown = table[0].split()
    if "authenticated" in shown:
        # The server has noted who was logged in; a file knows nobody.
        shown.remove("authenticated")
        assert json.loads(full(*command, "--json").stdout)[0]["authenticated"] == "postgres"
    assert shown == heading.split()
    assert len(table) > 2
    csv = full(*command, "--csv").stdout.splitlines()
    assert "consumer_id" in csv[0]
    assert len(csv) == len(json.loads(full(*command, "--json").stdout)) + 1


def test_what_is_empty_says_so_beside_the_table(full: Run) -> None:
    for command in (["repeats"], ["resets"], ["stalls"]):
        empty = full(*command, "--table")
        assert (empty.exit_code, empty.stdout, empty.stderr) == (0, "", "none\n")
        assert full(*command).stderr == ""
    unknown = full("list", "--stream", "none", "--table")
    said = "none\nNo cursor has the stream 'none'.\n"
    assert (unknown.exit_code, unknown.stdout, unknown.stderr) == (0, "", said)
    assert full("list", "--stream", "none").stdout == ""


def test_metadata_stands_beside_the_detail(full: Run) -> None:
    full("advance", *OWNER, "--to", 50, "--meta", "ticket=OPS-9", "--meta", "by=\x1b[2J")
    full(
        "reset",
        *OWNER,
        "--to",
        40,
        "--reason",
        "lost",
        "--meta",
        "ticket=OPS-9",
        "--execute",
        "--yes",
    )
    history = full("history", *OWNER, "--table").stdout
    assert r"[by=\x1b[2J ticket=OPS-9]" in history
    assert "lost [ticket=OPS-9]" in history
    assert "lost [ticket=OPS-9]" in full("resets", "--table").stdout


def test_a_streak_says_how_long_it_was(target: str, full: Run) -> None:
    clock = Clock()
    with ledger.open(target, actor="x", clock=clock) as book:
        for _ in range(3):
            book.record_error(CursorKey("slow", "orders"), "HTTP 503")
            clock.tick(2 * 3_600 + 5 * 60)
    assert "failed 3× in 4h 10m" in full("stalls", "--table").stdout


def test_tail_shows_the_last_entries(full: Run) -> None:
    assert [e["position"] for e in records(full("tail", "-n", 2))] == [3, 4]
    assert [e["position"] for e in records(full("tail", "--kind", "error"))] == [3]
    assert [e["position"] for e in records(full("tail", "--to-position", 2, "-n", 1))] == [2]
    assert records(full("tail", "-n", 0)) == []
    lines = full("tail", "--table").stdout.splitlines()
    assert lines[2].split("  ")[1:] == ["3", "webhooks/orders", "error", "HTTP 503", "ops@desk"]


def test_tail_follows_until_it_is_interrupted(full: Run, target: str) -> None:
    with subprocess.Popen(
        [COMMAND, "tail", "-f", "-n", "1", "--stream", "orders"],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one thread
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["position"] == 4
        with ledger.open(target, actor="web-1") as book:
            book.advance(CursorKey("mailer", "invoices"), to=1)
            book.advance(CursorKey("mailer", "orders"), to=9)
        assert json.loads(process.stdout.readline())["position"] == 6
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in {130, -signal.SIGINT}
    assert full("list").exit_code == 0


def on_terminal(*arguments: str) -> str:
    """Run a command on a terminal of 80 columns, in colour."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen([COMMAND, *arguments], stdout=theirs, env=environment):
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 65_536):
                shown += chunk
        except OSError:
            pass  # That is how the other end of a terminal reports that everybody has left.
        os.close(ours)
    return shown.decode().replace("\r\n", "\n")


def test_a_terminal_gets_words_and_colours(full: Run) -> None:
    full("reset", *OWNER, "--to", 41, "--reason", "lost", "--execute", "--yes")
    assert "\x1b[" in on_terminal("tail")
    assert "\x1b[" in on_terminal("explain", *OWNER, "44")
    life = on_terminal("timeline", *OWNER)
    assert "webhooks/orders, 4 entries" in life
    assert "R reset, E errors, J jump" in life
    assert "reset 44 → 41 by ops@desk: lost" in life
    assert max(map(len, life.split("R reset")[0].splitlines())) <= 80


@pytest.mark.xdist_group("charts")
def test_a_timeline_is_drawn_or_given_as_data(full: Run, path: Path) -> None:
    page = path.with_name("life.html")
    done = full("timeline", *OWNER, "-o", page)
    assert "3 entries drawn into" in done.stderr
    assert page.stat().st_size > 100_000
    [life] = records(full("timeline", *OWNER))
    assert (life["entries"], life["points"][-1]["sequence"]) == (3, 44)
    assert full("timeline", *OWNER, "--csv").stdout.startswith("kind,at,until")


def test_a_timeline_has_a_part_of_a_life_only(run: Run, target: str, clock: Clock) -> None:
    with ledger.open(target, actor="ines", clock=clock) as book:
        for to in (41, 42, 43, 50):
            book.advance(CursorKey(*OWNER), to=to)
            clock.tick(3_600)
    since, until = "2026-05-05T17:30:00Z", "2026-05-05T18:30:00Z"
    [life] = records(run("timeline", *OWNER, "--since", since, "--until", until))
    assert [(each["at"], each["sequence"]) for each in life["points"]] == [
        (since, 42),
        ("2026-05-05T18:00:00Z", 43),
        ("2026-05-05T18:00:00Z", 43),
    ]
    assert (life["entries"], life["marks"], life["since"]) == (1, [], since)
    drawn = run("timeline", *OWNER, "--since", since, "--table").stdout
    assert "webhooks/orders, 2 entries" in drawn
    assert "jumped over 6 sequences, 44 to 49" in drawn
    early = run("timeline", *OWNER, "--until", "2026-05-05T15:00:00Z")
    assert (early.exit_code, early.stdout) == (2, "")
    assert "there are no entries to draw a timeline of" in " ".join(early.stderr.split())
    assert run("timeline", *OWNER, "--since", until, "--until", since).exit_code == 2


def test_without_its_extra_a_timeline_says_what_to_install(full: Run) -> None:
    hidden = "import sys; sys.modules['altair'] = None; from projections.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", hidden, "timeline", *OWNER, "-o", "life.html"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "pip install '.[timeline]'" in done.stderr
    assert full("list").exit_code == 0
