"""What the law raises when it refuses. Each refusal carries its facts as attributes."""

from __future__ import annotations

# Requests and events are named as `ledger.AdvanceCursor`, which imports them when somebody refuses
# one, or asks for the types. To read a cursor needs none of them.
import ledger
from ledger.errors import LedgerError
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.fields import SEQUENCE_MAX

__all__ = [
    "ActorRequiredError",
    "CursorExistsError",
    "CursorNotFoundError",
    "EpochRequiredError",
    "NonMonotonicCursorError",
    "StaleEpochError",
    "StaleTokenError",
    "VersionConflictError",
    "message_alone",
    "named",
]


class CursorNotFoundError(LedgerError, LookupError):
    """No entry was ever appended for `key`.

    >>> import ledger
    >>> with ledger.open(":memory:") as book:
    ...     try:
    ...         book.get(ledger.CursorKey("webhooks", "orders"))
    ...     except ledger.CursorNotFoundError as error:
    ...         print(error.key)
    webhooks/orders
    """

    __module__ = "ledger"

    key: CursorKey | None = None

    def __init__(self, key: CursorKey | str) -> None:
        if isinstance(key, str):
            super().__init__(key)
            return
        super().__init__(f"{key} has no cursor: nothing was ever appended for it.")
        self.key = key


class CursorExistsError(LedgerError):
    """A start of a cursor that has entries already: only its first entry can start it.

    `current` is the cursor as it stands, and `request` the start that was refused. Its history
    begins with a `CursorStarted` if it was started before. Both are None if the error was made of
    its message alone.

    >>> import ledger
    >>> key = ledger.CursorKey("mailer", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     cursor = book.advance(key, to=44)
    ...     try:
    ...         book.start(key, at=41, source="kafka group mailer", reason="moved from Kafka")
    ...     except ledger.CursorExistsError as error:
    ...         print(error.current.last_sequence, error.request.last_sequence)
    44 41
    """

    __module__ = "ledger"

    current: Cursor | None = None
    request: ledger.StartCursor | None = None

    def __init__(self, current: Cursor | str, request: ledger.StartCursor | str = "") -> None:
        if isinstance(current, str) or isinstance(request, str):
            super().__init__(message_alone(current, request))
            return
        entries = "entry" if current.version == 1 else "entries"
        super().__init__(
            f"{current.key} is at {current.last_sequence} {named(current.last_delivery_id)}, and "
            f"has {current.version:,} {entries}, so it cannot start at {request.last_sequence}: "
            "only the first entry of a cursor starts it. To move it there, reset it, with a reason."
        )
        self.current = current
        self.request = request


class NonMonotonicCursorError(LedgerError):
    """An advance that would move `current` back, or confirm its sequence by another delivery id.

    `request` is the advance that was refused. Both are None if the error was made of its message
    alone.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(key, to=44)
    ...     try:
    ...         book.advance(key, to=42)
    ...     except ledger.NonMonotonicCursorError as error:
    ...         print(error.current.last_sequence, error.request.last_sequence)
    44 42
    """

    __module__ = "ledger"

    current: Cursor | None = None
    request: ledger.AdvanceCursor | None = None

    def __init__(self, current: Cursor | str, request: ledger.AdvanceCursor | str = "") -> None:
        if isinstance(current, str) or isinstance(request, str):
            super().__init__(message_alone(current, request))
            return
        super().__init__(_not_back(current, request))
        self.current = current
        self.request = request


class StaleEpochError(LedgerError):
    """The consumer read the cursor before a reset, so `request.epoch` is no longer its epoch.

    `request.epoch` may also be newer than the cursor's: then it was read in another ledger, or in
    this one before it was restored from a backup.

    `current` is the cursor as it stands, None if there is none, and `request` what was refused.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     read = book.advance(key, to=44)
    ...     cursor = book.reset(key, to=41, reason="receiver lost 42 and 43")
    ...     try:
    ...         book.advance(key, to=45, epoch=read.epoch)
    ...     except ledger.StaleEpochError as error:
    ...         print(error.current.epoch, error.request.epoch)
    1 0
    """

    __module__ = "ledger"

    current: Cursor | None = None
    request: ledger.AdvanceCursor | ledger.ConfirmToken | ledger.RecordError | None = None

    def __init__(
        self,
        current: Cursor | str | None,
        request: ledger.AdvanceCursor | ledger.ConfirmToken | ledger.RecordError | str = "",
    ) -> None:
        if isinstance(current, str) or isinstance(request, str):
            super().__init__(message_alone(current, request))
            return
        super().__init__(_of_another_epoch(current, request))
        self.current = current
        self.request = request


class StaleTokenError(LedgerError):
    """A token that does not follow: the cursor's last one is not `request.after`.

    `current` is the cursor as it stands, None if there is none, and `request` what was refused.

    >>> import ledger
    >>> key = ledger.CursorKey("billing", "stripe")
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(key, to=ledger.NEXT, delivery_id="evt_9a")
    ...     try:
    ...         book.advance(key, to=ledger.NEXT, delivery_id="evt_3f", after="evt_77")
    ...     except ledger.StaleTokenError as error:
    ...         print(error.current.last_delivery_id, error.request.after)
    evt_9a evt_77
    """

    __module__ = "ledger"

    current: Cursor | None = None
    request: ledger.ConfirmToken | None = None

    def __init__(
        self, current: Cursor | str | None, request: ledger.ConfirmToken | str = ""
    ) -> None:
        if isinstance(current, str) or isinstance(request, str):
            super().__init__(message_alone(current, request))
            return
        super().__init__(_not_next(current, request))
        self.current = current
        self.request = request


class EpochRequiredError(LedgerError):
    """An advance without an epoch, in a ledger that was opened with `require_epoch=True`.

    `current` is the cursor as it stands, None if there is none, and `request` the advance that was
    refused.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", require_epoch=True) as book:
    ...     try:
    ...         book.advance(key, to=44)
    ...     except ledger.EpochRequiredError as error:
    ...         print(error.request.last_sequence)
    ...     book.advance(key, to=44, epoch=0).last_sequence
    44
    44
    """

    __module__ = "ledger"

    current: Cursor | None = None
    request: ledger.AdvanceCursor | ledger.ConfirmToken | None = None

    def __init__(
        self,
        current: Cursor | str | None,
        request: ledger.AdvanceCursor | ledger.ConfirmToken | str = "",
    ) -> None:
        if isinstance(current, str) or isinstance(request, str):
            super().__init__(message_alone(current, request))
            return
        to = (
            request.delivery_id
            if isinstance(request, ledger.ConfirmToken)
            else request.last_sequence
        )
        super().__init__(
            f"This advance of {request.key} to {to} has no epoch, and this "
            "ledger was opened with require_epoch=True. Pass epoch=…, from the cursor that the "
            "consumer read before it delivered; or deliver with Ledger.consumer, which does so."
        )
        self.current = current
        self.request = request


class VersionConflictError(LedgerError):
    """`current` is not at `request.expected_version`: somebody appended in between.

    `current` is None if there is no cursor. `request` is what was refused.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(key, to=44)
    ...     try:
    ...         book.advance(key, to=45, expected_version=0)
    ...     except ledger.VersionConflictError as error:
    ...         print(error.current.version, error.request.expected_version)
    1 0
    """

    __module__ = "ledger"

    current: Cursor | None = None
    request: ledger.Request | None = None

    def __init__(
        self,
        current: Cursor | str | None,
        request: ledger.AdvanceCursor
        | ledger.ConfirmToken
        | ledger.ResetCursor
        | ledger.RecordError
        | str = "",
    ) -> None:
        if isinstance(current, str) or isinstance(request, str):
            super().__init__(message_alone(current, request))
            return
        now = current.version if current else 0
        super().__init__(
            f"{request.key} is at version {now}, not {request.expected_version}: "
            "something was appended to it in between. Look at it again, then decide anew."
        )
        self.current = current
        self.request = request


class ActorRequiredError(LedgerError):
    """A reset or a start without an actor: neither the request nor the ledger names one.

    `request` is what was refused; it is None where the actor that was given is blank.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     try:
    ...         book.reset(key, to=41, reason="receiver lost 42 and 43")
    ...     except ledger.ActorRequiredError as error:
    ...         print(error.request.last_sequence)
    41
    """

    __module__ = "ledger"

    request: ledger.ResetCursor | ledger.StartCursor | None = None

    def __init__(self, request: ledger.ResetCursor | ledger.StartCursor | str) -> None:
        if isinstance(request, str):
            super().__init__(request)
            return
        said = "start" if isinstance(request, ledger.StartCursor) else "reset"
        super().__init__(
            f"A {said} of {request.key} needs an actor: pass actor=…, "
            "or give the ledger one when it is opened."
        )
        self.request = request


def _not_back(current: Cursor, request: ledger.AdvanceCursor) -> str:
    at = f"{current.key} is at {current.last_sequence} {named(current.last_delivery_id)}"
    to = request.last_sequence
    if to == current.last_sequence:
        return (
            f"{at}; {to} {named(request.delivery_id)} is another delivery of the same place. "
            "Find out which one the consumer got; confirm that one, or reset the cursor."
        )
    return f"{at}; {to} would move it back. Reset it, with a reason, to deliver again from there."


def _of_another_epoch(
    current: Cursor | None,
    request: ledger.AdvanceCursor | ledger.ConfirmToken | ledger.RecordError,
) -> str:
    epoch, sequence = (current.epoch, current.last_sequence) if current else (0, 0)
    said = "error" if isinstance(request, ledger.RecordError) else "advance"
    made = f"this {said} was made in epoch {request.epoch}"
    if request.epoch is not None and request.epoch > epoch:
        # Only a reset begins an epoch, and this one has never been reset that often.
        return (
            f"{request.key} is in epoch {epoch}; {made}, which it has not reached. That epoch is "
            "of another ledger, or of this one before it was restored from a backup. Make sure "
            "that this is the right ledger; then read the cursor again, and go on from "
            f"{sequence}."
        )
    return (
        f"{request.key} is in epoch {epoch}, because it was reset; {made}. Read the cursor again, "
        f"and go on from {sequence}."
    )


def _not_next(current: Cursor | None, request: ledger.ConfirmToken) -> str:
    sequence, token = (current.last_sequence, current.last_delivery_id) if current else (0, "")
    at = f"{request.key} is at {sequence} {named(token)}"
    if sequence == SEQUENCE_MAX and token == request.after:
        return f"{at}, the last sequence there is; nothing can be numbered after it."
    asked = request.after or "nothing"
    return (
        f"{at}; {request.delivery_id} was to follow {asked}. Read the cursor again, and go on "
        f"after {token or 'where it stands'}."
    )


def named(delivery_id: str) -> str:
    """Return a delivery id as it is shown beside a sequence."""
    return f"({delivery_id})" if delivery_id else "(no delivery id)"


def message_alone(*texts: object) -> str:
    """Return the message of a refusal that is made of its message alone, as out of JSON."""
    return "; ".join(str(text) for text in texts if text)
