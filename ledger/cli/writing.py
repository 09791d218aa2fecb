"""The commands that append to the ledger."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

import attrs
import click

from ledger import codec
from ledger.cli.output import CURSORS, Form, form_options, show_one
from ledger.cli.parameters import (
    MOMENT,
    Target,
    cursor_arguments,
    key,
    metadata_option,
    pass_target,
)
from ledger.codec import visible
from ledger.cursor import Cursor, Outcome
from ledger.errors import CursorNotFoundError, VersionConflictError
from ledger.requests import ResetCursor

__all__ = ["commands"]

_actor = click.option("--actor", default="", help="Who does this; else as for cursor-ledger.")
_version = click.option(
    "--expect-version", type=int, help="Refuse if the cursor is not at this version."
)
_to = click.option("--to", type=int, required=True, metavar="SEQUENCE", help="The new position.")
_delivery_id = click.option("--delivery-id", default="", help="Which delivery this is.")
_delivered_at = click.option("--delivered-at", type=MOMENT, help="When it was delivered.")
_now = click.option("--now", type=MOMENT, help="When this happened; else now.")


@click.command()
@cursor_arguments
@_to
@_delivery_id
@_delivered_at
@click.option(
    "--outcome",
    type=click.Choice([str(outcome) for outcome in Outcome]),
    default=str(Outcome.DELIVERED),
    show_default=True,
    help="What became of what this passes.",
)
@click.option("--epoch", type=int, help="Refuse if the cursor was reset since this epoch.")
@_version
@_now
@_actor
@metadata_option
@form_options
@pass_target
def advance(
    target: Target,
    /,
    consumer: str,
    stream: str,
    subject: str,
    to: int,
    actor: str,
    form: Form | None,
    expect_version: int | None,
    outcome: str,
    **given: Any,
) -> None:
    """Confirm everything up to a sequence."""
    cursor = key(consumer, stream, subject)
    with target.open(actor=actor, make=True) as book:
        after = book.advance(
            cursor, to=to, expected_version=expect_version, outcome=Outcome(outcome), **given
        )
    show_one(after, CURSORS, form)


@click.command()
@cursor_arguments
@click.option("-m", "--message", required=True, help="What went wrong. Secrets in it are masked.")
@_version
@_now
@_actor
@metadata_option
@form_options
@pass_target
def error(
    target: Target,
    /,
    consumer: str,
    stream: str,
    subject: str,
    message: str,
    actor: str,
    form: Form | None,
    expect_version: int | None,
    **given: Any,
) -> None:
    """Record that a delivery failed; the cursor stays where it is."""
    cursor = key(consumer, stream, subject)
    with target.open(actor=actor, make=True) as book:
        after = book.record_error(cursor, message, expected_version=expect_version, **given)
    show_one(after, CURSORS, form)


@click.command()
@cursor_arguments
@_to
@click.option("--reason", required=True, help="Why. It is kept for ever.")
@click.option("--execute", is_flag=True, help="Do it. Without this, the plan is shown.")
@_delivery_id
@_delivered_at
@_version
@_now
@_actor
@metadata_option
@form_options
@pass_target
def reset(
    target: Target,
    consumer: str,
    stream: str,
    subject: str,
    to: int,
    reason: str,
    execute: bool,
    delivery_id: str,
    delivered_at: datetime | None,
    expect_version: int | None,
    now: datetime | None,
    actor: str,
    metadata: dict[str, str],
    form: Form | None,
) -> None:
    """Plan to move a cursor to a sequence, in either direction; with --execute, do it."""
    request = ResetCursor(
        key(consumer, stream, subject),
        to,
        reason,
        last_delivery_id=delivery_id,
        last_delivered_at=delivered_at,
        now=now,
        expected_version=expect_version,
        metadata=metadata,
    )
    with target.open(actor=actor, make=execute) as book:
        try:
            current: Cursor | None = book.get(request.key)
        except CursorNotFoundError:
            current = None
        # What is done is what was planned: nothing may have come in between.
        version = current.version if current else 0
        if expect_version is not None and expect_version != version:
            raise VersionConflictError(current, request)
        request = attrs.evolve(request, expected_version=version)
        if execute:
            [after] = book.append([request])
            show_one(after, CURSORS, form)
        else:
            _show_plan(request, current, form)


def _show_plan(request: ResetCursor, current: Cursor | None, form: Form | None) -> None:
    start = current.last_sequence if current else 0
    to = request.last_sequence
    first, last = min(start, to) + 1, max(start, to)
    crossed = {"first": first, "last": last}
    plan = {
        "key": codec.unstructure(request.key),
        "version": request.expected_version,
        "previous_sequence": start,
        "sequence": to,
        "delivered_again": crossed if to < start else None,
        "passed_over": crossed if to > start else None,
        "reason": request.reason,
        "executed": False,
    }
    if form in (Form.JSON, Form.JSONL) or (form is None and not sys.stdout.isatty()):
        click.echo(codec.dumps(plan))
        return
    size = last - first + 1
    count = f"{size:,} sequence{'s' if size > 1 else ''}, {first} to {last},"
    if to == start:
        effect = "the position stays; the epoch goes on, so consumers must read it again"
    else:
        effect = f"{count} will be {'delivered again' if to < start else 'passed over'}"
    at = f"version {request.expected_version}" if current else "it does not exist yet"
    click.echo(f"{visible(str(request.key))}, {at}")
    click.echo(f"  from    {start}")
    click.echo(f"  to      {to}")
    click.echo(f"  effect  {effect}")
    click.echo(f"  reason  {visible(request.reason)}")
    click.echo(
        "Nothing was changed. To do it, run this again with "
        f"--execute --expect-version {request.expected_version}",
        err=True,
    )


commands = [advance, error, reset]
