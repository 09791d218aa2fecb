"""The errors. Every one that leaves this package is a LedgerError.

A refusal carries its facts as attributes; its message says them, and the next step. All of them
survive pickling, so that a worker process can hand one back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.cursor import Cursor, CursorKey
    from ledger.requests import AdvanceCursor, Request, ResetCursor

__all__ = [
    "ActorRequiredError",
    "BrokenChainError",
    "CursorNotFoundError",
    "DivergedError",
    "InvalidCursorError",
    "LedgerBusyError",
    "LedgerError",
    "NonMonotonicCursorError",
    "ResetReasonRequiredError",
    "SchemaVersionError",
    "StaleEpochError",
    "StorageError",
    "UnknownOutcomeError",
    "VersionConflictError",
]


class LedgerError(Exception):
    """Anything that this package refuses or cannot do."""


class InvalidCursorError(LedgerError, ValueError):
    """A value that no cursor, request or query can have; nothing was looked up or changed."""


class CursorNotFoundError(LedgerError, LookupError):
    """No entry was ever appended for `key`."""

    def __init__(self, key: CursorKey) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        return f"{self.key} has no cursor: nothing was ever appended for it."


class NonMonotonicCursorError(LedgerError):
    """An advance that would move `current` back, or confirm its place under another delivery id."""

    def __init__(self, current: Cursor, request: AdvanceCursor) -> None:
        super().__init__(current, request)
        self.current = current
        self.request = request

    def __str__(self) -> str:
        at = f"{self.current.key} is at {_place(self.current)}"
        to = self.request.last_sequence
        if to == self.current.last_sequence:
            again = _named(self.request.delivery_id)
            return (
                f"{at}; {to} {again} is another delivery of the same place. "
                "Find out which one the consumer got; confirm that one, or reset the cursor."
            )
        return (
            f"{at}; {to} would move it back. Reset it, with a reason, to deliver again from there."
        )


class StaleEpochError(LedgerError):
    """The consumer read the cursor before it was reset: `request.epoch` is over."""

    def __init__(self, current: Cursor | None, request: AdvanceCursor) -> None:
        super().__init__(current, request)
        self.current = current
        self.request = request

    def __str__(self) -> str:
        now = self.current.epoch if self.current else 0
        return (
            f"{self.request.key} is in epoch {now}, for it was reset; this advance was made in "
            f"epoch {self.request.epoch}. Read the cursor again, and go on from "
            f"{_sequence(self.current)}."
        )


class VersionConflictError(LedgerError):
    """`current` is not at `request.expected_version`: somebody appended in between."""

    def __init__(self, current: Cursor | None, request: Request) -> None:
        super().__init__(current, request)
        self.current = current
        self.request = request

    def __str__(self) -> str:
        now = self.current.version if self.current else 0
        return (
            f"{self.request.key} is at version {now}, not {self.request.expected_version}: "
            "something was appended to it in between. Look at it again, then decide anew."
        )


class ResetReasonRequiredError(LedgerError):
    """A reset without a reason."""

    def __init__(self, key: CursorKey) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        return f"A reset of {self.key} needs a reason; it is kept for ever, so say why."


class ActorRequiredError(LedgerError):
    """A reset that does not say who makes it."""

    def __init__(self, request: ResetCursor) -> None:
        super().__init__(request)
        self.request = request

    def __str__(self) -> str:
        return (
            f"A reset of {self.request.key} needs an actor: pass actor=…, "
            "or give the ledger one when it is opened."
        )


class BrokenChainError(LedgerError):
    """The log contradicts itself: it was damaged, or edited behind the ledger's back."""

    def __init__(self, place: str, fault: str) -> None:
        super().__init__(place, fault)
        self.place = place
        self.fault = fault

    def __str__(self) -> str:
        return f"{self.place}: {self.fault}. Run verify() to see every fault."


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


def _place(cursor: Cursor) -> str:
    return f"{cursor.last_sequence} {_named(cursor.last_delivery_id)}"


def _named(delivery_id: str) -> str:
    return f"({delivery_id})" if delivery_id else "(no delivery id)"


def _sequence(cursor: Cursor | None) -> int:
    return cursor.last_sequence if cursor else 0
