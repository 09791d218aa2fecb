"""What the commands about deliveries leave out, sum up and explain."""

from __future__ import annotations

import io
import json

import pytest

import ledger
from ledger.cli.shown import progress
from projections.cli.choosing import Choice
from projections.cli.progressing import progressing
from support.commands import Run, records

MAILER = ("mailer", "orders")


@pytest.fixture
def jumpy(run: Run) -> Run:
    """Return a ledger whose cursor jumped over 2 to 4 and over 6, and was reset back once."""
    for arguments in (
        ("advance", *MAILER, "--to", 1),
        ("advance", *MAILER, "--to", 5, "--delivery-id", "m-5"),
        ("advance", *MAILER, "--to", 7, "--outcome", "skipped"),
        ("reset", *MAILER, "--to", 4, "--reason", "lost", "--execute", "--yes"),
        ("advance", *MAILER, "--to", 5),
        ("advance", "webhooks", "orders", "--to", 3),
    ):
        done = run("--actor", "ines", *arguments)
        assert done.exit_code == 0, done.output
    return run


def test_gaps_and_repeats_are_summed_up_below_a_table(jumpy: Run) -> None:
    shown = jumpy("gaps", "--table")
    assert "3 gaps of 6 sequences at 2 cursors" in shown.stderr
    assert "A candidate was missed if its sequences exist" in shown.stderr
    assert "candidate was" not in jumpy("gaps", "--table", "--dense").stderr
    assert jumpy("gaps", "--jsonl").stderr == ""
    assert jumpy("repeats", "--table").stderr == ""  # One needs no sum.


def test_only_what_is_wanted_is_shown(jumpy: Run) -> None:
    def firsts(*arguments: object) -> list[int]:
        return [gap["first"] for gap in records(jumpy("gaps", *arguments))]

    assert firsts() == [2, 6, 1]
    assert firsts("--min", 2) == [2, 1]
    assert firsts("--limit", 1) == [2]
    assert firsts("--until", "7d") == firsts("--since", "2100-01-01T00:00:00Z") == []
    assert firsts("--since", "7d") == [2, 6, 1]
    assert [each["first"] for each in records(jumpy("repeats", "--since", "7d"))] == [5]
    assert records(jumpy("repeats", "--until", "7d")) == []


@pytest.mark.parametrize("command", ["gaps", "repeats", "stalls"])
@pytest.mark.parametrize("least", [2**63 - 1, 2**63, 10**30, "9" * 5_000])
def test_no_number_is_too_large_to_ask_for(jumpy: Run, command: str, least: object) -> None:
    done = jumpy(command, "--min", least)
    # Nothing is that long; what Python itself does not read is refused.
    assert done.exit_code == (2 if len(str(least)) > 4_300 else 0)
    assert done.stdout == ""
    assert "bug" not in done.stderr


def test_blame_names_the_entry_of_each_range(jumpy: Run) -> None:
    rows = jumpy("blame", *MAILER, "2..9", "--table").stdout.splitlines()[2:]
    assert [row.split()[:2] for row in rows] == [
        ["2", "4"],
        ["5", "5"],
        ["6", "6"],
        ["7", "7"],
        ["8", "9"],
    ]
    for row, said in zip(
        rows, ("jumped over", "delivered", "jumped over", "skipped, p", "never passed"), strict=True
    ):
        assert said in row
    found = records(jumpy("blame", *MAILER, "5.."))
    assert [(b["first"], b["passes"], b["pending"]) for b in found] == [
        (5, 2, False),
        (6, 1, True),
        (7, 1, True),
    ]
    assert found[0]["entry"]["actor"] == "ines"
    assert [b["first"] for b in records(jumpy("blame", *MAILER, "3"))] == [3]
    assert [b["first"] for b in records(jumpy("blame", "mailer/orders", "3"))] == [3]
    assert [b["first"] for b in records(jumpy("blame", *MAILER, "..3"))] == [1, 2]
    assert (
        "never passed: mailer/orders is at 5" in jumpy("blame", *MAILER, "50..", "--table").stderr
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((*MAILER, "5..3"), 2, "ends before it begins. Write 3..5"),
        ((*MAILER, "x..3"), 2, "is not a sequence"),
        ((*MAILER, "-1"), 2, "o such option"),
        ((*MAILER, "0..3"), 2, "from 1"),
        (MAILER, 2, "A..B"),
        (("new", "orders", "1.."), 4, "no cursor"),
        ((*MAILER, "offset:4.."), 2, "none was declared"),
    ],
)
def test_ranges_that_are_none_are_refused(
    jumpy: Run, arguments: tuple[str, ...], code: int, said: str
) -> None:
    refused = jumpy("blame", *arguments)
    assert (refused.exit_code, refused.stdout) == (code, "")
    assert said in refused.stderr


def test_a_sequence_beyond_the_head_is_said_to_be(jumpy: Run, target: str) -> None:
    with ledger.open(target, actor="producer") as book:
        book.heads.record("orders", "", 8)
    assert "beyond the head" not in jumpy("explain", *MAILER, 8, "--table").stdout
    assert (
        "It is beyond the head: orders goes up to 8"
        in jumpy("explain", *MAILER, 9, "--table").stdout
    )
    assert json.loads(jumpy("explain", *MAILER, 9, "--json").stdout)["verdict"] == "not_yet"


def test_a_history_that_is_cut_says_which_end_it_shows(jumpy: Run) -> None:
    assert "the oldest of 5 entries" in jumpy("history", *MAILER, "-n", 2, "--table").stderr
    for whole in (("-n", 5), (), ("-n", 2, "--newest-first"), ("-n", 2, "--since", "7d")):
        assert "oldest" not in jumpy("history", *MAILER, *whole, "--table").stderr


def test_what_was_only_passed_twice_is_told_alike_by_three_commands(run: Run) -> None:
    run("advance", *MAILER, "--to", 50)
    run("reset", *MAILER, "--to", 0, "--reason", "lost", "--execute", "--yes", "--actor", "ines")
    run("advance", *MAILER, "--to", 50)
    [repeat] = records(run("repeats"))
    assert (repeat["first"], repeat["last"], repeat["deliveries"], repeat["landed"]) == (
        1,
        50,
        2,
        1,
    )
    shown = run("repeats", "--table")
    assert [word for word in shown.stdout.splitlines()[2].split() if word in {"2×", "1"}][-2:] == [
        "2×",
        "1",
    ]
    assert "nothing says that it was delivered" in " ".join(shown.stderr.split())
    told = " ".join(run("explain", *MAILER, 30, "--table").stdout.split())
    assert "30: NOT DELIVERED: the cursor jumped over it 2 times." in told
    assert told.endswith("a consumer that confirms every n-th event has delivered it as well.")
    [gap] = records(run("gaps"))
    assert (gap["first"], gap["last"], gap["certain"]) == (1, 49, False)
    landed = run("explain", *MAILER, 50, "--table").stdout
    assert "50: delivered 2 times." in landed
    assert "n-th event" not in landed


def test_what_was_landed_on_each_time_needs_no_caveat(run: Run) -> None:
    for sequence in (1, 2):
        run("advance", *MAILER, "--to", sequence)
    run("reset", *MAILER, "--to", 0, "--reason", "lost", "--execute", "--yes", "--actor", "ines")
    for sequence in (1, 2):
        run("advance", *MAILER, "--to", sequence)
    assert [repeat["landed"] for repeat in records(run("repeats"))] == [2]
    assert "n-th" not in run("repeats", "--table").stderr


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_says_how_much_is_read_and_how_long_it_takes(
    jumpy: Run, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert jumpy("status").exit_code == 0
    monkeypatch.setattr(progress, "PROGRESS_AFTER_S", 0.0)
    monkeypatch.setattr(progress, "PROGRESS_EVERY_S", 0.0)
    monkeypatch.setattr("sys.stderr", screen := Terminal())
    with ledger.open(target) as book, progressing(book, Choice((), (), ())) as share:
        assert share.whole == 6
        share._began -= 10
        share.read(3)
        assert list(share.cleared([1])) == [1]
    assert "██████████░░░░░░░░░░  50 % of 6 entries, 11s left" in screen.getvalue()
    assert screen.getvalue().endswith("\r\033[K")


def test_two_sequences_are_no_range(jumpy: Run) -> None:
    refused = jumpy("blame", *MAILER, "2", "9")
    assert refused.exit_code == 2
    assert "A range has two dots in it: 2..9." in refused.stderr
