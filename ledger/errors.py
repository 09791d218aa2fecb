"""The errors. Every one that leaves this package is a LedgerError.

A refusal carries its facts as attributes; its message says them, and the next step. All of them
survive pickling and copying, so that a worker process can hand one back. Where only the message
comes back, as out of Celery's JSON, the error can be made of it; its attributes are None then.
"""

from __future__ import annotations

__all__ = [
    "BrokenChainError",
    "DivergedError",
    "InvalidCursorError",
    "LedgerBusyError",
    "LedgerError",
    "SchemaVersionError",
    "StorageError",
    "UnknownOutcomeError",
]


class LedgerError(Exception):
    """Anything that this package refuses or cannot do."""

    def __repr__(self) -> str:
        """Show the message, cut: in a log it may stand beside many."""
        name, said = type(self).__name__, repr(str(self))
        return f"{name}({said if len(said) <= SHOWN_MAX else said[:SHOWN_MAX] + '…'})"


class InvalidCursorError(LedgerError, ValueError):
    """A value that no cursor, request or query can have; nothing was looked up or changed."""


class BrokenChainError(LedgerError):
    """The log contradicts itself: it was damaged, or edited behind the ledger's back."""

    place: str | None = None
    fault: str | None = None

    def __init__(self, place: str, fault: str | None = None) -> None:
        if fault is None:
            super().__init__(place)
            return
        super().__init__(f"{place}: {fault}. Run verify() to see every fault.")
        self.place = place
        self.fault = fault


class DivergedError(LedgerError):
    """Two logs that should be the same are not, so that one cannot be brought on to the other."""


class StorageError(LedgerError):
    """The database could not do it; what was asked for has not happened unless it says so."""


class LedgerBusyError(StorageError):
    """Others held the database for longer than the busy time-out; try again."""


class SchemaVersionError(StorageError):
    """The tables were made by a newer version of this package, or are not there at all."""


class UnknownOutcomeError(StorageError):
    """A commit was cut off, or failed half-way: the entry was appended, or it was not."""


SHOWN_MAX = 160
