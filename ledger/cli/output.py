"""How results are shown: tables on a terminal, JSON lines into a pipe, CSV on demand.

Text from the log was written by strangers. It is shown so that it cannot command the terminal,
reorder what is read, or start a formula in a spreadsheet.
"""

from __future__ import annotations

import csv
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any, TypeVar

import attrs
import click

from ledger.law.cursor import Cursor, CursorKey
from ledger.law.events import CursorAdvanced, CursorReset, Entry, ErrorRecorded, Event
from ledger.log.json import unstructure
from ledger.log.text import dumps, visible, visible_json
from ledger.log.text import show_time as _rfc3339
from ledger.service import Ledger
from ledger.stores import Waiting

__all__ = [
    "CURSORS",
    "ENTRIES",
    "OWNER",
    "Column",
    "Form",
    "Progress",
    "colour",
    "form_options",
    "say_whom_it_waits_for",
    "show",
    "show_one",
    "show_time",
    "waited_for",
    "with_metadata",
]

T = TypeVar("T")

TABLE_PAGE_ROWS = 500
PROGRESS_AFTER_S = 1.0
PROGRESS_EVERY_S = 0.2


class Form(StrEnum):
    """The forms that a result can take."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


@attrs.frozen
class Column:
    """A column of a table: its heading, and what stands in it for a value."""

    heading: str
    cell: Callable[[Any], str]


# What a spreadsheet takes for the beginning of a formula: = + @ - and their full-width, small,
# raised and lowered forms. White space and quotes in front do not help, and a cell is split again
# where another separator is set (OWASP, "CSV Injection").
_SIGNS = (
    "=+@\\-\uff1d\uff0b\uff20\uff0d\ufe66\ufe62\ufe6b\ufe63\u207c\u207a\u207b\u208c\u208a\u208b"
    "\u2212\ufb29"
)
_FORMULA = re.compile(rf"""(^|[;,|\t])([\s"]*)(?=[{_SIGNS}])""")


def form_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--table`, `--json`, `--jsonl` and `--csv` to a command, as its parameter `form`."""
    helps = {
        Form.CSV: "Comma-separated values, with a heading.",
        Form.JSONL: "One JSON object a line: the form into a pipe.",
        Form.JSON: "One JSON value.",
        Form.TABLE: "A table: the form on a terminal.",
    }
    for form, text in helps.items():
        option = click.option(f"--{form}", "form", flag_value=form, type=Form, help=text)
        command = option(command)
    return command


def show(
    values: Iterable[T],
    columns: list[Column],
    form: Form | None,
    *,
    of: Sequence[type | str] = (),
    none: str = "none",
) -> None:
    """Print `values` as they come, in the form that was asked for, or that fits where it goes.

    `of` names what CSV has in its heading: kinds of values, whose fields are meant, or names.
    Where there are no values, a table says `none` on standard error.
    """
    match form or (Form.TABLE if sys.stdout.isatty() else Form.JSONL):
        case Form.TABLE:
            _show_table(iter(values), columns, none)
        case Form.JSONL:
            for value in values:
                click.echo(_json(value))
        case Form.JSON:
            opened = False
            for value in values:
                click.echo((",\n " if opened else "[") + _json(value), nl=False)
                opened = True
            click.echo("]" if opened else "[]")
        case Form.CSV:
            _show_csv(values, of)


def show_one(value: object, columns: list[Column], form: Form | None) -> None:
    """Print one value: in JSON not as a list."""
    if form is Form.JSON:
        click.echo(_json(value))
    else:
        show([value], columns, form)


def waited_for(waiting: Waiting) -> str:
    """Name a transaction that readers wait for."""
    if waiting.process is None:
        return "a prepared transaction"
    since = "" if waiting.since is None else f" since {show_time(waiting.since)}"
    return f"{visible(waiting.application) or 'a transaction'}, process {waiting.process}{since}"


def say_whom_it_waits_for(book: Ledger) -> None:
    """Say, beside the entries that are shown, that there are more, and what they wait for."""
    horizon = book.horizon()
    if horizon.waiting and horizon.position < horizon.last:
        names = "; ".join(map(waited_for, horizon.waiting))
        click.echo(
            f"settled up to position {horizon.position:,} of {horizon.last:,}; what is behind "
            f"waits for the end of {names}",
            err=True,
        )


def colour(text: str, name: str) -> str:
    """Give `text` in a colour where that is wanted: on a terminal, without NO_COLOR."""
    if not text or os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return text
    return click.style(text, fg=name)


class Progress:
    """A line on the terminal that says how far long work has got; silent where nobody watches.

    It is overwritten by the next, and cleared before anything else is printed.
    """

    def __init__(self) -> None:
        self._watched = sys.stderr.isatty()
        self._next = time.monotonic() + PROGRESS_AFTER_S
        self._shown = False

    def say(self, text: str) -> None:
        """Show `text`, if the work has taken a while, and not too often."""
        if self._watched and time.monotonic() >= self._next:
            click.echo(f"\r\033[K{text}", nl=False, err=True)
            self._next = time.monotonic() + PROGRESS_EVERY_S
            self._shown = True

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            click.echo("\r\033[K", nl=False, err=True)
            self._shown = False


def _show_table(values: Iterator[Any], columns: list[Column], none: str) -> None:
    from tabulate import tabulate

    first = True
    # A page at a time, so that a table of a million rows starts at once and fits in memory.
    while page := list(islice(values, TABLE_PAGE_ROWS)):
        cells = [[column.cell(value) for value in page] for column in columns]
        shown = list(zip(columns, cells, strict=True))
        if first and len(page) < TABLE_PAGE_ROWS:
            # All of it is known: a column in which nothing stands only takes room.
            shown = [(column, texts) for column, texts in shown if any(texts)]
        table = tabulate(
            list(zip(*(texts for _, texts in shown), strict=True)),
            headers=[column.heading for column, _ in shown],
            tablefmt="simple",
            disable_numparse=True,
        )
        for line in table.splitlines()[0 if first else 2 :]:
            click.echo(line.rstrip())
        first = False
    if first and none:
        click.echo(none, err=True)


def _show_csv(values: Iterable[object], of: Sequence[type | str]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    names = list(dict.fromkeys(name for kind in of for name in _names(kind)))
    if names:
        writer.writerow(names)
    for value in values:
        record = _flat(unstructure(value))
        if not names:
            names = list(_names(type(value)) if isinstance(value, Entry) else record)
            writer.writerow(map(_defused, names))
        writer.writerow([_defused(record.get(name)) for name in names])


def _names(kind: type | str) -> Iterable[str]:
    if isinstance(kind, str):
        return [kind]
    if kind is Entry:
        return _ENTRY_COLUMNS
    return [
        name
        for field in attrs.fields(kind)
        for name in (_names(CursorKey) if field.name == "key" else [field.name])
    ]


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if name in ("key", "event"):
            flat.update(value)
        else:
            flat[name] = dumps(value) if isinstance(value, dict | list) else value
    return flat


def _defused(value: object) -> object:
    return _FORMULA.sub(r"\1\2'", visible(value)) if isinstance(value, str) else value


def _json(value: object) -> str:
    return visible_json(dumps(unstructure(value)))


def show_time(value: datetime | None) -> str:
    """Give a time to the second, as tables have it; nothing for None."""
    return "" if value is None else _rfc3339(value.replace(microsecond=0))


def _what(entry: Entry) -> str:
    event = entry.event
    match event:
        case CursorAdvanced() if event.previous_sequence == event.sequence:
            return f"confirm {event.sequence}"
        case CursorAdvanced():
            return f"advance {event.previous_sequence} → {event.sequence}"
        case CursorReset():
            return colour(f"reset {event.previous_sequence} → {event.sequence}", "yellow")
        case ErrorRecorded():
            return colour("error", "red")


def _detail(entry: Entry) -> str:
    return with_metadata(_said(entry.event), entry.metadata)


def _said(event: Event) -> str:
    match event:
        case CursorAdvanced():
            outcome = "" if event.outcome == "delivered" else event.outcome.value
            return " ".join(part for part in (event.delivery_id, outcome) if part)
        case CursorReset():
            return event.reason
        case ErrorRecorded():
            return event.message


def with_metadata(text: str, metadata: Mapping[str, str]) -> str:
    """Give `text`, and after it the metadata in brackets, made visible."""
    pairs = " ".join(f"{name}={value}" for name, value in metadata.items())
    return visible(f"{text} [{pairs}]".lstrip() if pairs else text)


def _text(name: str) -> Callable[[Any], str]:
    return lambda value: visible(str(getattr(value, name)))


def _key(name: str) -> Callable[[Cursor | Entry], str]:
    return lambda value: visible(getattr(value.key, name))


OWNER = [
    Column("consumer", _key("consumer_id")),
    Column("stream", _key("stream_name")),
    Column("subject", _key("subject_id")),
]

CURSORS = [
    *OWNER,
    Column("at", _text("last_sequence")),
    Column("delivery", _text("last_delivery_id")),
    Column("delivered", lambda cursor: show_time(cursor.last_delivered_at)),
    Column("version", _text("version")),
    Column("epoch", _text("epoch")),
    Column("updated", lambda cursor: show_time(cursor.updated_at)),
    Column("error", lambda cursor: colour(visible(cursor.last_error), "red")),
]

ENTRIES = [
    Column("position", _text("position")),
    Column("recorded", lambda entry: show_time(entry.recorded_at)),
    *OWNER,
    Column("version", _text("version")),
    Column("what", _what),
    Column("detail", _detail),
    Column("actor", _text("actor")),
]

_ENTRY_COLUMNS = (
    "position",
    "consumer_id",
    "stream_name",
    "subject_id",
    "version",
    "epoch",
    "recorded_at",
    "actor",
    "metadata",
    "tag",
    "previous_sequence",
    "sequence",
    "delivery_id",
    "delivered_at",
    "outcome",
    "reason",
    "message",
    "occurred_at",
    "digest",
)
