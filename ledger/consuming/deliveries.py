"""The deliveries of one consumer: what threads and coroutines share. Nothing here waits."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping

from ledger.consuming.delivery import Delivery
from ledger.consuming.failures import described, note_left_out, with_sequence
from ledger.consuming.window import Window, WindowFullError
from ledger.errors import InvalidCursorError, LedgerError, UnknownOutcomeError
from ledger.law import fields, rules
from ledger.law.cursor import Cursor, CursorKey, Outcome
from ledger.law.pairs import EMPTY
from ledger.law.refusals import NonMonotonicCursorError, StaleEpochError
from ledger.law.requests import AdvanceCursor, RecordError, make_advance
from ledger.law.rivals import refuse_overtaken

__all__ = ["Deliveries", "checked_in_flight"]

IN_FLIGHT_MAX = 10_000


class Deliveries:
    """The window of a consumer, the cursor that it read, and the epoch that goes with everything.

    Safe to use from many threads.
    """

    def __init__(self, key: CursorKey, in_flight: int) -> None:
        self.key = key
        self.lock = threading.RLock()
        self._window: Window[AdvanceCursor] = Window(in_flight)
        self._cursor: Cursor | None = None
        self._stale = False
        self._reset_to: Cursor | None = None
        self.was_read = False
        """Whether the cursor was read at all."""
        self.generation = 0
        """How often the cursor was read. What was begun before that is forgotten."""
        self.unsure = False
        """Whether the last append was cut off, so that it may have happened."""

    # --- where it stands ---

    @property
    def size(self) -> int:
        """How many deliveries may be unconfirmed at once."""
        return self._window.size

    @property
    def position(self) -> int:
        """The sequence up to which everything is confirmed."""
        return self._cursor.last_sequence if self._cursor else 0

    @property
    def reached(self) -> int:
        """The sequence that began last: what is fetched next comes after it."""
        with self.lock:
            return max(self._window.last, self.position)

    @property
    def token(self) -> str:
        """The delivery id of the sequence that began last, or else of the cursor."""
        with self.lock:
            if self._window.last > self.position:
                return self._window.last_id
            return self._cursor.last_delivery_id if self._cursor else ""

    @property
    def epoch(self) -> int:
        """The epoch that was read; it goes with every confirmation and error."""
        return self._cursor.epoch if self._cursor else 0

    @property
    def failed(self) -> tuple[int, ...]:
        """The sequences that failed and hold back the cursor."""
        with self.lock:
            return self._window.failed

    # --- what happens ---

    def read(self, cursor: Cursor | None) -> None:
        """Start from `cursor`, and forget what was begun before."""
        with self.lock:
            self._cursor = cursor
            self._stale = False
            self._reset_to = None
            self.was_read = True
            self.generation += 1
            self.unsure = False
            self._window.clear()

    def asked(
        self, sequence: int, delivery_id: str, outcome: Outcome, metadata: Mapping[str, str] | None
    ) -> AdvanceCursor:
        """Return the confirmation that a delivery will end in.

        Raises InvalidCursorError.
        """
        return make_advance(
            self.key,
            sequence,
            delivery_id=delivery_id,
            outcome=outcome,
            epoch=self.epoch,
            metadata=EMPTY if metadata is None else metadata,
        )

    def check(self, now: Cursor | None, advance: AdvanceCursor) -> None:
        """Refuse what the law would refuse behind the body. `now` is the cursor as it stands.

        Raises StaleEpochError, NonMonotonicCursorError; InvalidCursorError for what is confirmed.
        """
        if self._stale:
            raise StaleEpochError(now, advance)
        try:
            if now is not None:
                rules.decide(now, advance, actor="", now=now.updated_at)
                if advance.last_sequence == now.last_sequence:
                    known = now.last_sequence == self.position
                    first = "Deliver" if known else "Call refresh(), and deliver"
                    raise InvalidCursorError(
                        f"{self.key} is at {now.last_sequence}, so it is confirmed already. "
                        f"{first} what comes after it."
                    )
            elif self.epoch:
                raise StaleEpochError(now, advance)
        except StaleEpochError as error:
            self.note_stale(error)
            raise
        except NonMonotonicCursorError as error:
            self._refuse_overtaken(error)
            raise

    def look(self, now: Cursor | None) -> None:
        """Refuse if the cursor was reset since it was read. `now` is the cursor as it stands.

        Raises StaleEpochError.
        """
        if (now.epoch if now else 0) != self.epoch:
            error = StaleEpochError(
                now, self.asked(max(self.position, 1), "", Outcome.DELIVERED, None)
            )
            self.note_stale(error)
            raise error

    def was_reset(self, now: Cursor | None) -> bool:
        """Return whether the cursor was read, and reset since. `now` is the cursor as it stands."""
        return self.was_read and (now.epoch if now else 0) != self.epoch

    def note_stale(self, error: StaleEpochError) -> None:
        """Begin nothing more before the cursor is read anew."""
        with self.lock:
            # Not the error itself: its traceback would keep alive what its frames hold.
            self._stale, self._reset_to = True, error.current

    def may_begin(self, sequence: int) -> bool:
        """Return whether `sequence` need not wait: there is room, or it is refused anyway."""
        with self.lock:
            return self._stale or self._window.may_begin(sequence)

    def delivers(self, deliverer: int) -> bool:
        """Return whether `deliverer` is delivering."""
        with self.lock:
            return self._window.has_deliverer(deliverer)

    def waits_for_others(self, deliverer: int) -> bool:
        """Return whether a delivery is running that `deliverer` does not itself have to end."""
        with self.lock:
            return self._window.waits_for_others(deliverer)

    def only_unentered(self, beginner: int) -> bool:
        """Return whether all that runs was begun by `beginner`, and nobody has entered it."""
        with self.lock:
            return self._window.only_unentered(beginner)

    def full(self) -> WindowFullError:
        """Return the refusal of one more delivery."""
        with self.lock:
            return self._window.full()

    def begin(
        self,
        advance: AdvanceCursor,
        generation: int,
        end: Callable[[Delivery, BaseException | None], None] | None,
        beginner: int,
    ) -> Delivery | None:
        """Begin a delivery in the thread or task `beginner`; None if others have taken the room.

        `generation` is that of when it was asked for. Raises StaleEpochError if the cursor was read
        anew since, because what was in flight before it was forgotten; InvalidCursorError.
        """
        sequence = advance.last_sequence
        with self.lock:
            if generation != self.generation:
                raise self._forgotten(advance)
            if not self._window.may_begin(sequence):
                return None
            begun = self._window.begin(sequence, advance.delivery_id)
            delivery = Delivery(advance, begun, self, end)
            begun.owner, begun.beginner = weakref.ref(delivery), beginner
        return delivery

    def enter(self, delivery: Delivery, deliverer: int) -> None:
        """Note which thread or task delivers it, and that its body begins.

        Raises StaleEpochError if the cursor is known to be reset, or was read anew, since the
        delivery began; InvalidCursorError if it was entered before.
        """
        begun = delivery._begun
        with self.lock:
            if begun.deliverer is not None:
                raise InvalidCursorError(
                    f"the delivery of {begun.sequence} was entered before. Begin it again with "
                    "delivering(…)."
                )
            if not self._window.holds(begun):
                raise self._forgotten(delivery._advance)
            if self._stale:
                self._window.fail(begun)
                raise StaleEpochError(self._reset_to, delivery._advance)
            begun.deliverer = deliverer

    def confirm(self, delivery: Delivery) -> None:
        """Note that `delivery` was delivered.

        Raises StaleEpochError if the cursor was read anew since it began; InvalidCursorError if its
        metadata were changed to what cannot be kept, so that it counts as failed.
        """
        begun = delivery._begun
        with self.lock:
            try:
                advance = delivery.confirmation()
            except BaseException:
                self._window.fail(begun)
                raise
            if not self._window.holds(begun):
                raise self._forgotten(advance)
            self._window.confirm(begun, advance)

    def fail(
        self, delivery: Delivery, error: BaseException, *, counts: bool = False
    ) -> RecordError | None:
        """Note that `delivery` failed, and return what is to be recorded of it.

        That is None if the cursor was read anew since it began, after StaleEpochError, and for an
        interrupt, which says nothing of the event, unless it `counts`. Metadata that cannot be kept
        are left out, and `error` has a note that says so.
        """
        begun = delivery._begun
        with self.lock:
            self._window.fail(begun)
            if not self._window.holds(begun) or not (counts or isinstance(error, Exception)):
                return None
            if isinstance(error, StaleEpochError):
                return None
            epoch = self.epoch
        # Outside the lock: what strangers have put there may do anything when it is looked at.
        metadata, refusal = with_sequence(delivery.metadata, delivery.sequence)
        if refusal is not None:
            note_left_out(error, refusal)
        return RecordError(self.key, described(error), epoch=epoch, metadata=metadata)

    def give_up(self, sequence: int, reason: str) -> None:
        """Confirm a failed delivery as skipped, and say why.

        Raises InvalidCursorError if it did not fail.
        """
        said = fields.required(reason, "reason", seen=True)
        with self.lock:
            begun = self._window.failure(sequence)
            metadata = {"given_up": said, "tries": str(begun.tries)}
            skipped = self.asked(sequence, begun.delivery_id, Outcome.SKIPPED, metadata)
            self._window.confirm(begun, skipped)

    @property
    def has_begun(self) -> bool:
        """Whether anything was begun that is not confirmed and appended."""
        with self.lock:
            return len(self._window) > 0

    @property
    def has_ready(self) -> bool:
        """Whether anything may be appended now."""
        with self.lock:
            return self._window.has_ready

    def appending(self) -> list[AdvanceCursor]:
        """Return what may be appended now, in order, and is about to be.

        Until `recorded` or `refused` tells the outcome, it is unsure: an interrupt may come at any
        moment, also when the append has returned.
        """
        with self.lock:
            ready = self._window.ready()
            self.unsure = bool(ready)
            return ready

    def refused(self, error: LedgerError) -> None:
        """Note that an append raised `error`, and what that means for what was ready.

        Raises NonMonotonicCursorError that says what to do if somebody else has moved the cursor.
        """
        with self.lock:
            if not isinstance(error, UnknownOutcomeError):
                self.unsure = False
            if isinstance(error, StaleEpochError):
                self.note_stale(error)
        if isinstance(error, NonMonotonicCursorError):
            self._refuse_overtaken(error)

    def settle(self, now: Cursor | None) -> None:
        """Take what the cursor has passed for appended. `now` is the cursor after an unsure append.

        All that was ready is appended in one transaction, and nobody else confirms the same events.
        """
        with self.lock:
            self.unsure = False
            if now is None or now.epoch != self.epoch:
                return
            ready = self._window.ready()
            self._window.recorded(sum(each.last_sequence <= now.last_sequence for each in ready))
            self._cursor = now

    def recorded(self, cursors: list[Cursor]) -> None:
        """Note the cursors that appending what was ready has made."""
        with self.lock:
            self._window.recorded(len(cursors))
            self._cursor = cursors[-1]
            self.unsure = False

    def _refuse_overtaken(self, error: NonMonotonicCursorError) -> None:
        if not self.unsure:  # What was cut off may have moved the cursor.
            refuse_overtaken(error, self.position, "Call refresh()")

    def _forgotten(self, advance: AdvanceCursor) -> StaleEpochError:
        """Return the refusal of a delivery that was begun before the cursor was read anew."""
        if advance.epoch != self.epoch:
            return StaleEpochError(self._cursor, advance)
        error = StaleEpochError(
            f"{self.key} was read anew after {advance.last_sequence} was begun, so it is not "
            f"confirmed. Go on from {self.position}."
        )
        error.current, error.request = self._cursor, advance
        return error


def checked_in_flight(value: object) -> int:
    """Return `value` if it is an integer from 1 to 10,000.

    Raises InvalidCursorError.
    """
    number = fields.sequence(value, "in_flight", least=1)
    if number > IN_FLIGHT_MAX:
        raise InvalidCursorError(f"in_flight must be at most {IN_FLIGHT_MAX:,}, not {number}.")
    return number
