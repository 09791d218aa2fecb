"""A ledger for coroutines that is closed where no event loop runs, as at the end of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ledger.aio.ledger import AsyncLedger, close_at_once
from ledger.service import Ledger

__all__ = ["asynchronous"]


@contextmanager
def asynchronous(book: Ledger) -> Iterator[AsyncLedger]:
    """Yield `book` as an AsyncLedger; with the end of the block, both are closed."""
    abook = AsyncLedger(book)
    try:
        yield abook
    finally:
        close_at_once(abook)
