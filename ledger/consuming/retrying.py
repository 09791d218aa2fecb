"""When a delivery that failed is tried again, and when it is given up.

Nothing in here asks a clock, or sleeps: the moment is given. Waits are shortened at random, and an
outage is logged.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from enum import StrEnum
from math import inf
from operator import attrgetter
from typing import Any, Generic, TypeVar

import attrs

from ledger import notices
from ledger.consuming.failures import described
from ledger.errors import InvalidCursorError, StorageError, invalid
from ledger.law import fields
from ledger.law.cursor import CursorKey

__all__ = [
    "GiveUp",
    "Outage",
    "Plan",
    "Retry",
    "checked_poll_s",
    "delivery_id_of",
    "ends_at",
    "given_up",
    "sequence_of",
]

E = TypeVar("E")

POLL_S_MAX = 86_400
TRIES_MAX = 1_000_000
WAIT_S_MAX = 86_400.0


sequence_of: Callable[[Any], int] = attrgetter("sequence")


def delivery_id_of(event: object) -> str:
    """Return the `delivery_id` of an event, or "" if it has none."""
    return str(getattr(event, "delivery_id", ""))


def checked_poll_s(value: object) -> float:
    """Return `value` if it is a number of seconds above 0, at most 86,400.

    Raises InvalidCursorError.
    """
    if type(value) in (int, float) and 0 < value <= POLL_S_MAX:  # type: ignore[operator]
        return float(value)  # type: ignore[arg-type]
    raise InvalidCursorError(
        f"poll_s must be above 0 and at most {POLL_S_MAX:,} seconds, not {fields.shown(value)}."
    )


def ends_at(timeout_s: object, now: float) -> float | None:
    """Return the moment that is `timeout_s` seconds after `now`; None for no end.

    Raises InvalidCursorError.
    """
    if timeout_s is None:
        return None
    if type(timeout_s) in (int, float) and -inf < timeout_s:  # type: ignore[operator]
        return now + timeout_s  # type: ignore[operator]
    said = fields.shown(timeout_s)
    raise invalid("timeout_s", f"must be None or a number of seconds, not {said}.", value=said)


class GiveUp(StrEnum):
    """What a loop does with an event that failed as often as it is tried.

    >>> import ledger
    >>> [str(each) for each in ledger.GiveUp]
    ['stop', 'skip']
    """

    STOP = "stop"
    """It stops, and raises the error; the event holds the cursor."""
    SKIP = "skip"
    """It confirms the event as skipped, with the reason, and goes on."""


def _give_up(value: object) -> GiveUp:
    try:
        return GiveUp(fields.exact(value, "give_up"))
    except ValueError:
        raise InvalidCursorError(
            f"give_up must be one of {', '.join(GiveUp)}, not {fields.shown(value)}."
        ) from None


@attrs.frozen(kw_only=True)
class Retry:
    """How a loop tries again: up to `tries_max` times, 1 to 1,000,000, then it gives up.

    Before the second try it waits `wait_s` seconds, before each further one twice as long, at most
    `wait_max_s`; both 0 to 86,400. Each wait is shortened at random by up to the part `jitter`, 0
    to 1, so that consumers which failed together do not come back together
    (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/). `give_up`
    says what happens then: with `"stop"` the loop raises the error, with `"skip"` it confirms the
    event as skipped, and the entry says why.

    Raises InvalidCursorError.

    >>> import ledger
    >>> retry = ledger.Retry(tries_max=3, wait_s=1, jitter=0, give_up="skip")
    >>> [retry.wait_before(tries) for tries in (1, 2)]
    [1.0, 2.0]
    """

    tries_max: int = 5
    wait_s: float = 0.5
    wait_max_s: float = 60.0
    jitter: float = 0.5
    give_up: GiveUp = attrs.field(default=GiveUp.STOP, converter=_give_up)

    def __attrs_post_init__(self) -> None:
        if fields.sequence(self.tries_max, "tries_max", least=1) > TRIES_MAX:
            raise InvalidCursorError(f"tries_max must be at most {TRIES_MAX:,}.")
        for name, most in (("wait_s", WAIT_S_MAX), ("wait_max_s", WAIT_S_MAX), ("jitter", 1.0)):
            value = getattr(self, name)
            if type(value) not in (int, float) or not 0 <= value <= most:
                raise InvalidCursorError(
                    f"{name} must be from 0 to {most:g}, not {fields.shown(value)}."
                )

    def wait_before(self, tries: int, chance: Callable[[], float] = random.random) -> float:
        """Return the seconds to wait after try number `tries`, from 1, has failed."""
        longest = min(self.wait_s * 2.0 ** min(tries - 1, 60), self.wait_max_s)
        return longest * (1 - self.jitter * chance())


class Outage:
    """How often the database has failed in a row, and until when it is left alone.

    While it is left alone, further failures are the same one: many deliveries meet it at once.
    """

    def __init__(self, retry: Retry, key: CursorKey) -> None:
        self._retry = retry
        self._key = key
        self._failures = 0
        self.until = 0.0
        """When it is asked again."""

    def failed(self, now: float, error: StorageError) -> bool:
        """Note a failure at `now`; return whether it has failed as often as an event is tried."""
        if self._failures == 0 or now >= self.until:
            self._failures += 1
            wait_s = self._retry.wait_before(self._failures)
            self.until = now + wait_s
            notices.CONSUMER_PUT_OFF.report(key=self._key, wait_s=f"{wait_s:.1f}", cause=error)
        return self._failures >= self._retry.tries_max

    def over(self) -> None:
        """Note that it has answered."""
        self._failures = 0


def given_up(tries: int, error: BaseException) -> str:
    """Return the reason for which an event was given up, with the secrets of its error masked."""
    last = fields.message(fields.spelled(described(error)), "reason")
    return f"{tries} {'try' if tries == 1 else 'tries'} failed; the last: {last}"


class Plan(Generic[E]):
    """The events that a loop has begun and not finished, and when failed ones are due again."""

    def __init__(self, retry: Retry) -> None:
        self.retry = retry
        self._events: dict[int, E] = {}
        self._due: list[tuple[float, int]] = []

    def began(self, sequence: int, event: E) -> None:
        """Keep `event` until it is done, because it may have to be delivered again."""
        self._events[sequence] = event

    def done(self, sequence: int) -> None:
        """Forget an event that was delivered, or given up."""
        self._events.pop(sequence, None)

    def failed(self, sequence: int, tries: int, now: float) -> GiveUp | None:
        """Note that try number `tries` failed at `now`; return how it is given up, or None.

        None means that it is due again later.
        """
        if tries >= self.retry.tries_max:
            return self.retry.give_up
        heapq.heappush(self._due, (now + self.retry.wait_before(tries), sequence))
        return None

    def put_off(self, sequence: int, until: float) -> None:
        """Note that `sequence` could not be begun, and is due again at `until`."""
        heapq.heappush(self._due, (until, sequence))

    def due(self, now: float) -> tuple[int, E] | None:
        """Return an event that is due by `now`, and take it off the plan."""
        while self._due and self._due[0][0] <= now:
            _, sequence = heapq.heappop(self._due)
            if sequence in self._events:
                return sequence, self._events[sequence]
        return None

    def wait_s(self, now: float, longest: float) -> float:
        """Return how many seconds there are until the next event is due, at most `longest`."""
        return max(0.0, min(longest, self._due[0][0] - now)) if self._due else longest

    def clear(self) -> None:
        """Forget everything: the cursor was reset."""
        self._events = {}
        self._due = []
