"""The same views for asyncio: given an `AsyncLedger`, or a stream of its entries, in its threads.

What a view makes of a history is written once, as a plain function of an iterator. It runs where
the entries are read; only what it yields comes to the event loop.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeGuard

from ledger import InvalidCursorError, Ledger
from ledger.errors import invalid
from ledger.law import fields
from projections.given import check_book, check_rows

if TYPE_CHECKING:
    from ledger.aio import AsyncLedger, Stream

__all__ = ["answering", "awaiting", "blocking", "yielding"]


_LEFT_OUT = object()


def yielding(function: Callable[..., Iterable[Any]]) -> Callable[..., Any]:
    """Have a function of a ledger or its entries return a stream where it is given one of asyncio.

    Its overloads say so to type checkers.
    """
    name = _first(function)

    @wraps(function)
    def view(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the overloads say
        source, rest, named = _apart(name, args, kwargs)
        if _is_stream(source, name):
            return source.through(lambda rows: function(rows, *rest, **named))
        if _is_async_ledger(source):
            return _of_book(name, source).stream(partial(_with, function), rest, named)
        _check(name, source)
        return function(*args, **kwargs)

    return view


def answering(function: Callable[..., Any]) -> Callable[..., Any]:
    """Have a function of a ledger or its entries return an awaitable where it is given asyncio's.

    Its overloads say so to type checkers.
    """
    name = _first(function)

    @wraps(function)
    def view(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the overloads say
        source, rest, named = _apart(name, args, kwargs)
        if _is_stream(source, name):
            return source.into(lambda rows: function(rows, *rest, **named))
        if _is_async_ledger(source):
            return _of_book(name, source).run(partial(_with, function), rest, named)
        _check(name, source)
        return function(*args, **kwargs)

    return view


def blocking(book: Ledger, use: str) -> None:
    """Refuse what is not a ledger, and one for asyncio, where `use` says how it is used instead.

    Raises InvalidCursorError.
    """
    if _is_async_ledger(book):
        raise InvalidCursorError(f"book is a ledger for asyncio. Use it like this: {use}.")
    check_book(book)


def awaiting(book: object, instead: str) -> None:
    """Refuse what is not a ledger for asyncio, where `instead` is for one that blocks.

    Raises InvalidCursorError.
    """
    if isinstance(book, Ledger):
        raise InvalidCursorError(f"book must be an AsyncLedger. Of a Ledger, use {instead}.")
    if not _is_async_ledger(book):
        said = fields.kind(book)
        raise invalid("book", f"must be an AsyncLedger, as ledger.aio.open(…) returns, not {said}.")


def _first(function: Callable[..., Any]) -> str:
    """Return the name of the first parameter: a book, or entries."""
    return str(function.__code__.co_varnames[0])


def _apart(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[object, tuple[Any, ...], dict[str, Any]]:
    """Return what is read, and the other arguments."""
    if args:
        return args[0], args[1:], kwargs
    return kwargs.get(name, _LEFT_OUT), (), {each: kwargs[each] for each in kwargs if each != name}


def _check(name: str, source: object) -> None:
    """Refuse what is neither a ledger nor entries, as the function needs it."""
    if source is _LEFT_OUT:
        return  # Python says so, when the function is called.
    if name == "book":
        check_book(source)
    else:
        check_rows(name, source)


def _with(
    function: Callable[..., Any], book: Ledger, rest: tuple[Any, ...], named: dict[str, Any]
) -> Any:  # noqa: ANN401 - what the function returns
    return function(book, *rest, **named)


def _of_book(name: str, book: AsyncLedger) -> AsyncLedger:
    if name != "book":
        raise InvalidCursorError(
            f"{name} must be entries, not the ledger: pass book.history(key), or book.entries()."
        )
    return book


def _is_stream(source: object, name: str) -> TypeGuard[Stream[Any]]:
    if not hasattr(source, "__aiter__"):
        return False
    if name == "book":
        raise InvalidCursorError("book must be the ledger itself, not entries of it.")
    aio = sys.modules.get("ledger.aio")
    if aio is not None and isinstance(source, aio.Stream):
        return True
    raise InvalidCursorError(
        "entries must come from book.history(key) or book.entries(), because they are read in a "
        "thread; an asynchronous iterator of your own cannot be."
    )


def _is_async_ledger(source: object) -> TypeGuard[AsyncLedger]:
    # It is not imported here, because programs without coroutines do without it.
    aio = sys.modules.get("ledger.aio")
    return aio is not None and isinstance(source, aio.AsyncLedger)
