"""Columns, order, limits, templates and zones, alike on every command that lists something."""

from __future__ import annotations

import csv
import io
import json

import click
import pytest

from ledger.cli.shown.zones import current_zone
from projections.cli import main
from support.commands import OWNER, Run, lines

LISTS = [
    ("list",),
    ("history", *OWNER),
    ("entries",),
    ("resets",),
    ("resets", "--groups"),
    ("gaps",),
    ("repeats",),
    ("stalls",),
    ("diff", "0"),
    ("as-of", "now"),
    ("lag",),
    ("heads",),
    ("positions", "list"),
]


@pytest.fixture
def full(run: Run) -> Run:
    """Return a ledger with something to show in each list."""
    for subject, to in (("", 44), ("b", 7), ("a", 7), ("c", 1_000)):
        run(
            "advance",
            *OWNER,
            *([subject] if subject else []),
            "--to",
            to,
            "--delivery-id",
            f"m{to}",
        )
    run("error", *OWNER, "b", "-m", "lost")
    run("reset", *OWNER, "--to", 41, "--reason", "it lost two", "--execute", "--yes")
    run("advance", *OWNER, "--to", 44)
    run("heads", "orders", "--to", 50)
    run("positions", "declare", "invoices", "zero-based")
    return run


@pytest.mark.parametrize("command", LISTS)
def test_every_list_takes_the_same_options(full: Run, command: tuple[str, ...]) -> None:
    every = lines(full, *command, "--sort", "-stream", "--limit", 1, "--tz", "Asia/Tokyo")
    assert len(every) <= 1
    for form in ("table", "wide", "json", "csv"):
        done = full(*command, "--sort", "stream", "-n", 1, "--columns", "stream", "-o", form)
        assert done.exit_code == 0, done.output
    done = full(*command, "--template", "{stream_name}|", "-n", 1)
    assert done.exit_code == 0, done.output
    assert len(done.stdout.splitlines()) == len(every)


def test_columns_are_named_as_in_the_heading_or_as_in_json(full: Run) -> None:
    for names in ("subject,sequence,last error", "subject_id,last_sequence,last_error"):
        chosen = lines(full, "list", "--columns", names)
        assert chosen[1] == {"subject_id": "a", "last_sequence": 7, "last_error": ""}
        rows = list(csv.reader(io.StringIO(full("list", "--columns", names, "--csv").stdout)))
        assert rows[0] == ["subject_id", "last_sequence", "last_error"]
        assert rows[3] == ["b", "7", "lost"]
        table = full("list", "--columns", names, "--table").stdout.splitlines()
        assert table[0].split() == ["subject", "sequence", "last", "error"]
        assert table[4].split() == ["b", "7", "lost"]


def test_a_table_also_has_columns_that_only_json_has(full: Run) -> None:
    digests = [entry["digest"] for entry in lines(full, "entries")]
    table = full("entries", "--columns", "digest,position,metadata", "--table").stdout
    assert [row.split()[0] for row in table.splitlines()[2:]] == digests
    assert lines(full, "diff", "0", "--columns", "after.version")[0] == {"after.version": 3}


def test_columns_that_were_asked_for_are_shown_though_they_are_empty(full: Run) -> None:
    table = full("list", "--columns", "subject,last_error", "--table", "-n", 1).stdout
    assert table.splitlines()[0].split() == ["subject", "last", "error"]
    assert "last error" not in full("list", "--table", "-n", 1).stdout


@pytest.mark.parametrize("option", ["--columns", "--sort", "--template"])
def test_an_unknown_name_gets_names_that_are_near(full: Run, option: str) -> None:
    value = "{sequnce}" if option == "--template" else "sequnce"
    refused = full("entries", option, value)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "No column here is called 'sequnce'. Did you mean sequence" in refused.stderr
    assert "digest" in refused.stderr


def test_a_column_that_is_worded_for_tables_is_not_in_json(full: Run) -> None:
    refused = full("entries", "--columns", "detail", "--json")
    assert refused.exit_code == 2
    assert "'detail' is worded for tables and has no name in JSON" in refused.stderr


@pytest.mark.parametrize("value", ["", ",", "a,,b", "-"])
def test_an_empty_name_is_refused(full: Run, value: str) -> None:
    assert full("list", "--columns", value).exit_code == 2
    assert full("list", "--sort", value).exit_code == 2


# --- order ---


def _subjects(run: Run, *options: object) -> list[str]:
    return [each["key"]["subject_id"] for each in lines(run, "list", *options)]


def test_rows_are_sorted_by_numbers_then_by_other_columns(full: Run) -> None:
    assert _subjects(full, "--sort", "sequence,-subject") == ["b", "a", "", "c"]
    assert _subjects(full, "--sort", "-sequence") == ["c", "", "a", "b"]
    # The limit is about what is sorted, not about what is read.
    assert _subjects(full, "--sort", "-sequence", "--limit", 2) == ["c", ""]
    assert _subjects(full, "--limit", 2, "--sort", "-sequence") == ["c", ""]


def test_what_is_not_there_comes_last_in_both_directions(full: Run) -> None:
    full("start", *OWNER, "d", "--at", 3, "--reason", "new")
    for down in ("", "-"):
        assert _subjects(full, f"--sort={down}last_delivered_at")[-1] == "d"
        assert _subjects(full, f"--sort={down}delivered")[-1] == "d"


def test_equal_rows_keep_their_order(full: Run) -> None:
    assert _subjects(full, "--sort", "consumer") == _subjects(full) == ["", "a", "b", "c"]
    assert _subjects(full, "--sort", "-consumer") == ["", "a", "b", "c"]


def test_lag_has_its_own_words_and_all_other_columns(full: Run) -> None:
    assert next(each["last_sequence"] for each in lines(full, "lag", "--sort", "behind")) == 44
    by_place = lines(full, "lag", "--sort", "-at", "-n", 2)
    assert [each["last_sequence"] for each in by_place] == [1_000, 44]
    assert full("lag", "--sort", "behnd").exit_code == 2


# --- templates ---


def test_a_template_has_the_names_of_json_and_keeps_a_line_a_line(full: Run) -> None:
    full("error", *OWNER, "c", "-m", "two\nlines \x1b[31m")
    shown = full(
        "list", "--template", "{consumer_id}/{subject_id} {last_sequence:>6,} {last_error}"
    )
    assert shown.stdout.splitlines() == [
        "webhooks/     44 ",
        "webhooks/a      7 ",
        "webhooks/b      7 lost",
        r"webhooks/c  1,000 two\nlines \x1b[31m",
    ]


def test_fields_that_an_entry_has_not_are_empty(full: Run) -> None:
    shown = full("entries", "--template", "{tag}:{reason}{metadata.ticket}{at_source}")
    assert "cursor.reset.v1:it lost two" in shown.stdout.splitlines()
    assert "cursor.error.v1:" in shown.stdout.splitlines()


def test_a_template_is_a_form_of_its_own(full: Run) -> None:
    assert full("list", "--template", "{stream_name}", "--csv").exit_code == 2
    refused = full("list", "-o", "template")
    assert refused.exit_code == 2
    assert "Add the template" in refused.stderr
    assert full("list", "-o", "template", "--template", "x").stdout == "x\n" * 4
    broken = full("list", "--template", "{stream_name")
    assert broken.exit_code == 2
    assert "is not a template" in broken.stderr


def test_one_value_and_each_that_follows_have_templates_too(full: Run) -> None:
    assert full("show", *OWNER, "--template", "{last_sequence}").stdout == "44\n"
    assert full("tail", "-n", 2, "--template", "{position}").stdout == "8\n9\n"
    assert lines(full, "tail", "-n", 1, "--columns", "position") == [{"position": 9}]
    assert full("verify", "--template", "{ok} {entries}").stdout == "true 9\n"


# --- times ---


def test_a_zone_is_that_of_tables_and_of_times_that_are_typed(full: Run) -> None:
    utc = full("list", "--wide", "--columns", "updated").stdout.splitlines()[2].strip()
    assert utc.endswith("Z")
    tokyo = full("list", "--wide", "--columns", "updated", "--tz", "Asia/Tokyo").stdout
    assert tokyo.splitlines()[2].strip().endswith("+09:00")
    # JSON does not change with who looks at it.
    assert lines(full, "list", "--tz", "Asia/Tokyo") == lines(full, "list")
    said = full("entries", "--since", "2026-05-05 12:00", "--tz", "+02:00").stderr
    assert "--since 2026-05-05 12:00 is 2026-05-05T10:00:00Z" in said


def test_a_zone_is_set_for_all_commands_and_a_wrong_one_is_refused(
    full: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURSOR_LEDGER_TZ", "Asia/Tokyo")
    assert "+09:00" in full("list", "--wide").stdout
    assert "+09:00" not in full("list", "--wide", "--tz", "UTC").stdout
    for wrong in ("Asia/Tokio", "../../etc/passwd", "+25:00", "", "\0"):
        refused = full("list", "--tz", wrong)
        assert refused.exit_code == 2
        assert "not a time zone" in refused.stderr or "NUL" in refused.stderr
    assert "Did you mean Asia/Tokyo" in full("list", "--tz", "Asia/Tokio").stderr


def test_without_a_command_the_zone_is_utc() -> None:
    assert current_zone().name == "UTC"


def test_a_history_is_bounded_in_time(full: Run) -> None:
    times = [entry["recorded_at"] for entry in lines(full, "history", *OWNER)]
    assert len(times) == 3
    assert len(lines(full, "history", *OWNER, "--since", times[1])) == 2
    assert len(lines(full, "history", *OWNER, "--until", times[0])) == 1


# --- what was missing on single commands ---


def test_heads_and_lag_are_chosen_as_other_lists(full: Run) -> None:
    full("heads", "orders", "b", "--to", 9)
    assert len(lines(full, "heads", "--stream", "orders")) == 2
    assert [each["last_sequence"] for each in lines(full, "heads", "--subject", "b")] == [9]
    assert full("heads", "orders", "--stream", "orders").exit_code == 2
    [one] = lines(full, "lag", *OWNER, "b")
    assert one["behind"] == 2
    [whole] = lines(full, "lag", *OWNER)
    assert whole["behind"] == 6
    assert full("lag", *OWNER, "nobody").exit_code == 4
    assert full("lag", "webhooks").exit_code == 2
    both = lines(full, "lag", "--subject", "c", "--subject", "a")
    assert [each["key"]["subject_id"] for each in both] == ["a", "c"]


def test_diff_counts_errors_and_takes_no_takeover_for_a_reset(full: Run, path: str) -> None:
    import ledger

    with ledger.open(path, actor="ines") as book:
        book.consumer(ledger.CursorKey(*OWNER), take_over="deploy")
    changes = {each["key"]["subject_id"]: each for each in lines(full, "diff", "0")}
    counts = {
        subject: [each[name] for name in ("entries", "resets", "takeovers", "errors")]
        for subject, each in changes.items()
    }
    assert counts == {"": [4, 1, 1, 0], "a": [1, 0, 0, 0], "b": [2, 0, 0, 1], "c": [1, 0, 0, 0]}


def test_a_checkpoint_stays_a_line_that_verify_reads(
    full: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURSOR_LEDGER_FORMAT", "csv")
    kept = json.loads(full("checkpoint").stdout)
    again = json.loads(full("checkpoint", "--json").stdout)
    assert again.pop("taken_at") > kept.pop("taken_at")
    assert again == kept
    assert kept["root"] in full("checkpoint", "--table").stdout
    assert kept["root"] + "\n" == full("checkpoint", "--template", "{root}").stdout


@pytest.mark.parametrize("command", [("tail", "-n", "1"), ("watch", *OWNER)], ids=" ".join)
def test_what_is_printed_as_it_comes_takes_the_forms_that_have_no_end(
    full: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    def interrupted(*_: object) -> bool:
        return True

    monkeypatch.setattr("projections.cli.watching.rests", interrupted)
    ended = 130 if command[0] == "watch" else 0
    lines_of_json = full(*command, "-o", "jsonl")
    assert lines_of_json.exit_code == ended
    assert all(json.loads(line)["key"] for line in lines_of_json.stdout.splitlines())
    for form in ("table", "wide"):
        shown = full(*command, "-o", form)
        assert (shown.exit_code, shown.stdout[:1] == "{") == (ended, False)
        assert shown.stdout == full(*command, f"--{form}").stdout
    for form in ("json", "csv"):
        refused = full(*command, "-o", form)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert f"not printed as {form}: use --jsonl or --table" in refused.stderr
        # What is set for all commands stops none.
        monkeypatch.setenv("CURSOR_LEDGER_FORMAT", form)
        assert full(*command).stdout == lines_of_json.stdout
        monkeypatch.delenv("CURSOR_LEDGER_FORMAT")


def test_json_of_differences_timelines_and_plans_has_the_words_of_the_source(full: Run) -> None:
    full("positions", "declare", "orders", "zero-based")
    [change] = [c for c in lines(full, "diff", "0") if not c["key"]["subject_id"]]
    assert change["after"]["at_source"]["last_sequence"] == "offset:43"
    life = json.loads(full("timeline", *OWNER, "--json").stdout)
    assert {p["at_source"]["sequence"] for p in life["points"]} == {"offset:43", "offset:40"}
    assert all(mark["at_source"]["high"] for mark in life["marks"])
    [plan] = lines(full, "reset", *OWNER, "--to", 40, "--reason", "again")
    assert plan["at_source"] == {"previous_sequence": "offset:43", "sequence": "offset:39"}


def test_every_result_has_the_same_options() -> None:
    """A command that is added with a form has all that goes with one."""
    for name, command in main.commands.items():
        nested = command.commands if isinstance(command, click.Group) else {name: command}
        for each in nested.values():
            options = {option for parameter in each.params for option in parameter.opts}
            if "--jsonl" in options:
                assert {"--template", "--columns", "--tz"} <= options, each.name
            if "--limit" in options and "--csv" in options:
                assert "--sort" in options, each.name


@pytest.mark.parametrize("command", ["list", "entries", "heads", "gaps", "lag", "events orders"])
def test_a_limit_that_no_ledger_reaches_is_refused_in_a_sentence(full: Run, command: str) -> None:
    for limit in ("99999999999999999999", "-99999999999999999999"):
        done = full(*command.split(), "--limit", limit)
        assert done.exit_code == 2, done.output
        assert "at most 9223372036854775807" in " ".join(done.stderr.split())
    assert full(*command.split(), "--limit", 2**63 - 1).exit_code == 0
