"""Options that choose cursors and entries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from ledger.cli.keys import known
from ledger.cli.sources import POSITION, Position, sequence_of
from ledger.cli.times import MOMENT
from ledger.law.cursor import CursorKey
from ledger.law.events import CursorAdvanced, CursorReset, CursorStarted, ErrorRecorded
from ledger.law.queries import EntryQuery
from ledger.service import Ledger

__all__ = ["cursor_filters", "entry_filters", "entry_query"]

KINDS = {
    "advance": CursorAdvanced,
    "reset": CursorReset,
    "error": ErrorRecorded,
    "start": CursorStarted,
}


def _added(command: Callable[..., Any], *options: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command


def cursor_filters(command: Callable[..., Any], *, repeatable: bool = False) -> Callable[..., Any]:
    """Add `--consumer`, `--stream` and `--subject`; each may be given once, or as often as wanted.

    A command is given texts, or tuples of texts if they are `repeatable`.
    """
    more = " Repeatable." if repeatable else ""
    return _added(
        command,
        *(
            click.option(
                f"--{name}",
                default=() if repeatable else "",
                multiple=repeatable,
                shell_complete=known(part),
                help=f"Only this {name}.{more}",
            )
            for name, part in (
                ("consumer", "consumer_id"),
                ("stream", "stream_name"),
                ("subject", "subject_id"),
            )
        ),
    )


def entry_filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose entries; `entry_query` makes a query of them."""
    return _added(
        cursor_filters(command),
        click.option(
            "--kind",
            "kinds",
            type=click.Choice(list(KINDS)),
            multiple=True,
            help="Only this kind. Repeatable.",
        ),
        click.option(
            "--by", "actor", default="", metavar="ACTOR", help="Only entries of this actor."
        ),
        click.option(
            "--since",
            type=MOMENT,
            help="Recorded at this time or later: a time, or a time ago (90m, 7d).",
        ),
        click.option("--until", type=MOMENT, help="Recorded at this time or earlier."),
        click.option("--from-position", type=int, help="Only from this position of the log on."),
        click.option(
            "--to-position", type=int, help="Only up to this position of the log, included."
        ),
        click.option(
            "--covering",
            type=POSITION,
            metavar="SEQUENCE",
            help="Only entries that passed this sequence, or this position of a --stream.",
        ),
    )


def entry_query(
    book: Ledger,
    /,
    consumer: str,
    stream: str,
    subject: str,
    kinds: tuple[str, ...],
    actor: str,
    since: datetime | None,
    until: datetime | None,
    from_position: int | None,
    to_position: int | None,
    covering: int | Position | None,
) -> EntryQuery:
    """Return the query that the options of `entry_filters` make for `book`."""
    if isinstance(covering, Position):
        if not stream or covering.word.startswith("token:"):
            raise click.UsageError(
                "--covering takes a position of the stream that --stream names, and no token; "
                "explain finds a token."
            )
        covering = sequence_of(book, CursorKey(consumer or "any", stream), covering)
    return EntryQuery(
        consumer_id=consumer,
        stream_name=stream,
        subject_id=subject,
        kinds=[KINDS[kind] for kind in kinds],
        actor=actor,
        recorded_from=since,
        recorded_until=until,
        position_from=from_position,
        position_until=to_position,
        covering=covering,
    )
