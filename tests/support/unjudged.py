"""Resets as an older version appends them, which knows no policies."""

from __future__ import annotations

from functools import partial

from ledger import Ledger, ResetCursor
from ledger.stores import Transaction
from ledger.writing.commit import draft_of

__all__ = ["append_unjudged"]


def append_unjudged(book: Ledger, *requests: ResetCursor) -> None:
    """Append resets, each in a transaction of its own, without a look at policies."""

    def append(request: ResetCursor, transaction: Transaction) -> None:
        transaction.hold([request.key])
        draft = draft_of(transaction.head(request.key), request, "older", book.now())
        transaction.append((draft,), (draft[0],))

    for each in requests:
        book._appender.run(partial(append, each))
