"""The errors. Every one that leaves this package is a LedgerError.

    LedgerError
    ├── InvalidCursorError (also a ValueError)
    ├── ResetReasonRequiredError
    ├── ActorRequiredError
    ├── CursorExistsError
    ├── NonMonotonicCursorError
    ├── StaleEpochError
    │   └── TakenOverError
    ├── StaleTokenError
    ├── EpochRequiredError
    ├── VersionConflictError
    ├── PolicyUnmetError
    ├── CursorNotFoundError (also a LookupError)
    ├── DeliveringError
    ├── WindowFullError
    ├── BrokenChainError
    ├── DivergedError
    ├── ArchivedError
    ├── UnprovenError
    └── StorageError
        ├── LedgerBusyError
        ├── SchemaVersionError
        └── UnknownOutcomeError

From ResetReasonRequiredError to DeliveringError they carry cursors and requests, so they are
defined in `ledger.law`, above this module; WindowFullError in `ledger.consuming`.

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
    "ArchivedError",
    "BrokenChainError",
    "DivergedError",
    "InvalidCursorError",
    "LedgerBusyError",
    "LedgerError",
    "SchemaVersionError",
    "StorageError",
    "UnknownOutcomeError",
    "UnprovenError",
    "invalid",
    "no_ledger",
]


class LedgerError(Exception):
    """Anything that this package refuses or cannot do.

    >>> import ledger
    >>> try:
    ...     ledger.CursorKey("", "orders")
    ... except ledger.LedgerError as error:
    ...     print(type(error).__name__)
    InvalidCursorError
    """

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

    >>> import ledger
    >>> try:
    ...     ledger.AdvanceCursor(ledger.CursorKey("webhooks", "orders"), -1)
    ... except ledger.InvalidCursorError as error:
    ...     print(error)
    last_sequence must be from 1 to 9223372036854775807, not -1.
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

    `place` names the cursor or the row, and `fault` what is wrong there.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursors = [book.advance(key, to=to) for to in (41, 44)]
    ...     first, second = book.history(key)
    ...     try:
    ...         ledger.fold([second])
    ...     except ledger.BrokenChainError as error:
    ...         print(error.fault)
    its version is 2, but 1 comes next
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
    """Two logs that should be the same differ, so neither can be completed from the other.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book, ledger.open(":memory:") as archive:
    ...     cursors = book.advance(key, to=41), archive.advance(key, to=7)
    ...     try:
    ...         book.copy_to(archive)
    ...     except ledger.DivergedError:
    ...         print("the archive is no copy of this ledger")
    the archive is no copy of this ledger
    """

    __module__ = "ledger"


class ArchivedError(LedgerError):
    """Entries that are asked for were archived, and are no longer in the ledger.

    `position` is that of the last of them. `file` is the archive that has them, with its `sha256`
    in hexadecimal, `actor` who removed them, and `reason` why. They are empty where the ledger does
    not say that. `key` is the cursor that was asked for; None where it was no single one.

    Digests stay: `first` is the position and the digest of the first entry that the ledger had, and
    `last` the version and the digest of the last one of `key` that was removed; None where the
    ledger does not say that.

    >>> import ledger
    >>> error = ledger.ArchivedError(position=812, file="2025.jsonl", actor="ines", reason="a year")
    >>> print(error)  # doctest: +ELLIPSIS
    entries up to position 812 were archived in 2025.jsonl and removed, by ines: a year. What is...
    """

    __module__ = "ledger"

    position: int | None = None
    file: str = ""
    sha256: str = ""
    actor: str = ""
    reason: str = ""
    key: object = None
    first: tuple[int, bytes] | None = None
    last: tuple[int, bytes] | None = None

    def __init__(
        self,
        message: str = "",
        *,
        position: int | None = None,
        file: str = "",
        sha256: str = "",
        actor: str = "",
        reason: str = "",
        key: object = None,
        first: tuple[int, bytes] | None = None,
        last: tuple[int, bytes] | None = None,
    ) -> None:
        if position is None:
            super().__init__(message)
            return
        whose = "entries" if key is None else f"entries of {key}"
        digest = f" (SHA-256 {sha256})" if sha256 else ""
        where = f" in {file}{digest}" if file else ""
        by = f", by {actor}: {reason.rstrip('.')}" if actor else ""
        message = (
            f"{whose} up to position {position} were archived{where} and removed{by}. What is "
            f"left: cursor-ledger entries --from-position {position + 1}. To ask about all of "
            "them, make a ledger of the archive: cursor-ledger --db archive.db import "
            f"{file or 'FILE'} --vkey VKEY."
        )
        super().__init__(message)
        self.position, self.file, self.sha256 = position, file, sha256
        self.actor, self.reason, self.key = actor, reason, key
        self.first, self.last = first, last


class UnprovenError(LedgerError):
    """A note or a proof that is damaged, that nobody who is trusted has signed, or that is false.

    >>> import ledger
    >>> try:
    ...     ledger.open_note("the ledger is sound, believe me", [])
    ... except ledger.UnprovenError as error:
    ...     print(error)
    it is not a signed note: it has no empty line before its signatures.
    """

    __module__ = "ledger"


class StorageError(LedgerError):
    """The database failed; what was asked for has not happened, unless the message says so.

    >>> import ledger, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     try:
    ...         ledger.open(folder)
    ...     except ledger.StorageError:
    ...         print("a folder is no database")
    a folder is no database
    """

    __module__ = "ledger"


class LedgerBusyError(StorageError):
    """Others held the database for longer than the busy time-out; try again.

    >>> import contextlib, ledger, sqlite3, tempfile
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/cursors.db"
    ...     with ledger.open(path, busy_timeout_s=0.01) as book:
    ...         cursor = book.advance(key, to=41)
    ...         with contextlib.closing(sqlite3.connect(path)) as other:
    ...             at = other.execute("BEGIN IMMEDIATE")
    ...             try:
    ...                 book.advance(key, to=44)
    ...             except ledger.LedgerBusyError:
    ...                 print("busy; try again")
    busy; try again
    """

    __module__ = "ledger"


class SchemaVersionError(StorageError):
    """The tables were made by a newer version of this package, or they are missing.

    Where the whole ledger is missing, `place` says where it was looked for.

    >>> import contextlib, ledger, sqlite3, tempfile
    >>> newer = "UPDATE _sqlite_migrations SET name = '9999_newer' WHERE name = '0002_cursors_stay'"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/cursors.db"
    ...     with ledger.open(path) as book:
    ...         cursor = book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
    ...     with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
    ...         changed = other.execute(newer)
    ...     try:
    ...         ledger.open(path)
    ...     except ledger.SchemaVersionError:
    ...         print("upgrade cursor-ledger")
    upgrade cursor-ledger
    """

    __module__ = "ledger"

    place: str | None = None


class UnknownOutcomeError(StorageError):
    """A commit was cut off or failed half-way: either the entry was appended, or it was not.

    >>> import ledger
    >>> def advance_once(book: ledger.Ledger, key: ledger.CursorKey, to: int) -> ledger.Cursor:
    ...     try:
    ...         return book.advance(key, to=to)
    ...     except ledger.UnknownOutcomeError:
    ...         cursor = book.get(key)  # It tells whether the entry was appended.
    ...         return cursor if cursor.last_sequence == to else book.advance(key, to=to)
    >>> with ledger.open(":memory:") as book:
    ...     advance_once(book, ledger.CursorKey("webhooks", "orders"), 41).version
    1
    """

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
    _DEFINED_ABOVE = frozenset(
        {
            "ActorRequiredError",
            "CursorExistsError",
            "CursorNotFoundError",
            "DeliveringError",
            "EpochRequiredError",
            "NonMonotonicCursorError",
            "PolicyUnmetError",
            "ResetReasonRequiredError",
            "StaleEpochError",
            "StaleTokenError",
            "TakenOverError",
            "VersionConflictError",
            "WindowFullError",
        }
    )

    def __getattr__(name):  # noqa: ANN001, ANN202 - hidden from type checkers
        if name in _DEFINED_ABOVE:
            return getattr(sys.modules["ledger"], name)
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
