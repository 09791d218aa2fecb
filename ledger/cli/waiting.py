"""What readers wait for: transactions that may still append before what is settled."""

from __future__ import annotations

import click

from ledger.cli.columns import show_time
from ledger.log.text import visible
from ledger.service import Ledger
from ledger.stores import Waiting

__all__ = ["say_what_is_not_settled", "waited_for"]


def waited_for(waiting: Waiting) -> str:
    """Name a transaction that readers wait for."""
    if waiting.process is None:
        return "a prepared transaction"
    since = "" if waiting.since is None else f" since {show_time(waiting.since)}"
    return f"{visible(waiting.application) or 'a transaction'}, process {waiting.process}{since}"


def say_what_is_not_settled(book: Ledger) -> None:
    """Say, beside the entries that are shown, that there are more, and what they wait for."""
    horizon = book.horizon()
    if horizon.waiting and horizon.position < horizon.last:
        names = "; ".join(map(waited_for, horizon.waiting))
        click.echo(
            f"settled up to position {horizon.position:,} of {horizon.last:,}; what is behind "
            f"waits for the end of {names}",
            err=True,
        )
