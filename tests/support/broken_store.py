"""What stores that do one thing wrong have in common."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import attrs

from ledger.log.heads import Head
from ledger.stores import Draft, Transaction, sqlite
from ledger.stores.deadline import Deadline

__all__ = ["Broken", "BrokenTransaction"]

T = TypeVar("T")


class Broken:
    """A SQLite store that does one thing wrong."""

    def __init__(self, file: str) -> None:
        self.store = sqlite.open_store(file, durability="normal")

    def write(self, work: Callable[[Transaction], T], deadline: Deadline | None = None) -> T:
        return self.store.write(lambda transaction: work(self.within(transaction)), deadline)

    def within(self, transaction: Transaction) -> Any:
        return transaction

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


@attrs.define
class BrokenTransaction:
    """A transaction of SQLite that does one thing wrong."""

    transaction: Transaction

    def append(
        self,
        drafts: Sequence[Draft],
        heads: Collection[Head],
        positions: Sequence[int] | None = None,
    ) -> None:
        self.transaction.append(drafts, heads, positions)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transaction, name)


# --- in a transaction ---
