"""The commands that show what is in the ledger."""

from __future__ import annotations

import sys
from typing import Any, BinaryIO

import attrs
import click

from ledger.chain import Checkpoint
from ledger.cli.filters import cursor_filters, entry_filters, entry_query, limit_option
from ledger.cli.output import (
    CURSORS,
    ENTRIES,
    Column,
    Form,
    Progress,
    form_options,
    say_whom_it_waits_for,
    show,
    show_one,
    waited_for,
)
from ledger.cli.parameters import (
    EXIT_NOT_VERIFIED,
    Target,
    cursor_arguments,
    key,
    pass_target,
)
from ledger.codec import dumps, loads, unstructure, visible
from ledger.cursor import CursorQuery
from ledger.errors import InvalidCursorError
from ledger.events import EntryQuery
from ledger.service import Ledger
from ledger.verification import Verification

__all__ = ["commands"]


@click.command("show")
@cursor_arguments
@form_options
@pass_target
def show_cursor(
    target: Target, consumer: str, stream: str, subject: str, form: Form | None
) -> None:
    """Show where one cursor stands."""
    with target.open() as book:
        show_one(book.get(key(consumer, stream, subject)), CURSORS, form)


@click.command("list")
@cursor_filters
@limit_option
@form_options
@pass_target
def list_cursors(
    target: Target, consumer: str, stream: str, subject: str, limit: int, form: Form | None
) -> None:
    """List the cursors, by stream, subject and consumer."""
    query = CursorQuery(consumer_id=consumer, stream_name=stream, subject_id=subject, limit=limit)
    with target.open() as book:
        show(book.cursors(query), CURSORS, form)


@click.command()
@cursor_arguments
@click.option("--newest-first", is_flag=True, help="Begin with the last entry.")
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
    """Show everything that ever happened to one cursor."""
    cursor = key(consumer, stream, subject)
    with target.open() as book:
        book.get(cursor)
        query = EntryQuery(key=cursor, newest_first=newest_first, limit=limit)
        show(book.entries(query), ENTRIES, form)


@click.command()
@entry_filters
@click.option("--newest-first", is_flag=True, help="Begin with the last entry.")
@limit_option
@form_options
@pass_target
def entries(
    target: Target, /, newest_first: bool, limit: int, form: Form | None, **given: Any
) -> None:
    """Show the entries of the log, in order; all, or those that fit every option given."""
    query = attrs.evolve(entry_query(**given), newest_first=newest_first, limit=limit)
    with target.open() as book:
        show(book.entries(query), ENTRIES, form)
        say_whom_it_waits_for(book)


@click.command()
@form_options
@pass_target
def status(target: Target, form: Form | None) -> None:
    """Show how far the log is settled, and which transactions its readers wait for.

    Behind a transaction that has yet to commit, entries are not shown before it ends, so that
    whoever follows the log misses none of them. That is so on PostgreSQL only.
    """
    with target.open() as book:
        show_one(book.horizon(), _HORIZON, form)


@click.command()
@click.option(
    "--against",
    type=click.File("rb"),
    help="A checkpoint that was kept: the entries under it must be the same still.",
)
@click.option(
    "--repair",
    is_flag=True,
    help="First make each stored cursor that differs anew from its entries, and say which.",
)
@form_options
@pass_target
@click.pass_context
def verify(
    context: click.Context,
    target: Target,
    against: BinaryIO | None,
    repair: bool,
    form: Form | None,
) -> None:
    """Check every chain, and every stored cursor against its entries.

    All faults are listed; then the exit code is 5. Only stored cursors can be repaired, and only
    where their entries are sound: the log itself is never changed.
    """
    kept = None if against is None else _checkpoint(against)
    progress = Progress()
    with target.open() as book:
        if repair:
            _repair(book, progress)
        found = book.verify(kept, progress=lambda done: progress.say(f"{done:,} entries checked"))
    progress.clear()
    if form in (Form.JSON, Form.JSONL) or (form is None and not sys.stdout.isatty()):
        click.echo(dumps({"ok": found.ok, **unstructure(found)}))
    elif found.faults:
        show(found.faults, _FAULTS, form)
    if not found.ok:
        click.echo(
            f"{_count(len(found.faults), 'fault')} in {_size(found)}.",
            err=True,
        )
        context.exit(EXIT_NOT_VERIFIED)
    if form is Form.TABLE or (form is None and sys.stdout.isatty()):
        click.echo(f"ok: {_size(found)}, root {found.checkpoint.root.hex()}")


@click.command()
@pass_target
def checkpoint(target: Target) -> None:
    """Print the Merkle root over all entries, to be kept elsewhere for verify --against."""
    with target.open() as book:
        click.echo(dumps(unstructure(book.checkpoint())))
        say_whom_it_waits_for(book)


commands = [show_cursor, list_cursors, history, entries, status, verify, checkpoint]

_HORIZON = [
    Column("settled", lambda horizon: str(horizon.position)),
    Column("last", lambda horizon: str(horizon.last)),
    Column("waiting for", lambda horizon: "; ".join(map(waited_for, horizon.waiting))),
]

_FAULTS = [
    Column("fault", lambda fault: fault.kind),
    Column("position", lambda fault: "" if fault.position is None else str(fault.position)),
    Column("cursor", lambda fault: visible(fault.place)),
    Column("detail", lambda fault: visible(fault.detail)),
]


def _repair(book: Ledger, progress: Progress) -> None:
    made = book.rebuild(progress=lambda done: progress.say(f"{done:,} entries read"))
    progress.clear()
    for fault in made.repaired:
        click.echo(f"repaired: {visible(fault.place)}: {visible(fault.detail)}", err=True)
    for fault in made.left:
        click.echo(f"left as it is: {visible(fault.place)}: {visible(fault.detail)}", err=True)
    click.echo(
        f"{_count(len(made.repaired), 'stored cursor')} of {made.cursors:,} made anew", err=True
    )


def _size(found: Verification) -> str:
    entries = "entry" if found.entries == 1 else "entries"
    return f"{found.entries:,} {entries} of {_count(found.cursors, 'cursor')}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _checkpoint(file: BinaryIO) -> Checkpoint:
    kept: Any = loads(file.read(4_096))
    try:
        return Checkpoint(
            entries=kept["entries"], position=kept["position"], root=bytes.fromhex(kept["root"])
        )
    except (TypeError, KeyError, ValueError):
        raise InvalidCursorError(
            f"{file.name} is not a checkpoint; cursor-ledger checkpoint prints one."
        ) from None
