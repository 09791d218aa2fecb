"""The command that tells which entry passed each sequence of a cursor, as `git blame` does."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from ledger import CursorAdvanced, Entry, ErrorRecorded, InvalidCursorError
from ledger.cli.shown.columns import ends
from ledger.cli.shown.forms import Form, form_options, show
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.records import flat, names_of
from ledger.cli.shown.tables import Column, colour
from ledger.cli.typed.keys import key as key_of
from ledger.cli.typed.keys import known
from ledger.cli.typed.options import own_limit_option, sort_option
from ledger.cli.typed.sources import Names, Position, sequence_of
from ledger.cli.typed.target import Target, pass_target
from ledger.log.plain import unstructure
from ledger.log.text import visible
from ledger.positions.mapping import is_word
from projections.blaming import Blame
from projections.blaming import blame as find_blame
from projections.crossings import How
from projections.ranges import span

__all__ = ["blame"]

_ADVICE = (
    "Write A..B, A.. for all from A on, or one sequence; each may be a position, such as offset:43."
)


@click.command()
@click.argument("consumer", shell_complete=known("consumer_id"))
@click.argument("stream", required=False, metavar="STREAM", shell_complete=known("stream_name"))
@click.argument("rest", nargs=-1, metavar="[SUBJECT] A..B", shell_complete=known("subject_id"))
@sort_option
@own_limit_option
@form_options
@pass_target
def blame(
    target: Target,
    consumer: str,
    stream: str | None,
    rest: tuple[str, ...],
    form: Form | None,
) -> None:
    """Tell which entry passed each sequence from A to B last, who appended it, and the outcome.

    A..B are sequences, both included. A.. goes up to the furthest that the cursor ever was, and A
    alone is one sequence. Neighbours that one entry passed are one range. Where a range was passed
    more than once, the last time is shown, and how often. explain tells the whole story of one.
    """
    if stream is not None and not rest and "/" in consumer:
        # The cursor in one word, and the range.
        rest, stream = (stream,), None
    if not 1 <= len(rest) <= 2:
        raise click.UsageError(f"Name CONSUMER STREAM [SUBJECT] A..B. {_ADVICE}")
    *subject, asked = rest
    key = key_of(consumer, stream, *subject)
    first_typed, last_typed = _typed(asked)
    with target.open() as book:
        if subject and subject[0].isdecimal() and ".." not in asked and book.find(key) is None:
            raise click.UsageError(f"A range has two dots in it: {subject[0]}..{asked}.")
        cursor, names = book.get(key), Names(book)
        first = sequence_of(book, key, first_typed)
        last = None if last_typed is None else sequence_of(book, key, last_typed)
        if last is not None and last < first:
            raise InvalidCursorError(
                f"the range {span(first, last)} ends before it begins. Write {last}..{first}."
            )
        found = find_blame(book, key, first, last)
        none = f"never passed: {visible(str(key))} is at {cursor.last_sequence}"
        show(found, _BLAMES, form, of=_FIELDS, none=none, plain=_plain, names=names)


def _typed(asked: str) -> tuple[int | Position, int | Position | None]:
    first, dots, last = asked.partition("..")
    begin = _sequence(first or "1" if dots else asked)
    if not dots:
        return begin, begin
    return begin, _sequence(last) if last else None


def _sequence(typed: str) -> int | Position:
    if is_word(typed):
        return Position(typed)
    if re.fullmatch(r"[0-9]{1,19}", typed):
        return int(typed)
    raise click.UsageError(f"{typed!r:.80} is not a sequence. {_ADVICE}")


_WORDS = {
    How.CONFIRMED_AGAIN: "confirmed again",
    How.JUMPED: "jumped over",
    How.SKIPPED_BY_RESET: "skipped by a reset",
    How.STARTED: "before the ledger's time",
}


def _word(found: Blame) -> str:
    if found.entry is None or found.how is None:
        return "never passed"
    event = found.entry.event
    if found.how is How.LANDED and isinstance(event, CursorAdvanced):
        return event.outcome.value
    return _WORDS[found.how]


def _outcome(found: Blame) -> str:
    said = _word(found)
    said = f"{said}, pending again" if found.pending else said
    # Colour is for the whole of a cell: a part of one would be cut with what makes it coloured.
    return colour(said, "red") if found.how in {How.JUMPED, How.SKIPPED_BY_RESET} else said


# What is shown of the entry, beside the range.
_SHOWN = ("position", "recorded_at", "actor", "delivery_id")
_FIELDS = [
    *(name for name in names_of(Blame) if name != "entry"),
    "outcome",
    *_SHOWN,
]


def _plain(found: Blame) -> dict[str, Any]:
    record: dict[str, Any] = unstructure(found)
    entry = flat(record["entry"]) if record["entry"] else {}
    return {**record, "outcome": _word(found), **{name: entry.get(name) for name in _SHOWN}}


def _of_entry(cell: Callable[[Entry], Any]) -> Callable[[Blame], Any]:
    return lambda found: "" if found.entry is None else cell(found.entry)


def _delivery(entry: Entry) -> str:
    return "" if isinstance(entry.event, ErrorRecorded) else visible(entry.event.delivery_id)


_BLAMES = [
    *ends(lambda found: found),
    Column("outcome", _outcome),
    Column("passes", lambda found: f"{found.passes:,}", kind=Kind.NUMBER, spared=2),
    Column("position", _of_entry(lambda entry: str(entry.position)), kind=Kind.NUMBER, spared=1),
    Column("recorded", _of_entry(lambda entry: entry.recorded_at), kind=Kind.TIME),
    Column("actor", _of_entry(lambda entry: visible(entry.actor)), kind=Kind.NAME),
    Column("delivery", _of_entry(_delivery), kind=Kind.NAME, spared=3),
]
