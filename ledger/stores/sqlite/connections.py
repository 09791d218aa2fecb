"""What the store asks of those who hold connections: a pool of our own, or a caller."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from ledger.stores.sqlite.session import SQLiteSession

__all__ = ["Connections"]

T = TypeVar("T")


class Connections(Protocol):
    """Lends sessions for a piece of work."""

    def read(self, work: Callable[[SQLiteSession], T]) -> T:
        """Run `work`, which only reads."""

    def write(self, work: Callable[[SQLiteSession], T]) -> T:
        """Run `work` in one transaction; if it raises, nothing has happened."""

    def hold(self) -> AbstractContextManager[SQLiteSession]:
        """Lend one session that sees one moment."""

    def borrow(self, connection: object) -> Connections:
        """Lend the caller's own connection instead."""

    def close(self) -> None:
        """Lend no more."""
