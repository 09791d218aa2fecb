"""The options of a consumer's loop, checked before the first event, and not when one is needed."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import TypeVar

from ledger.consuming.callables import check_doing
from ledger.consuming.retrying import Retry, delivery_id_of, sequence_of
from ledger.errors import invalid
from ledger.law import fields

__all__ = ["check_stop", "checked_delivery_id", "checked_retry", "checked_sequence"]

E = TypeVar("E")

PLAIN = "Pass a plain function."


def checked_retry(value: Retry | None) -> Retry:
    """Return how failed deliveries are tried again: `value`, or `Retry()` if that is None.

    Raises InvalidCursorError.
    """
    given: object = value
    if given is None:
        return Retry()
    if not isinstance(given, Retry):
        said = fields.shown(given)
        raise invalid("retry", f"must be a ledger.Retry(…), not {said}.", value=said)
    return given


def check_stop(value: object, *, awaits: bool) -> None:
    """Refuse what cannot stop a loop: it is asked with `is_set`, and waited for with `wait`.

    Those of threads block, which a loop that `awaits` must not; those of asyncio are awaited, which
    a loop in threads cannot.

    Raises InvalidCursorError.
    """
    waits = getattr(value, "wait", None)
    if (
        not callable(getattr(value, "is_set", None))
        or not callable(waits)
        or iscoroutinefunction(waits) is not awaits
    ):
        kind = type(value)
        said = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
        wanted = "an asyncio.Event" if awaits else "a threading.Event"
        raise invalid("stop", f"must be {wanted}, not {said}.", value=said)


def checked_sequence(value: Callable[[E], int] | None) -> Callable[[E], int]:
    """Return what says the sequence of an event: `value`, or its attribute if that is None.

    Raises InvalidCursorError.
    """
    if value is None:
        return sequence_of
    check_doing(value, "sequence", PLAIN)
    return value


def checked_delivery_id(value: Callable[[E], str] | None) -> Callable[[E], str]:
    """Return what says the delivery id of an event: `value`, or its attribute if that is None.

    Raises InvalidCursorError.
    """
    if value is None:
        return delivery_id_of
    check_doing(value, "delivery_id", PLAIN)
    return value
