"""Which deliveries are in flight, and how far the cursor may move. Pure: no lock, no clock.

Deliveries begin in the order of the stream and end in any order. The cursor may move to the last of
those that were confirmed without a hole: a delivery that is still in flight, or that failed, holds
the mark. Sequences may be sparse, because the order is that in which deliveries began.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from enum import Enum, auto
from typing import Generic, TypeVar

import attrs

from ledger.errors import InvalidCursorError, LedgerError

__all__ = ["Begun", "Progress", "Window", "WindowFullError"]

C = TypeVar("C")


class Progress(Enum):
    """What became of a delivery that was begun."""

    IN_FLIGHT = auto()
    FAILED = auto()
    """It holds the mark until it is delivered again, or given up."""
    CONFIRMED = auto()
    """It moves the mark once everything before it is confirmed."""


class WindowFullError(LedgerError):
    """No more deliveries may begin: as many as are allowed are not confirmed yet.

    `failed` are the sequences that failed; each must be delivered again, or given up.

    >>> import ledger
    >>> with ledger.open(":memory:") as book:
    ...     consumer = book.consumer(ledger.CursorKey("webhooks", "orders"))
    ...     try:
    ...         with consumer.delivering(1):
    ...             raise ConnectionError("503")
    ...     except ConnectionError:
    ...         pass
    ...     try:
    ...         consumer.delivering(2)
    ...     except ledger.WindowFullError as error:
    ...         print(error.failed)
    (1,)
    """

    __module__ = "ledger"

    failed: tuple[int, ...] | None = None

    def __init__(self, message: str, failed: Sequence[int] | None = None) -> None:
        super().__init__(message)
        if failed is not None:
            self.failed = tuple(failed)


@attrs.define(eq=False)
class Begun(Generic[C]):
    """A delivery that was begun. `confirmation` is what will be appended for it."""

    sequence: int
    delivery_id: str = ""
    tries: int = 1
    progress: Progress = Progress.IN_FLIGHT
    confirmation: C | None = None
    deliverer: int | None = None
    """The thread or task that delivers it; None until it is entered."""
    beginner: int | None = None
    """The thread or task that began it."""
    owner: weakref.ref[object] | None = None
    """What ends it. Once that is gone, nobody can end it any more, so it counts as failed."""


class Window(Generic[C]):
    """The deliveries after the mark, in the order in which they began; at most `size`."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._begun: dict[int, Begun[C]] = {}
        self._last = 0
        self._last_id = ""

    def __len__(self) -> int:
        return len(self._begun)

    @property
    def last(self) -> int:
        """The sequence that began last; 0 if none did since the window was new or cleared."""
        return self._last

    @property
    def last_id(self) -> str:
        """The delivery id of the sequence that began last."""
        return self._last_id

    @property
    def failed(self) -> tuple[int, ...]:
        """The sequences that failed and hold the mark, in order."""
        return tuple(each.sequence for each in self._begun.values() if _failed(each))

    @property
    def in_flight(self) -> int:
        """How many deliveries are running."""
        return sum(_runs(each) for each in self._begun.values())

    def waits_for_others(self, deliverer: int) -> bool:
        """Return whether a delivery is running that `deliverer` does not itself have to end."""
        return any(_runs(each) and each.deliverer != deliverer for each in self._begun.values())

    def has_deliverer(self, deliverer: int) -> bool:
        """Return whether `deliverer` is delivering, so that others may have to wait for it."""
        return any(_runs(each) and each.deliverer == deliverer for each in self._begun.values())

    def only_unentered(self, beginner: int) -> bool:
        """Return whether all that runs was begun by `beginner`, and nobody has entered it."""
        running = [each for each in self._begun.values() if _runs(each)]
        return bool(running) and all(
            each.deliverer is None and each.beginner == beginner for each in running
        )

    def may_begin(self, sequence: int) -> bool:
        """Return whether `begin` need not wait: there is room, or it would refuse anyway.

        A sequence that failed has its place already.
        """
        return len(self._begun) < self.size or sequence <= self._last

    def begin(self, sequence: int, delivery_id: str = "") -> Begun[C]:
        """Begin to deliver `sequence`, or to deliver it again after it failed.

        Each try has a `Begun` of its own, so that an earlier try cannot end a later one.

        Raises InvalidCursorError if it is being delivered, or comes before one that was begun;
        WindowFullError if there is no room.
        """
        if (known := self._begun.get(sequence)) is not None:
            if not _failed(known):
                raise InvalidCursorError(
                    f"sequence {sequence} is being delivered already; wait for its end."
                )
            again = self._begun[sequence] = Begun(sequence, delivery_id, tries=known.tries + 1)
            if sequence == self._last:
                self._last_id = delivery_id
            return again
        if sequence <= self._last:
            raise InvalidCursorError(
                f"sequence {self._last} was begun before {sequence}. Begin deliveries in the order "
                "of the stream; they may end in any order."
            )
        if len(self._begun) >= self.size:
            raise self.full()
        begun = self._begun[sequence] = Begun(sequence, delivery_id)
        self._last, self._last_id = sequence, delivery_id
        return begun

    def confirm(self, begun: Begun[C], confirmation: C) -> None:
        """Note that `begun` was delivered, or given up; `confirmation` is to be appended for it."""
        if self.holds(begun) and begun.progress is not Progress.CONFIRMED:
            begun.progress = Progress.CONFIRMED
            begun.confirmation = confirmation

    def fail(self, begun: Begun[C]) -> None:
        """Note that `begun` failed. It holds the mark."""
        if self.holds(begun) and begun.progress is not Progress.CONFIRMED:
            begun.progress = Progress.FAILED

    def failure(self, sequence: int) -> Begun[C]:
        """Return the failed delivery of `sequence`.

        Raises InvalidCursorError if there is none.
        """
        known = self._begun.get(sequence)
        if known is None or not _failed(known):
            raise InvalidCursorError(
                f"sequence {sequence} has not failed, so it cannot be given up."
            )
        return known

    def holds(self, begun: Begun[C]) -> bool:
        """Return whether `begun` is of this window still; it is not after `clear`."""
        return self._begun.get(begun.sequence) is begun

    @property
    def has_ready(self) -> bool:
        """Whether there are confirmations that may be appended now."""
        first = next(iter(self._begun.values()), None)
        return first is not None and first.progress is Progress.CONFIRMED

    def ready(self) -> list[C]:
        """Return the confirmations that may be appended now, in order: those without a hole."""
        ready: list[C] = []
        for each in self._begun.values():
            if each.progress is not Progress.CONFIRMED or each.confirmation is None:
                break
            ready.append(each.confirmation)
        return ready

    def recorded(self, count: int) -> None:
        """Note that the first `count` confirmations were appended."""
        for sequence in list(self._begun)[:count]:
            del self._begun[sequence]

    def clear(self) -> None:
        """Forget everything: the cursor was read anew, and deliveries begin after it."""
        self._begun = {}
        self._last, self._last_id = 0, ""

    def full(self) -> WindowFullError:
        """Return the refusal of one more delivery; its message says what is in the way."""
        failed = self.failed
        dropped = [each for each in failed if _was_dropped(self._begun[each])]
        tried = [each for each in failed if each not in dropped]
        if not failed:
            return WindowFullError(self._in_flight(), ())
        facts = []
        if tried:
            facts.append(f"{_listed(tried)} failed and held back the cursor")
        if dropped:
            was = "was" if len(dropped) == 1 else "were"
            facts.append(f"{_listed(dropped)} {was} begun and dropped, but not entered")
        it = "it" if len(failed) == 1 else "each"
        again = "again" if tried else f"in the body of a `with`: {_entered(dropped[0])}"
        return WindowFullError(
            f"{'; '.join(facts)}, and no more than {self.size} may be unconfirmed. Deliver {it} "
            f"{again}, or give {it} up with give_up(sequence, reason=…).",
            failed,
        )

    def _in_flight(self) -> str:
        """Return what says that all places are taken, and by what."""
        allowed = "1 delivery is" if self.size == 1 else f"{self.size} deliveries are"
        said = f"{allowed} in flight, as many as are allowed"
        waiting = [
            each.sequence for each in self._begun.values() if _runs(each) and each.deliverer is None
        ]
        if not waiting:
            return f"{said}. End one first, or make the consumer with a larger in_flight."
        was = "was" if len(waiting) == 1 else "were"
        return (
            f"{said}, and {_listed(waiting)} {was} begun, but not entered. Deliver in the body of "
            f"a `with`: {_entered(waiting[0])}."
        )


def _listed(sequences: Sequence[int]) -> str:
    return ", ".join(map(str, sequences[:5])) + (", …" if len(sequences) > 5 else "")


def _entered(sequence: int) -> str:
    return f"`with consumer.delivering({sequence})` (`async with` in coroutines)"


def _failed(begun: Begun[C]) -> bool:
    return begun.progress is Progress.FAILED or _is_abandoned(begun)


def _runs(begun: Begun[C]) -> bool:
    return begun.progress is Progress.IN_FLIGHT and not _is_abandoned(begun)


def _was_dropped(begun: Begun[C]) -> bool:
    return begun.deliverer is None and _is_abandoned(begun)


def _is_abandoned(begun: Begun[C]) -> bool:
    """Return whether it was begun and dropped, as by an interrupt, so that nobody can end it."""
    return (
        begun.progress is Progress.IN_FLIGHT and begun.owner is not None and begun.owner() is None
    )
