"""Options that choose cursors and entries."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

import attrs
import click

from ledger.cli.typed.keys import known, known_actors
from ledger.cli.typed.options import since_option, until_option
from ledger.cli.typed.sources import POSITION, Position, sequence_of
from ledger.law.cursor import CursorKey
from ledger.law.events import CursorAdvanced, CursorReset, CursorStarted, Entry, ErrorRecorded
from ledger.law.queries import EntryQuery
from ledger.law.reserved import is_reserved
from ledger.service import Ledger

__all__ = [
    "chosen_entries",
    "cursor_filters",
    "entry_filters",
    "entry_query",
    "no_reserved_option",
]

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


_PARTS = {"consumer": "consumer_id", "stream": "stream_name", "subject": "subject_id"}


def cursor_filters(
    command: Callable[..., Any], *, repeatable: bool | Collection[str] = False
) -> Callable[..., Any]:
    """Add `--consumer`, `--stream` and `--subject`; each may be given once, or as often as wanted.

    A command is given texts, or tuples of texts if they are `repeatable`: all, or those named.
    """
    often = (_PARTS if repeatable else ()) if isinstance(repeatable, bool) else repeatable
    return _added(
        command,
        *(
            click.option(
                f"--{name}",
                default=() if name in often else "",
                multiple=name in often,
                shell_complete=known(part),
                help=f"Only this {name}.{' Repeatable.' if name in often else ''}",
            )
            for name, part in _PARTS.items()
        ),
    )


def entry_filters(
    command: Callable[..., Any], *, repeatable: Collection[str] = ()
) -> Callable[..., Any]:
    """Add the options that choose entries; `entry_query` makes a query of them."""
    return _added(
        cursor_filters(command, repeatable=repeatable),
        click.option(
            "--kind",
            "kinds",
            type=click.Choice(list(KINDS)),
            multiple=True,
            help="Only this kind. Repeatable.",
        ),
        click.option(
            "--by",
            "actor",
            default="",
            metavar="ACTOR",
            shell_complete=known_actors,
            help="Only entries of this actor.",
        ),
        since_option,
        until_option,
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


def no_reserved_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--no-reserved`, for `chosen_entries`."""
    return click.option(
        "--no-reserved",
        is_flag=True,
        help="Leave out entries of the ledger's own, such as how far streams went.",
    )(command)


def chosen_entries(book: Ledger, query: EntryQuery, *, reserved: bool) -> Iterator[Entry]:
    """Yield the entries of a query; if not `reserved`, none of the ledger's own, nor count them."""
    if reserved:
        yield from book.entries(query)
        return
    every = book.entries(attrs.evolve(query, limit=0))
    others = (entry for entry in every if not is_reserved(entry.key.consumer_id))
    yield from islice(others, query.limit if query.limit > 0 else None)


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
