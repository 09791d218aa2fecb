"""What was cancelled: the task that delivers, or something that it awaits."""

from __future__ import annotations

import asyncio

__all__ = ["as_error", "is_failure"]


def is_failure(error: BaseException | None) -> bool:
    """Return whether `error` is a failure of the delivery, and not an interrupt from outside.

    A CancelledError is one if nobody has cancelled this task: what it awaited was cancelled, for
    example by a pool that closes.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and not task.cancelling()
    return isinstance(error, Exception)


def as_error(error: BaseException) -> BaseException:
    """Return what a loop raises for `error`: nothing that a task takes for its own cancellation."""
    if not isinstance(error, asyncio.CancelledError):
        return error
    stands = RuntimeError(
        "What was fetched or delivered has ended in a CancelledError, but the loop was not "
        "cancelled: what it awaited was. Look for who cancelled that."
    )
    stands.__cause__ = error
    return stands
