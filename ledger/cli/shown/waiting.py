"""What readers wait for: transactions that may still append before entries that are there."""

from __future__ import annotations

from ledger.cli.shown.columns import show_time
from ledger.cli.shown.sentences import say
from ledger.log.text import visible
from ledger.service import Ledger
from ledger.stores.horizon import Waiting

__all__ = ["say_what_is_not_settled", "waited_for"]


def waited_for(waiting: Waiting) -> str:
    """Return the name of a transaction that readers wait for."""
    if waiting.process is None:
        return "a prepared transaction"
    since = "" if waiting.since is None else f" since {show_time(waiting.since)}"
    return f"{visible(waiting.application) or 'a transaction'}, process {waiting.process}{since}"


def say_what_is_not_settled(book: Ledger) -> None:
    """Print that some entries are not shown yet, and which transactions they wait for."""
    horizon = book.horizon()
    if horizon.waiting and horizon.position < horizon.last:
        names = "; ".join(map(waited_for, horizon.waiting))
        say(
            f"the log is settled up to position {horizon.position:,} of {horizon.last:,}; later "
            f"entries are shown after the end of {names}",
            err=True,
        )
