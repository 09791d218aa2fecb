"""The commands that append to the ledger."""

from __future__ import annotations

from typing import Any

import click

from ledger.cli.shown.columns import CURSORS
from ledger.cli.shown.forms import Form, form_options, show_one
from ledger.cli.typed.keys import cursor_arguments, key
from ledger.cli.typed.names import new_option, refuse_rearranged
from ledger.cli.typed.options import (
    actor_option,
    delivered_at_option,
    delivery_id_option,
    metadata_option,
    now_option,
    version_option,
)
from ledger.cli.typed.sources import POSITION, Names, Position, sequence_of
from ledger.cli.typed.target import Target, pass_target
from ledger.law.cursor import Outcome
from ledger.law.tokens import NEXT

__all__ = ["advance", "error", "start"]

_to = click.option(
    "--to",
    type=POSITION,
    metavar="SEQUENCE",
    help="The sequence to confirm; or its position, if the stream has them: offset:43, "
    "next-offset:44, lsn:0/16B3748.",
)
_next = click.option(
    "--next",
    "numbered",
    is_flag=True,
    help="Confirm the token that --delivery-id names, and number it.",
)
_after = click.option(
    "--after",
    metavar="TOKEN",
    help="With --next: the token before it. Refused unless the cursor's last one is it; leave it "
    "out for the first.",
)

_epoch = click.option("--epoch", type=int, help="Refuse if the cursor was reset since this epoch.")


@click.command()
@cursor_arguments
@_to
@_next
@_after
@delivery_id_option
@delivered_at_option
@click.option(
    "--outcome",
    type=click.Choice([str(outcome) for outcome in Outcome]),
    default=str(Outcome.DELIVERED),
    show_default=True,
    help="What happened to the sequences that this confirms.",
)
@_epoch
@version_option
@new_option
@now_option
@actor_option
@metadata_option
@form_options
@pass_target
def advance(
    target: Target,
    /,
    consumer: str,
    stream: str | None,
    subject: str,
    to: int | Position | None,
    numbered: bool,
    after: str | None,
    actor: str | None,
    form: Form | None,
    expect_version: int | None,
    outcome: str,
    new: bool,
    **given: Any,
) -> None:
    """Confirm everything up to a sequence, or the next token.

    The first advance makes the cursor. It is refused without --new if the same words in another
    order name a cursor that exists.
    """
    if numbered == (to is not None):
        raise click.UsageError("What is confirmed? Add --to, or --next with --delivery-id.")
    if after is not None and not numbered:
        raise click.UsageError("--after is for tokens: add --next, or leave it out.")
    cursor = key(consumer, stream, subject)
    with target.open(actor=actor, make=True) as book:
        if not new:
            refuse_rearranged(book, cursor)
        advanced = book.advance(
            cursor,
            to=NEXT if to is None else sequence_of(book, cursor, to),
            after=after,
            expected_version=expect_version,
            outcome=Outcome(outcome),
            **given,
        )
        show_one(advanced, CURSORS, form, names=Names(book))


@click.command()
@cursor_arguments
@click.option("-m", "--message", required=True, help="What went wrong. Secrets in it are masked.")
@_epoch
@version_option
@new_option
@now_option
@actor_option
@metadata_option
@form_options
@pass_target
def error(
    target: Target,
    /,
    consumer: str,
    stream: str | None,
    subject: str,
    message: str,
    actor: str | None,
    form: Form | None,
    expect_version: int | None,
    new: bool,
    **given: Any,
) -> None:
    """Record that a delivery failed; the cursor keeps its sequence."""
    cursor = key(consumer, stream, subject)
    with target.open(actor=actor, make=True) as book:
        if not new:
            refuse_rearranged(book, cursor)
        after = book.record_error(cursor, message, expected_version=expect_version, **given)
        show_one(after, CURSORS, form, names=Names(book))


@click.command()
@cursor_arguments
@click.option(
    "--at",
    type=POSITION,
    required=True,
    metavar="SEQUENCE",
    help="Where the cursor starts, from 0; or a position, if the stream has them: next-offset:44.",
)
@click.option("--reason", required=True, help="Why it starts there; kept for ever.")
@click.option(
    "--source", default="", help="Where the position was taken from, such as 'kafka group mailer'."
)
@delivery_id_option
@delivered_at_option
@new_option
@now_option
@actor_option
@metadata_option
@form_options
@pass_target
def start(
    target: Target,
    /,
    consumer: str,
    stream: str | None,
    subject: str,
    at: int | Position,
    actor: str | None,
    form: Form | None,
    new: bool,
    **given: Any,
) -> None:
    """Make a cursor that starts at a sequence; what lies before is before the ledger's time.

    A start is not a reset, and is refused if the cursor has an entry already. It is also refused
    without --new if the same words in another order name a cursor that exists.
    """
    cursor = key(consumer, stream, subject)
    with target.open(actor=actor, make=True) as book:
        if not new:
            refuse_rearranged(book, cursor)
        after = book.start(cursor, at=sequence_of(book, cursor, at), **given)
        show_one(after, CURSORS, form, names=Names(book))
