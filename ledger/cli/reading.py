"""The commands that show what is in the ledger."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import attrs
import click

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
from ledger.errors import InvalidCursorError
from ledger.evidence.findings import Fault, Verification
from ledger.evidence.merkle import Checkpoint
from ledger.law.cursor import Cursor
from ledger.law.events import Entry
from ledger.law.queries import CursorQuery, EntryQuery
from ledger.log.json import unstructure
from ledger.log.text import dumps, loads, visible, visible_json
from ledger.service import Ledger

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
        show(book.cursors(query), CURSORS, form, of=[Cursor])


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
        show(book.entries(query), ENTRIES, form, of=[Entry])


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
        show(book.entries(query), ENTRIES, form, of=[Entry])
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
    "kept_in",
    type=click.File("rb"),
    multiple=True,
    help="A file of checkpoints that were kept: the entries under each must be the same still. "
    "Repeatable.",
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
    kept_in: tuple[BinaryIO, ...],
    repair: bool,
    form: Form | None,
) -> None:
    """Check the tables, every chain, and every stored cursor against its entries.

    All faults are listed; then the exit code is 5. What it covered is said as well: how many
    entries no checkpoint vouches for, and what is odd but no fault. Only stored cursors can be
    repaired, and only where their entries are sound: the log itself is never changed.
    """
    kept = [each for file in kept_in for each in _checkpoints(file)]
    progress = Progress()
    with target.open() as book:
        if repair:
            _repair(book, progress)
        found = book.verify(
            [checkpoint for _, checkpoint in kept],
            progress=lambda done: progress.say(f"{done:,} entries checked"),
        )
    progress.clear()
    form = form or (Form.TABLE if sys.stdout.isatty() else Form.JSONL)
    if form in (Form.JSON, Form.JSONL):
        click.echo(visible_json(dumps({"ok": found.ok, **unstructure(found)})))
    else:
        result: Sequence[object] = found.faults
        if form is Form.CSV and found.ok:
            fine = dict.fromkeys(field.name for field in attrs.fields(Fault))
            detail = f"{_size(found)}, root {_root(found)}"
            result = [{**fine, "kind": "ok", "place": "the log", "detail": detail}]
        show(result, _FAULTS, form, of=[Fault], none="")
    if found.ok and form is Form.TABLE:
        click.echo(f"ok: {_size(found)}, root {_root(found)}")
    if form in (Form.TABLE, Form.CSV):
        for line in _covered(found, [name for name, _ in kept]):
            click.echo(line, err=form is Form.CSV)
    if not found.ok:
        click.echo(f"{_count(len(found.faults), 'fault')} in {_size(found)}.", err=True)
        context.exit(EXIT_NOT_VERIFIED)


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


def _covered(found: Verification, names: list[str]) -> Iterator[str]:
    for anomaly in found.anomalies:
        yield f"odd, but no fault: {visible(str(anomaly))}"
    for name, compared in zip(names, found.against, strict=True):
        yield f"{visible(name)}: {compared.standing}, {_entries(compared.checkpoint.entries)}"
    if found.unsettled:
        yield (
            f"{_entries(found.unsettled)} not settled yet: an open transaction may still append "
            "before them, so the root does not cover them"
        )
    if found.unvouched and found.ok:
        newer = " newer than every checkpoint" if names else ""
        yield (
            f"{_entries(found.unvouched)}{newer}: only the database vouches for them. "
            "Keep a checkpoint elsewhere."
        )


def _root(found: Verification) -> str:
    return found.checkpoint.root.hex()


def _size(found: Verification) -> str:
    return f"{_entries(found.entries)} of {_count(found.cursors, 'cursor')}"


def _entries(number: int) -> str:
    return f"{number:,} {'entry' if number == 1 else 'entries'}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _checkpoints(file: BinaryIO) -> Iterator[tuple[str, Checkpoint]]:
    """Return the checkpoints in a file, one JSON object a line, each with where it stands."""
    number = 0
    while line := file.readline(CHECKPOINT_BYTES_MAX):
        number += 1
        if line.strip():
            place = file.name if number == 1 else f"{file.name} line {number}"
            yield place, _checkpoint(place, line)
    if not number:
        raise InvalidCursorError(f"{file.name} is empty; cursor-ledger checkpoint prints one.")


def _checkpoint(place: str, line: bytes) -> Checkpoint:
    try:
        kept: Any = loads(line)
        first = kept.get("first")
        return Checkpoint(
            entries=kept["entries"],
            position=kept["position"],
            root=bytes.fromhex(kept["root"]),
            first=None if first is None else bytes.fromhex(first),
        )
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        why = f" ({error})" if isinstance(error, InvalidCursorError) else ""
        raise InvalidCursorError(
            f"{place} is not a checkpoint{why}; cursor-ledger checkpoint prints one."
        ) from None


CHECKPOINT_BYTES_MAX = 4_096
