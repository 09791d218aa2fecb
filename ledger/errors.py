"""The errors. Every one that leaves this package is a LedgerError.

    LedgerError
    ├── InvalidCursorError (also a ValueError)
    ├── ResetReasonRequiredError
    ├── ActorRequiredError
    ├── NonMonotonicCursorError
    ├── StaleEpochError
    ├── VersionConflictError
    ├── CursorNotFoundError (also a LookupError)
    ├── BrokenChainError
    ├── DivergedError
    └── StorageError
        ├── LedgerBusyError
        ├── SchemaVersionError
        └── UnknownOutcomeError

From ResetReasonRequiredError to CursorNotFoundError they carry cursors and requests, so they are
defined in `ledger.law`, above this module.

A refusal carries its facts as attributes; its message says the same facts, and the next step. All
errors survive pickling and copying, so a worker process can hand one back. Where only the message
comes back, as out of Celery's JSON, the error can be made from the message; its facts are None.

Each class names `ledger` as its module: that is its public name, which a traceback shows and a
pickle keeps, wherever in the package the class is defined.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

__all__ = [
    "BrokenChainError",
    "DivergedError",
    "InvalidCursorError",
    "LedgerBusyError",
    "LedgerError",
    "SchemaVersionError",
    "StorageError",
    "UnknownOutcomeError",
    "invalid",
    "no_ledger",
]


class LedgerError(Exception):
    """Anything that this package refuses or cannot do."""

    __module__ = "ledger"

    def __repr__(self) -> str:
        """Show the message, cut: in a log it may stand beside many."""
        name, said = type(self).__name__, repr(str(self))
        return f"{name}({said if len(said) <= SHOWN_MAX else said[:SHOWN_MAX] + '…'})"


class InvalidCursorError(LedgerError, ValueError):
    """A value that no cursor, request or query can have; nothing was looked up or changed.

    The message is `subject`, a space and `problem`. Where one field is refused, `field` is its
    name in Python and in JSON, and `subject` contains it: "a name in metadata". `value` is what the
    message says about the given value: an integer as it is (the length, if a text is too long), or
    else a text of at most 80 characters. `bound` is the limit that `value` is beyond, and `allowed`
    are the names that the field or object may have.
    """

    __module__ = "ledger"

    field: str | None = None
    subject: str | None = None
    problem: str | None = None
    value: int | str | None = None
    bound: int | None = None
    allowed: tuple[str, ...] | None = None


class BrokenChainError(LedgerError):
    """The log contradicts itself: it was damaged, or edited behind the ledger's back.

    `place` says where, and `fault` what is wrong there.
    """

    __module__ = "ledger"

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
    """Two logs that should be the same differ, so neither can be completed from the other."""

    __module__ = "ledger"


class StorageError(LedgerError):
    """The database failed; what was asked for has not happened, unless the message says so."""

    __module__ = "ledger"


class LedgerBusyError(StorageError):
    """Others held the database for longer than the busy time-out; try again."""

    __module__ = "ledger"


class SchemaVersionError(StorageError):
    """The tables were made by a newer version of this package, or they are missing.

    Where the whole ledger is missing, `place` says where it was looked for.
    """

    __module__ = "ledger"

    place: str | None = None


class UnknownOutcomeError(StorageError):
    """A commit was cut off or failed half-way: either the entry was appended, or it was not."""

    __module__ = "ledger"


def invalid(
    field: str,
    problem: str,
    *,
    subject: str | None = None,
    value: int | str | None = None,
    bound: int | None = None,
    allowed: tuple[str, ...] | None = None,
) -> InvalidCursorError:
    """Return the refusal of `field` with its facts; without `subject`, that is the field."""
    named = field if subject is None else subject
    error = InvalidCursorError(f"{named} {problem}")
    error.field, error.subject, error.problem = field, named, problem
    error.value, error.bound, error.allowed = value, bound, allowed
    return error


def no_ledger(place: str, cause: object) -> SchemaVersionError:
    """Return the error that says that there is no ledger at `place`, because of `cause`."""
    error = SchemaVersionError(
        f"{place} has no ledger in it ({cause}). Open it once with ledger.open(…) to make one."
    )
    error.place = place
    return error


SHOWN_MAX = 160

if not TYPE_CHECKING:
    # Type checkers find these in `ledger`. Programs and pickles that name them here still work.
    _DEFINED_IN_LAW = frozenset(
        {
            "ActorRequiredError",
            "CursorNotFoundError",
            "NonMonotonicCursorError",
            "ResetReasonRequiredError",
            "StaleEpochError",
            "VersionConflictError",
        }
    )

    def __getattr__(name):  # noqa: ANN001, ANN202 - hidden from type checkers
        if name in _DEFINED_IN_LAW:
            return getattr(sys.modules["ledger"], name)
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
