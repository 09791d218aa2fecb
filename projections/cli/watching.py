"""The command that shows cursors, and each change of one as it happens."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import click

from ledger import Cursor, CursorKey, CursorQuery, Ledger
from ledger.cli.process.interrupts import Stop, Watch
from ledger.cli.shown.forms import Form, endless, endless_options, print_json
from ledger.cli.shown.records import flat
from ledger.cli.shown.shaped import shaped
from ledger.cli.shown.shapes import Shape
from ledger.cli.shown.tables import Column, Layout, print_row, print_table, terminal_width
from ledger.cli.typed.sources import Names
from ledger.cli.typed.target import Target, pass_target
from ledger.opening import utc_now
from projections.cli.choosing import Choice, choice
from projections.cli.rows import ADDED, WIDE, Rows, plain
from projections.cursors import last_position
from projections.following import POLL_S, rests
from projections.overview import CursorOverview, overview

__all__ = ["watch", "watch_rows"]

AGAIN_S = 5.0
"""The seconds between two looks while nothing is appended, because time makes a cursor stalled."""

REST_PER_LOOK = 4
"""How many times as long as a look took it rests after it, so that many cursors cost no more."""


def columns() -> list[Column]:
    """Return all columns that a line may have, for a shell that completes their headings."""
    return WIDE


@click.command()
@choice
@endless_options
@pass_target
def watch(target: Target, chosen: Choice, form: Form | None) -> None:
    """Show cursors, and then a line for each that changes, until it is interrupted.

    Of one cursor that is named, of those that are chosen, or of all. A cursor changes when an entry
    of its own is appended, or when it comes to be in another state: behind, stalled, ok. Several
    entries at once make one line, which says where the cursor stands then.
    """
    with target.open() as book:
        if chosen.key is not None:
            book.get(chosen.key)
        streams = CursorQuery(stream_name=chosen.streams[0] if len(chosen.streams) == 1 else "")
        rows = Rows(book, streams)
        watch_rows(book, lambda: _looked_at(book, chosen), rows, form)


def _looked_at(book: Ledger, chosen: Choice) -> Iterator[CursorOverview]:
    found = heapq.merge(*(overview(book, query) for query in chosen.queries), key=_name)
    # An empty subject matches all, where one cursor was named in full.
    return (row for row in found if chosen.key is None or row.key == chosen.key)


def _name(row: CursorOverview) -> tuple[str, str, str]:
    key = row.key
    return key.stream_name, key.subject_id, key.consumer_id


def watch_rows(
    book: Ledger,
    look: Callable[[], Iterable[CursorOverview]],
    rows: Rows,
    form: Form | None,
    *,
    states: Sequence[str] = (),
) -> None:
    """Print the rows that `look` returns, then each that changes, and never return.

    Those in other states than `states` are shown when they come to be in one of these, or leave it.

    Raises click.UsageError where a form is asked for that comes to an end.
    """
    printer = _Printer(rows, Names(book), form)
    seen: dict[CursorKey, tuple[int, str]] = {}
    stop = Watch.current().stop
    position = last_position(book)
    is_first = True
    while True:
        began = time.monotonic()
        news = []
        for row in look():
            now, before = (row.cursor.version, row.state.value), seen.get(row.key)
            shown = {now[1]} if before is None else {now[1], before[1]}
            if now != before and (not states or shown.intersection(states)):
                news.append(row)
            seen[row.key] = now
        printer.show(news, is_first=is_first)
        is_first = False
        took_s = time.monotonic() - began
        if stop.wait(took_s * REST_PER_LOOK):
            raise KeyboardInterrupt
        again = began + max(AGAIN_S, took_s * REST_PER_LOOK)
        position = _next_position(book, position, again, stop)


def _next_position(book: Ledger, position: int, again: float, stop: Stop) -> int:
    """Wait until the log goes on beyond `position`, or it is time to look `again`.

    Raises KeyboardInterrupt.
    """
    while True:
        until = last_position(book)
        if until > position or time.monotonic() >= again:
            return until
        if rests(book, until, POLL_S, stop):
            raise KeyboardInterrupt


class _Printer:
    """Prints rows as they come, in lines that stand below each other."""

    def __init__(self, rows: Rows, names: Names, form: Form | None) -> None:
        self._form = endless(form)
        self._to_read = self._form in {Form.TABLE, Form.WIDE}
        # A line that is read an hour later must not say how long ago something was.
        wide = self._form is Form.WIDE or bool(Shape.current().columns)
        columns = rows.columns(wide=wide, exact=True)
        self._what = shaped(
            Shape.current(),
            (),
            names.columns(columns),
            plain=names.plain(plain),
            of=[Cursor, *ADDED],
            to_read=self._to_read,
        )
        self._layout: Layout | None = None

    def show(self, rows: Iterable[CursorOverview], *, is_first: bool) -> None:
        """Print `rows`; the first time, say so if there are none."""
        if not self._to_read:
            for row in rows:
                self._print_record(self._what.plain(row))
        elif self._layout is None:
            width = None if self._form is Form.WIDE else terminal_width()
            none = "none yet" if is_first else ""
            self._layout = print_table(iter(rows), self._what.columns, none, width)
        else:
            layout = self._layout.on(utc_now())
            for row in rows:
                print_row(row, layout)

    def _print_record(self, record: Any) -> None:
        if self._what.template is not None:
            click.echo(self._what.template.line(flat(record)))
        else:
            print_json(record)
