"""The commands about moments: where cursors stood then, and what has changed since."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, TypeVar

import attrs
import click

from ledger import Cursor, CursorKey, CursorQuery, Ledger
from ledger.cli.process.exits import EXIT_NO_CURSOR
from ledger.cli.shown.columns import CURSORS, OWNER
from ledger.cli.shown.forms import Form, fitting, form_options, show, show_one
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.progress import Progress
from ledger.cli.shown.records import names_of, spread
from ledger.cli.shown.sentences import say
from ledger.cli.shown.tables import Column, colour
from ledger.cli.shown.waiting import say_what_is_not_settled
from ledger.cli.typed.filters import cursor_filters
from ledger.cli.typed.options import own_limit_option, sort_option
from ledger.cli.typed.sources import Names
from ledger.cli.typed.target import Target, pass_target
from ledger.cli.typed.times import MOMENT_OR_POSITION
from ledger.log.plain import unstructure
from ledger.log.text import show_time, visible
from projections.changes import Change, diff
from projections.cli.choosing import Choice, choice, cleared
from projections.cursors import Moment, bounds_until, each_as_of, last_position
from projections.cursors import as_of as cursor_as_of

__all__ = ["as_of", "show_diff"]

T = TypeVar("T")


@click.command("as-of")
@click.argument("moment", type=MOMENT_OR_POSITION)
@choice
@sort_option
@own_limit_option
@form_options
@pass_target
@click.pass_context
def as_of(
    context: click.Context, target: Target, moment: Moment, chosen: Choice, form: Form | None
) -> None:
    """Show where cursors stood at MOMENT: one that is named, those that are chosen, or all.

    MOMENT is a time, how long ago (90m, 7d), or a bare number: a position of the log.
    """
    progress = Progress()
    with target.open() as book:
        _check(book, moment)
        if chosen.key is None:
            then = each_as_of(book, moment, chosen.cursors(book))
            cursors = cleared(_counted(then, progress), progress)
            show(cursors, CURSORS, form, of=[Cursor], names=Names(book))
            say_what_is_not_settled(book)
            return
        book.get(chosen.key)
        cursor = cursor_as_of(book, chosen.key, moment)
        if cursor is None:
            say(
                f"cursor-ledger: {visible(str(chosen.key))} had no entries at that moment.",
                err=True,
            )
            context.exit(EXIT_NO_CURSOR)
        show_one(cursor, CURSORS, form, names=Names(book))


@click.command("diff")
@click.argument("earlier", type=MOMENT_OR_POSITION)
@click.argument("later", type=MOMENT_OR_POSITION, required=False)
@cursor_filters
@sort_option
@own_limit_option
@form_options
@pass_target
def show_diff(
    target: Target,
    earlier: Moment,
    later: Moment | None,
    consumer: str,
    stream: str,
    subject: str,
    form: Form | None,
) -> None:
    """Show what changed between two moments, cursor by cursor.

    A moment is a time, how long ago (90m, 7d), or a bare number: a position of the log. Without
    LATER, it is the end of the log.
    """
    query = CursorQuery(consumer_id=consumer, stream_name=stream, subject_id=subject)
    progress = Progress()
    with target.open() as book:
        _check(book, *(each for each in (earlier, later) if each is not None))
        changes = diff(book, earlier, last_position(book) if later is None else later, query)
        counted = cleared(_counted(changes, progress), progress)
        if fitting(form) is Form.CSV:
            show(counted, _CHANGES, form, of=_IN_CSV, plain=_plain, names=Names(book))
        else:
            show(counted, _CHANGES, form, of=[Change], names=Names(book))
        say_what_is_not_settled(book)


def _check(book: Ledger, *moments: Moment) -> None:
    """Refuse a position that no entry has yet; say of a time to come that it stands for now.

    Raises UsageError, InvalidCursorError.
    """
    last = last_position(book)
    for moment in moments:
        bounds_until(moment)
        if isinstance(moment, datetime):
            if moment > book.now():
                say(f"{show_time(moment)} is still to come: now stands for it", err=True)
        elif moment > last:
            there = f"the last one is {last}" if last else "it has none at all"
            raise click.UsageError(
                f"The ledger has no entry {moment} yet: {there}. For where cursors stand now, "
                "write now."
            )


def _counted(values: Iterable[T], progress: Progress) -> Iterator[T]:
    for count, value in enumerate(values, 1):
        progress.say(f"{count:,} cursors looked at")
        yield value


def _plain(change: Change) -> dict[str, Any]:
    return spread(unstructure(change), "before", "after")


_IN_CSV = [
    *(name for name in names_of(Change) if name not in {"before", "after"}),
    *(
        f"{moment}_{field.name}"
        for moment in ("before", "after")
        for field in attrs.fields(Cursor)
        if field.name != "key"
    ),
]
"""A line of CSV has a cell for each field of the cursor at each moment."""


def _standing(cursor: Cursor | None) -> str:
    return "–" if cursor is None else str(cursor.last_sequence)


def _place(cursor: Cursor | None) -> tuple[CursorKey, int, str] | None:
    return None if cursor is None else (cursor.key, cursor.last_sequence, cursor.last_delivery_id)


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


_CHANGES = [
    *OWNER,
    Column(
        "from",
        lambda change: _standing(change.before),
        lambda change: _place(change.before),
        kind=Kind.NUMBER,
        field="before.last_sequence",
    ),
    Column(
        "to",
        lambda change: _standing(change.after),
        lambda change: _place(change.after),
        kind=Kind.NUMBER,
        field="after.last_sequence",
    ),
    Column(
        "moved",
        lambda change: f"{change.moved:+,}" if change.moved else "0",
        kind=Kind.NUMBER,
        spared=2,
    ),
    Column("entries", lambda change: f"{change.entries:,}", kind=Kind.NUMBER, spared=2),
    Column("resets", lambda change: _count(change.resets), kind=Kind.NUMBER),
    Column("takeovers", lambda change: _count(change.takeovers), kind=Kind.NUMBER, spared=1),
    Column("errors", lambda change: colour(_count(change.errors), "red"), kind=Kind.NUMBER),
]
