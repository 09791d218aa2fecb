"""One delivery of a consumer: the body is entered, and what became of it is confirmed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

import attrs

from ledger.consuming.window import Begun
from ledger.errors import InvalidCursorError
from ledger.law.cursor import Outcome
from ledger.law.pairs import EMPTY
from ledger.law.requests import AdvanceCursor

if TYPE_CHECKING:
    from ledger.consuming.deliveries import Deliveries

__all__ = ["Delivery"]


def _outcome(value: object) -> Outcome:
    return Outcome.of(value)


@attrs.define(eq=False)
class Delivery:
    """One delivery that was begun. Enter it, once, where the event is delivered.

    `outcome` and `metadata` may be changed until it ends: they are appended with the confirmation.
    If the body raises, its error is recorded with the metadata that can be kept; if it does not,
    metadata that cannot be kept raise InvalidCursorError at its end, and it is not confirmed. An
    outcome that is none raises InvalidCursorError where it is set.
    `tries` counts how often the event was begun by this consumer since it last read its cursor.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book, book.consumer(key) as consumer:
    ...     with consumer.delivering(41) as delivery:
    ...         delivery.metadata["status"] = "410"
    ...         delivery.outcome = ledger.Outcome.SUPPRESSED
    ...     [entry] = book.history(key)
    ...     entry.event.outcome, dict(entry.metadata)
    (<Outcome.SUPPRESSED: 'suppressed'>, {'status': '410'})
    """

    _advance: AdvanceCursor
    _begun: Begun[AdvanceCursor]
    _deliveries: Deliveries
    _end: Callable[[Delivery, BaseException | None], None] | None
    outcome: Outcome = attrs.field(init=False, converter=_outcome, on_setattr=attrs.setters.convert)
    metadata: dict[str, str] = attrs.field(init=False)

    @outcome.default
    def _its_outcome(self) -> Outcome:
        return self._advance.outcome

    @metadata.default
    def _its_metadata(self) -> dict[str, str]:
        given = self._advance.metadata
        return {} if given is EMPTY else dict(given)

    @property
    def sequence(self) -> int:
        """The sequence that is delivered."""
        return self._advance.last_sequence

    @property
    def delivery_id(self) -> str:
        """The name of the delivery."""
        return self._advance.delivery_id

    @property
    def tries(self) -> int:
        """How often it was begun."""
        return self._begun.tries

    def __enter__(self) -> Self:
        """Begin with the body.

        Raises StaleEpochError if the cursor was reset, or read anew, since the delivery began.
        """
        if self._end is None:
            raise InvalidCursorError(
                "a delivery of an asynchronous consumer is entered with `async with`."
            )
        self._deliveries.enter(self, threading.get_ident())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Confirm it, or record what the body raised."""
        if self._end is not None:
            self._end(self, error)

    def confirmation(self) -> AdvanceCursor:
        """Return what confirms it, in the epoch in which it began.

        Raises InvalidCursorError if its metadata were changed to what cannot be kept.
        """
        asked = self._advance
        given = asked.metadata
        same = not self.metadata if given is EMPTY else self.metadata == given
        if same and self.outcome is asked.outcome:
            return asked
        return attrs.evolve(asked, outcome=self.outcome, metadata=self.metadata)
