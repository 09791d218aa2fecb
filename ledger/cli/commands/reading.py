"""The commands that show what is in the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import attrs
import click

from ledger.cli.shown.columns import ENTRIES
from ledger.cli.shown.forms import Form, fitting, form_options, show, show_one
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.sentences import say
from ledger.cli.shown.tables import Column
from ledger.cli.shown.waiting import say_what_is_not_settled, waited_for
from ledger.cli.typed.filters import chosen_entries, entry_filters, entry_query, no_reserved_option
from ledger.cli.typed.keys import cursor_arguments, key
from ledger.cli.typed.options import limit_option, since_option, sort_option, until_option
from ledger.cli.typed.sources import Names
from ledger.cli.typed.target import Target, pass_target
from ledger.law.events import Entry
from ledger.law.queries import EntryQuery
from ledger.law.reserved import is_reserved

__all__ = ["entries", "history", "status"]


@click.command()
@cursor_arguments
@since_option
@until_option
@click.option("--newest-first", is_flag=True, help="Show the newest entry first.")
@sort_option
@limit_option
@form_options
@pass_target
def history(
    target: Target,
    consumer: str,
    stream: str | None,
    subject: str,
    since: datetime | None,
    until: datetime | None,
    newest_first: bool,
    limit: int,
    form: Form | None,
) -> None:
    """Show the entries of one cursor: all, or those of a span of time.

    With --limit, they are the oldest; with --newest-first as well, the newest.
    """
    cursor = key(consumer, stream, subject)
    with target.open() as book:
        entries = book.get(cursor).version
        query = EntryQuery(
            key=cursor,
            recorded_from=since,
            recorded_until=until,
            newest_first=newest_first,
            limit=limit,
        )
        show(book.entries(query), ENTRIES, form, of=[Entry], names=Names(book))
    is_whole = since is None and until is None
    if is_whole and not newest_first and 0 < limit < entries and fitting(form) in TABLES:
        say(
            f"These are the oldest of {entries:,} entries; --newest-first shows the newest.",
            err=True,
        )


@click.command()
@entry_filters
@no_reserved_option
@click.option("--newest-first", is_flag=True, help="Show the newest entry first.")
@sort_option
@limit_option
@form_options
@pass_target
def entries(
    target: Target,
    /,
    no_reserved: bool,
    newest_first: bool,
    limit: int,
    form: Form | None,
    **given: Any,
) -> None:
    """Show the entries of the log by position: all, or those that match every option.

    Among them are those of the ledger's own, such as how far streams went.
    """
    own = 0

    def counted(found: Iterable[Entry]) -> Iterator[Entry]:
        nonlocal own
        for entry in found:
            own += is_reserved(entry.key.consumer_id)
            yield entry

    with target.open() as book:
        query = attrs.evolve(entry_query(book, **given), newest_first=newest_first, limit=limit)
        found = chosen_entries(book, query, reserved=not no_reserved)
        show(counted(found), ENTRIES, form, of=[Entry], names=Names(book))
        say_what_is_not_settled(book)
    # A reader who names the consumer has asked for them.
    if own and not query.consumer_id and fitting(form) in TABLES:
        are = "is" if own == 1 else "are"
        say(f"{own:,} of these {are} the ledger's own: --no-reserved leaves them out", err=True)


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


TABLES = (Form.TABLE, Form.WIDE)

_HORIZON = [
    Column("settled", lambda horizon: str(horizon.position), kind=Kind.NUMBER, field="position"),
    Column("last", lambda horizon: str(horizon.last), kind=Kind.NUMBER),
    Column(
        "waiting for", lambda horizon: "; ".join(map(waited_for, horizon.waiting)), field="waiting"
    ),
]
