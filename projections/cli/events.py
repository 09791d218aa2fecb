"""The command that tells what happened on one stream: who passed what, when, with what outcome."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import click

from ledger import (
    CursorAdvanced,
    CursorKey,
    CursorNotFoundError,
    CursorQuery,
    CursorReset,
    CursorStarted,
    Entry,
    EntryQuery,
    ErrorRecorded,
    Ledger,
)
from ledger.cli.process.hosts import command_name
from ledger.cli.shown.columns import OWNER, with_metadata
from ledger.cli.shown.forms import Form, form_options, show
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.tables import Column, colour
from ledger.cli.shown.waiting import say_what_is_not_settled
from ledger.cli.typed.filters import KINDS, chosen_entries
from ledger.cli.typed.keys import known
from ledger.cli.typed.options import limit_option, since_option, sort_option, until_option
from ledger.cli.typed.sources import POSITION, Names, Position, sequence_of
from ledger.cli.typed.target import Target, pass_target
from ledger.law.reserved import HEAD, is_reserved
from ledger.law.takeovers import is_takeover
from ledger.log.text import visible

__all__ = ["events", "users"]


@click.command()
@click.argument("stream", required=False, metavar="STREAM", shell_complete=known("stream_name"))
@click.argument("subject", default="", shell_complete=known("subject_id"))
@click.option(
    "--consumer",
    default="",
    shell_complete=known("consumer_id"),
    help="Only what this consumer did.",
)
@since_option
@until_option
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(list(KINDS)),
    multiple=True,
    help="Only this kind. Repeatable.",
)
@click.option(
    "--sequence",
    "covering",
    type=POSITION,
    metavar="SEQUENCE",
    help="Only what passed this sequence, or this position of the stream.",
)
@click.option(
    "--reserved",
    is_flag=True,
    help="Also entries of the ledger's own, such as how far the stream went.",
)
@click.option("--newest-first", is_flag=True, help="Show the newest first.")
@sort_option
@limit_option
@form_options
@pass_target
def events(
    target: Target,
    /,
    stream: str | None,
    subject: str,
    consumer: str,
    since: datetime | None,
    until: datetime | None,
    kinds: tuple[str, ...],
    covering: int | Position | None,
    reserved: bool,
    newest_first: bool,
    limit: int,
    form: Form | None,
) -> None:
    """Show what happened on one stream, in order: which consumer passed what, and when.

    Of the whole stream, or of one subject. `entries` shows the same of several streams, with the
    positions and versions of the log. Of what an advance has passed, it tells the outcome of the
    last alone: `last delivered` beside 43–45. What was jumped over is told by `explain` and `gaps`.
    """
    if stream is None:
        raise click.UsageError(
            f"Name a STREAM. What happened on all of them: {command_name()} entries --since 1h, or "
            f"{command_name()} diff 1h"
        )
    place = CursorKey("any", stream, subject)
    with target.open() as book:
        query = EntryQuery(
            consumer_id=consumer,
            stream_name=place.stream_name,
            subject_id=place.subject_id,
            kinds=[KINDS[kind] for kind in kinds],
            recorded_from=since,
            recorded_until=until,
            covering=None if covering is None else sequence_of(book, place, covering),
            newest_first=newest_first,
            limit=limit,
        )
        _expect(book, place)
        chosen = chosen_entries(book, query, reserved=reserved)
        show(chosen, _EVENTS, form, of=[Entry], names=Names(book))
        say_what_is_not_settled(book)


def _expect(book: Ledger, place: CursorKey) -> None:
    """Refuse a stream or a subject that no cursor is on. Raises CursorNotFoundError."""
    query = CursorQuery(
        stream_name=place.stream_name, subject_id=place.subject_id, limit=1, reserved=True
    )
    if any(True for _ in book.cursors(query)):
        return
    subject = f", subject {place.subject_id!r:.80}" if place.subject_id else ""
    raise CursorNotFoundError(
        f"No cursor is on stream {place.stream_name!r:.80}{subject}. Run {command_name()} list to "
        "see the cursors that there are."
    )


def _passed(entry: Entry) -> str:
    said = ""
    match entry.event:
        case CursorAdvanced(sequence=end) if entry.key.consumer_id == HEAD:
            said = f"up to {end}"
        case CursorAdvanced(previous_sequence=start, sequence=end):
            said = f"{end} again" if start == end else _range(start + 1, end)
        case CursorReset(previous_sequence=start, sequence=end):
            said = f"at {end}" if is_takeover(entry) else f"{start} → {end}"
        case CursorStarted(sequence=end):
            said = f"from {end}"
        case ErrorRecorded():
            pass
    return said


def _range(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first}–{last}"


def _outcome(entry: Entry) -> str:
    said = _bare_outcome(entry)
    match entry.event:
        # Of what an advance has passed, the outcome is that of the last alone.
        case CursorAdvanced(previous_sequence=start, sequence=end) if end - start > 1:
            return said if entry.key.consumer_id == HEAD else f"last {said}"
        case _:
            return said


def _bare_outcome(entry: Entry) -> str:
    """Return the outcome alone, where the table has no room to say whose it is."""
    said = ""
    match entry.event:
        case CursorAdvanced() if entry.key.consumer_id == HEAD:
            said = "head"
        case CursorAdvanced(outcome=outcome):
            said = outcome.value
        case CursorReset():
            said = colour("taken over" if is_takeover(entry) else "reset", "yellow")
        case CursorStarted():
            said = colour("started", "yellow")
        case ErrorRecorded():
            said = colour("failed", "red")
    return said


def _detail(entry: Entry) -> str:
    said = ""
    match entry.event:
        case CursorAdvanced(delivery_id=said) | ErrorRecorded(message=said):
            pass
        case CursorReset(reason=reason) | CursorStarted(reason=reason):
            said = f"by {entry.actor}: {reason}"
    return with_metadata(said, users(entry.metadata))


def users(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return what of `metadata` is not the ledger's own."""
    return {name: value for name, value in metadata.items() if not is_reserved(name)}


def _place(entry: Entry) -> tuple[CursorKey, int, str] | None:
    event = entry.event
    # A token is shown as the delivery, in the detail.
    return None if isinstance(event, ErrorRecorded) else (entry.key, event.sequence, "")


_EVENTS = [
    Column("recorded", lambda entry: entry.recorded_at, kind=Kind.TIME),
    *(column for column in OWNER if column.heading != "stream"),
    Column("passed", _passed, _place, kind=Kind.WORDS),
    Column(
        "outcome",
        _outcome,
        kind=Kind.WORDS,
        bare=Column("outcome", _bare_outcome, kind=Kind.WORDS),
    ),
    Column("detail", _detail),
    Column("actor", lambda entry: visible(entry.actor), kind=Kind.NAME, spared=1),
]
