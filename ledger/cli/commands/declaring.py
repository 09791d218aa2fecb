"""The commands about what positions of a stream are kept as."""

from __future__ import annotations

import click

from ledger.cli.shown.forms import Form, form_options, show, show_one
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.tables import Column
from ledger.cli.typed.keys import known
from ledger.cli.typed.options import actor_option, own_limit_option, sort_option
from ledger.cli.typed.target import Target, pass_target
from ledger.log.text import visible
from ledger.positions import Declared, PositionMapping

__all__ = ["positions"]


@click.group()
def positions() -> None:
    """Show or declare what the positions of a stream are, beside the ledger's sequences.

    \b
    plain       the position is the sequence
    zero-based  offset k, as of Kafka, is sequence k + 1
    lsn         an LSN of PostgreSQL, such as 0/16B3748
    tokens      the ledger numbers them: advance --next --after TOKEN

    Commands then show both, and take a position where they take a sequence: offset:43 is the last
    one confirmed, next-offset:44 the one to go on at, as Kafka commits it; lsn:0/16B3748;
    token:evt_9a.
    """


@positions.command("list")
@sort_option
@own_limit_option
@form_options
@pass_target
def list_positions(target: Target, form: Form | None) -> None:
    """List the streams whose positions were declared."""
    with target.open() as book:
        show(book.positions.list(), _DECLARED, form, of=[Declared])


@positions.command()
@click.argument("stream", shell_complete=known("stream_name"))
@click.argument("mapping", type=click.Choice([str(mapping) for mapping in PositionMapping]))
@click.option("--reason", default="", help="Why another one is declared. Kept for ever.")
@actor_option
@form_options
@pass_target
def declare(
    target: Target,
    stream: str,
    mapping: str,
    reason: str,
    actor: str | None,
    form: Form | None,
) -> None:
    """Declare what the positions of STREAM are.

    That is kept in the ledger, and changes no cursor. To declare the same again changes nothing;
    another one needs a --reason.
    """
    with target.open(actor=actor, make=True) as book:
        show_one(book.positions.declare(stream, mapping, reason=reason), _DECLARED, form)


_DECLARED = [
    Column(
        "stream", lambda declared: visible(declared.stream_name), kind=Kind.NAME, of_cursor=True
    ),
    Column("positions", lambda declared: declared.mapping.value, kind=Kind.WORDS, field="mapping"),
    Column("declared", lambda declared: declared.declared_at, kind=Kind.TIME, field="declared_at"),
    Column(
        "changes",
        lambda declared: str(declared.changes) if declared.changes else "",
        kind=Kind.NUMBER,
    ),
]
