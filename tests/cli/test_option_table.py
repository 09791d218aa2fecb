"""Which command takes which option: a table, found by looking, with a reason for every hole."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from projections.cli import main

FORMS = {"--table", "--wide", "--json", "--jsonl", "--csv", "--template", "-o"}
EVERYWHERE = {"--columns", "--tz", "--template", "--table", "--jsonl", "--db"}

OF_ENTRIES = {"events", "history", "entries", "gaps", "repeats", "stalls", "resets"}
"""Lists of what happened: --since and --until choose the time."""

OF_NOW = {
    "list": "where cursors stand now; as-of has another time, diff what changed",
    "lag": "how far behind they are now",
    "heads": "how far streams go now",
    "positions list": "what is declared now",
    "policy list": "what is in force now; resets lists the changes",
    "retention list": "which rules are in force now",
    "blame": "which entry passed each last; a range of sequences chooses",
    "as-of": "its MOMENT is the time",
    "diff": "its moments are the times",
}
"""Lists of what is so at a moment: why they have no --since and --until."""

NO_LISTS = {
    "describe": "one cursor",
    "show": "one cursor",
    "explain": "one sequence, in sentences",
    "timeline": "one cursor, as a drawing",
    "status": "one row",
    "checkpoint": "one row",
    "verify": "a verdict",
    "verify-proof": "a verdict",
    "verify-evidence": "a verdict",
    "advance": "the cursor after it",
    "error": "the cursor after it",
    "start": "the cursor after it",
    "append": "what was refused, in the order of its lines",
    "adopt": "a plan, in the order of its source",
    "reset": "a plan, in the order of its cursors",
    "positions declare": "one row",
    "policy set": "one row",
    "policy drop": "one row",
    # These print lines as they come, and never end with -f.
    "tail": "the last entries: --lines; as lines, so --csv is that of entries",
    "watch": "changes, as lines: nothing is sorted or counted",
}
"""Commands with columns that list nothing: why they have no --sort and --limit."""


def commands() -> Iterator[tuple[str, click.Command]]:
    for name, command in main.commands.items():
        nested = command.commands if isinstance(command, click.Group) else {"": command}
        for inner, each in nested.items():
            yield f"{name} {inner}".strip(), each


def options(command: click.Command) -> set[str]:
    return {name for each in command.params for name in each.opts if name.startswith("-")}


TABLE = {name: options(command) for name, command in commands()}
LISTS = OF_ENTRIES | set(OF_NOW)
LINES = {"tail", "watch"}
WRITE_ENTRIES = {"evidence", "export"}
"""What they write is a file for somebody else: all of it, in order of position."""


def test_every_command_with_columns_is_in_the_table_and_no_other() -> None:
    assert {name for name, has in TABLE.items() if "--columns" in has} == LISTS | set(NO_LISTS)
    assert not LISTS & set(NO_LISTS)


@pytest.mark.parametrize("name", sorted(LISTS))
def test_every_list_is_chosen_sorted_cut_and_printed_by_the_same_options(name: str) -> None:
    assert TABLE[name] >= EVERYWHERE | FORMS | {"--sort", "-n", "--limit", "--no-pager"}


@pytest.mark.parametrize("name", sorted(NO_LISTS))
def test_what_is_no_list_has_all_that_makes_sense_for_it(name: str) -> None:
    assert not TABLE[name] & {"--sort", "--limit"}
    # timeline -o is a file; what verifies evidence needs no ledger.
    alone = {"verify-proof", "verify-evidence"}
    missing = {"--db"} if name in alone else {"-o"} if name == "timeline" else set()
    # What has no end is neither one JSON value nor a table for a spreadsheet.
    forms = FORMS - {"--json", "--csv"} if name in LINES else FORMS
    assert TABLE[name] >= (EVERYWHERE | forms) - missing


def test_lists_of_what_happened_take_a_time_and_lists_of_what_is_so_take_none() -> None:
    timed = {name for name, has in TABLE.items() if {"--since", "--until"} <= has}
    assert timed == OF_ENTRIES | WRITE_ENTRIES | {"tail", "timeline"}
    assert not any("--until" in has for name, has in TABLE.items() if name not in timed)


def test_cursors_are_chosen_alike_wherever_there_are_several() -> None:
    several = LISTS - {"heads", "positions list", "policy list", "history", "blame", "events"}
    several -= {"retention list"}
    for name in several | LINES:
        assert {"--consumer", "--stream", "--subject"} <= TABLE[name], name
    # The stream and the subject are arguments there.
    assert "--consumer" in TABLE["events"]


def test_an_option_says_the_same_in_every_list() -> None:
    said: dict[str, set[str]] = {}
    for name, command in commands():
        for each in command.params:
            if name in OF_ENTRIES | {"timeline"} and isinstance(each, click.Option):
                for option in set(each.opts) & {"--since", "--until", "--limit", "--sort", "--tz"}:
                    said.setdefault(option, set()).add(each.help or "")
    assert set(said) == {"--since", "--until", "--limit", "--sort", "--tz"}
    assert all(len(helps) == 1 for helps in said.values()), said


def test_a_default_is_shown_as_it_is_typed() -> None:
    shown: dict[str, str] = {}
    for name, command in commands():
        context = click.Context(command)
        for each in command.params:
            if isinstance(each, click.Option) and each.show_default:
                _, said = each.get_help_record(context) or ("", "")
                typed = said.partition("[default: ")[2].rstrip("]").partition("; ")[0]
                taken = [each.type_cast_value(context, v) for v in (typed, each.default)]
                assert taken[0] == taken[1], (name, said)
                shown[f"{name} {each.opts[0]}"] = typed
    assert shown["lag --stalled-after"] == shown["stalls --after"] == "15m"


@pytest.mark.parametrize("form", ["table", "wide", "json", "jsonl", "csv"])
def test_where_o_is_a_file_the_name_of_a_form_is_answered_with_its_option(form: str) -> None:
    refused = CliRunner().invoke(main, ["timeline", "mailer/orders", "-o", form])
    assert refused.exit_code == 2
    assert f"To print the timeline: --{form}" in refused.stderr
