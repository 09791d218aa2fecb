"""The tables of docs/words.md are true: each row is typed, and what is understood compared."""

from __future__ import annotations

import shlex
from contextlib import nullcontext
from datetime import UTC, datetime
from itertools import chain

import click
import pytest

import ledger
from ledger import CursorKey, InvalidCursorError
from ledger.cli.typed.keys import key
from ledger.cli.typed.names import suggestion
from ledger.cli.typed.typed_times import ago_of, moment_of
from ledger.law.requests import AdvanceCursor
from ledger.log.text import show_time
from ledger.testing import Clock, tell
from projections import How, Verdict, explain
from projections.explanation import told
from support.places import TOP

NOW = datetime(2026, 3, 10, 2, 13, 44, tzinfo=UTC)
ROWS_LEAST = 60
"""How many rows about times and names there are at least."""


def rows(heading: str) -> list[list[str]]:
    """Return the cells of all tables under a heading, without those that head a table."""
    text = (TOP / "docs/words.md").read_text("utf-8").partition(f"## {heading}\n")[2]
    found: list[list[str]] = []
    for line in text.partition("\n## ")[0].splitlines():
        if line.startswith("| ---"):
            found.pop()
        elif line.startswith("|"):
            found.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    return found


TIMES, CURSORS, NEAR = rows("Times"), rows("Cursors"), rows("Names that are near")
EXPLAINED = rows("What `explain` says, and what its JSON calls it")


def test_there_are_enough_rows_and_none_twice() -> None:
    typed = [row[0] for row in chain(TIMES, CURSORS, NEAR)]
    assert len(TIMES) >= ROWS_LEAST // 2
    assert len(typed) == len(set(typed)) >= ROWS_LEAST
    assert all(any(row[1] == "refused" for row in table) for table in (TIMES, CURSORS))


@pytest.mark.parametrize(("typed", "understood"), TIMES)
def test_a_time_is_understood_as_the_table_says(typed: str, understood: str) -> None:
    span = ago_of(typed)
    moment = moment_of(typed, NOW) if span is None else NOW - span
    assert (show_time(moment) if moment else "refused") == understood


@pytest.mark.parametrize("row", CURSORS, ids=lambda row: row[0])
def test_a_cursor_is_understood_as_the_table_says(row: list[str]) -> None:
    typed, *parts = row
    if parts[0] == "refused":
        with pytest.raises((InvalidCursorError, click.UsageError)):
            _key(typed)
        return
    assert _key(typed) == CursorKey(*parts)


def _key(typed: str) -> CursorKey:
    consumer, *others = shlex.split(typed)
    return key(consumer, others[0] if others else None, *others[1:])


@pytest.mark.parametrize("row", NEAR, ids=lambda row: row[0])
def test_a_name_is_answered_as_the_table_says(row: list[str]) -> None:
    there = ("webhooks orders", "mailer orders eu", "'mail server' jobs", "mailer payments")
    with ledger.open(":memory:", actor="test") as book:
        names = [*there, "billing-reconciliation payments"]
        book.append(AdvanceCursor(CursorKey(*shlex.split(name)), 1) for name in names)
        said = suggestion(lambda: nullcontext(book), CursorKey(*shlex.split(row[0])))
    first = said.removeprefix(" Did you mean ").rstrip("?").partition(" or ")[0]
    assert first == row[1]


STORIES = {
    "advance 7 as m; advance 7 as m": 7,
    "advance 6; advance 7; reset 3: lost; wait 1m; advance 7": 7,
    "advance 6; advance 7 skipped": 7,
    "advance 6; advance 7 suppressed": 7,
    "advance 3; reset 9: poisoned": 7,
    "error HTTP 503; error HTTP 503; advance 9; reset 3: lost": 7,
    "start 9: moved here": 7,
    "advance 3": 7,
    "error HTTP 503; error HTTP 503; advance 8": 7,
}


def test_explain_says_what_the_tables_say_of_its_json() -> None:
    verdicts: dict[str, set[str]] = {}
    ways: dict[str, set[str]] = {}
    everything = ""
    for story, sequence in STORIES.items():
        clock = Clock()
        with ledger.open(":memory:", actor="ines", clock=clock) as book:
            found = explain(book.history(tell(book, story, clock=clock).key), sequence)
        verdict, *sentences = told(found)
        everything += " ".join([verdict, *sentences])
        verdicts.setdefault(found.verdict.value, set()).add(verdict.partition(": ")[2])
        for step in found.steps:
            [said] = [each for each in sentences if f"position {step.entry.position}:" in each]
            ways.setdefault(step.how.value, set()).add(said.partition(": ")[2])
    assert set(verdicts) == set(Verdict)
    assert set(ways) == set(How)
    table = {name: text.split("; ") for name, text in EXPLAINED}
    for name, sentences_of in chain(verdicts.items(), ways.items()):
        for sentence in sentences_of:
            assert sentence.startswith(tuple(table[name])), (name, sentence)
    for text in chain.from_iterable(table.values()):
        assert text in everything, text
