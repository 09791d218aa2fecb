"""What a program gives to be called: it must have done its work when the call returns."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Coroutine, Generator
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction

from ledger.errors import invalid
from ledger.law import fields

__all__ = ["AWAITED", "PLAIN", "check_callable", "check_doing", "is_undone", "refuse_undone"]

PLAIN = "Pass a plain function, or run a consumer of ledger.aio, which awaits it."
"""What a loop in threads says of a function that it would have to await."""

AWAITED = "Await it there."
UNYIELD = "Take the yield out."


def check_callable(given: object, name: str) -> None:
    """Refuse what cannot be called.

    Raises InvalidCursorError.
    """
    if not callable(given):
        said = fields.kind(given)
        raise invalid(name, f"must be callable, not {said}.", value=said)


def check_doing(
    given: object, name: str, plain: str = "", *, yields: bool = False, awaits: bool = False
) -> None:
    """Refuse a function that does nothing when it is called: it returns what would do it later.

    `plain` says what to write instead of `async def`, unless the caller `awaits` it. A generator
    may be what is wanted: `yields`.

    Raises InvalidCursorError.
    """
    check_callable(given, name)
    # A partial, and an object that is called: what they call says what they are.
    called = given
    while isinstance(called, partial):
        called = called.func
    ways = (called, getattr(type(called), "__call__", None))  # noqa: B004 - its kind is asked
    for way in ways:
        if isgeneratorfunction(way) or (awaits and isasyncgenfunction(way)):
            if not yields:
                raise invalid(name, f"has a `yield`, so a call of it does nothing. {UNYIELD}")
        elif not awaits and (iscoroutinefunction(way) or isasyncgenfunction(way)):
            raise invalid(name, f"is an `async def`, and nothing here would await it. {plain}")


def is_undone(answer: object) -> bool:
    """Return whether a call returned what is still to be run or waited for, and not a result."""
    return isinstance(answer, (Awaitable, AsyncGenerator, Generator, Future))


def refuse_undone(answer: object, name: str, plain: str) -> None:
    """Refuse, and close, what `name` returned if it is still to be run or waited for.

    Raises InvalidCursorError.
    """
    if answer is None or not is_undone(answer):
        return
    # Closed, so that Python does not warn of it as well.
    if isinstance(answer, (Coroutine, Generator)):
        with suppress(Exception):
            answer.close()
    if isinstance(answer, Future):
        plain = "Wait for it there, with result()."
    elif isinstance(answer, (Generator, AsyncGenerator)):
        plain = UNYIELD
    said = fields.kind(answer)
    raise invalid(
        name, f"returned {said}, and not a result, so its work is not done. {plain}", value=said
    )
