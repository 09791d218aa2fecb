"""The command that is run most often, with as few imports as it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ledger.cli.shown.forms import Form, form_options, show_one
from ledger.cli.typed.keys import cursor_arguments, key
from ledger.cli.typed.sources import Names
from ledger.cli.typed.target import Target, pass_target
from ledger.log.text import visible

if TYPE_CHECKING:
    from ledger.cli.shown.tables import Column
    from ledger.law.cursor import Cursor
    from ledger.service import Ledger

__all__ = ["show_cursor"]

TAKEOVERS_MAX = 256
"""How many takeovers in a row are looked behind for an error."""


@click.command("show")
@cursor_arguments
@form_options
@pass_target
def show_cursor(
    target: Target, consumer: str, stream: str | None, subject: str, form: Form | None
) -> None:
    """Show one cursor."""
    with target.open() as book:
        cursor = book.get(key(consumer, stream, subject))
        show_one(cursor, columns, form, names=Names(book))
        if error := _hidden_error(book, cursor):
            # Imported here, because it is rare.
            from ledger.cli.shown.sentences import say

            say(
                f"{visible(str(cursor.key))} failed before it was taken over, and has not moved "
                f"since: {visible(error)}",
                err=True,
            )


def columns() -> list[Column]:
    """Return the columns of the table, which are imported only where one is printed."""
    from ledger.cli.shown.columns import CURSORS

    return CURSORS


def _hidden_error(book: Ledger, cursor: Cursor) -> str:
    """Return the last error before takeovers, which clear that of the cursor and mend nothing."""
    if cursor.last_error or not cursor.epoch:
        return ""
    # Imported here, because most cursors were never reset.
    from ledger.law.events import ErrorRecorded
    from ledger.law.queries import EntryQuery
    from ledger.law.takeovers import is_takeover

    query = EntryQuery(
        key=cursor.key, version_until=cursor.version, newest_first=True, limit=TAKEOVERS_MAX
    )
    for entry in book.entries(query):
        if isinstance(entry.event, ErrorRecorded):
            return entry.event.message
        if not is_takeover(entry):
            break
    return ""
