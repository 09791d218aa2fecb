"""The commands that show what is in the ledger."""

from __future__ import annotations

from typing import Any

import attrs
import click

from ledger.cli.columns import CURSORS, ENTRIES
from ledger.cli.filters import cursor_filters, entry_filters, entry_query
from ledger.cli.forms import Form, form_options, show, show_one
from ledger.cli.keys import cursor_arguments, key
from ledger.cli.layout import Kind
from ledger.cli.options import limit_option
from ledger.cli.sources import Names
from ledger.cli.tables import Column
from ledger.cli.target import Target, pass_target
from ledger.cli.waiting import say_what_is_not_settled, waited_for
from ledger.law.cursor import Cursor
from ledger.law.events import Entry
from ledger.law.queries import CursorQuery, EntryQuery

__all__ = ["commands"]


@click.command("show")
@cursor_arguments
@form_options
@pass_target
def show_cursor(
    target: Target, consumer: str, stream: str, subject: str, form: Form | None
) -> None:
    """Show one cursor."""
    with target.open() as book:
        show_one(book.get(key(consumer, stream, subject)), CURSORS, form, names=Names(book))


@click.command("list")
@cursor_filters
@click.option(
    "--reserved", is_flag=True, help="Also cursors of the ledger's own, such as heads of streams."
)
@limit_option
@form_options
@pass_target
def list_cursors(
    target: Target,
    consumer: str,
    stream: str,
    subject: str,
    reserved: bool,
    limit: int,
    form: Form | None,
) -> None:
    """List the cursors, by stream, subject and consumer."""
    query = CursorQuery(
        consumer_id=consumer,
        stream_name=stream,
        subject_id=subject,
        limit=limit,
        reserved=reserved,
    )
    with target.open() as book:
        show(book.cursors(query), CURSORS, form, of=[Cursor], names=Names(book))


@click.command()
@cursor_arguments
@click.option("--newest-first", is_flag=True, help="Show the newest entry first.")
@limit_option
@form_options
@pass_target
def history(
    target: Target,
    consumer: str,
    stream: str,
    subject: str,
    newest_first: bool,
    limit: int,
    form: Form | None,
) -> None:
    """Show all entries of one cursor."""
    cursor = key(consumer, stream, subject)
    with target.open() as book:
        book.get(cursor)
        query = EntryQuery(key=cursor, newest_first=newest_first, limit=limit)
        show(book.entries(query), ENTRIES, form, of=[Entry], names=Names(book))


@click.command()
@entry_filters
@click.option("--newest-first", is_flag=True, help="Show the newest entry first.")
@limit_option
@form_options
@pass_target
def entries(
    target: Target, /, newest_first: bool, limit: int, form: Form | None, **given: Any
) -> None:
    """Show the entries of the log by position: all, or those that match every option."""
    with target.open() as book:
        query = attrs.evolve(entry_query(book, **given), newest_first=newest_first, limit=limit)
        show(book.entries(query), ENTRIES, form, of=[Entry], names=Names(book))
        say_what_is_not_settled(book)


@click.command()
@form_options
@pass_target
def status(target: Target, form: Form | None) -> None:
    """Show up to which position the log is settled, and which transactions readers wait for.

    On PostgreSQL, entries after an open transaction are shown only once it ends, so that a reader
    who follows the log by position misses none. On SQLite the whole log is always settled.
    """
    with target.open() as book:
        show_one(book.horizon(), _HORIZON, form)


commands = [show_cursor, list_cursors, history, entries, status]

_HORIZON = [
    Column("settled", lambda horizon: str(horizon.position), kind=Kind.NUMBER),
    Column("last", lambda horizon: str(horizon.last), kind=Kind.NUMBER),
    Column("waiting for", lambda horizon: "; ".join(map(waited_for, horizon.waiting))),
]
