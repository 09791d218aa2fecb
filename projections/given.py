"""What a view is given first: a ledger, or entries; anything else is refused, and said to be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import TypeVar

from ledger import CursorKey, InvalidCursorError, Ledger
from ledger.errors import invalid
from ledger.law import fields

__all__ = ["begun", "check_book", "check_keys", "check_kind", "check_rows"]

R = TypeVar("R")


def check_book(book: object) -> None:
    """Refuse what is not a ledger. Raises InvalidCursorError."""
    if not isinstance(book, Ledger):
        said = fields.kind(book)
        raise invalid(
            "book", f"must be a Ledger, as ledger.open(…) returns, not {said}.", value=said
        )


def check_rows(name: str, rows: object) -> None:
    """Refuse what is not several: a ledger, a key, a text. Raises InvalidCursorError."""
    if isinstance(rows, Ledger):
        raise InvalidCursorError(f"{name} must be {_said(name)}, not the ledger.")
    if not isinstance(rows, Iterable) or isinstance(rows, str | bytes | Mapping):
        said = fields.kind(rows)
        raise invalid(name, f"must be {_said(name)}, not {said}.", value=said)


def check_keys(keys: object) -> None:
    """Refuse what is not several keys, such as one. Raises InvalidCursorError."""
    if isinstance(keys, CursorKey):
        raise invalid("keys", "must be several CursorKeys, not one: pass [key].")
    if not isinstance(keys, Iterable) or isinstance(keys, str | bytes | Ledger):
        said = fields.kind(keys)
        raise invalid("keys", f"must be several CursorKeys, not {said}.", value=said)


def check_kind(name: str, value: object, kind: type, made: str) -> None:
    """Refuse what is not of `kind`, which `made` makes. Raises InvalidCursorError."""
    if not isinstance(value, kind):
        said = fields.kind(value)
        raise invalid(name, f"must be a {kind.__name__}, as {made} returns, not {said}.")


def begun(name: str, rows: Iterable[R], kind: type[R]) -> Iterator[R]:
    """Return `rows`, of which the first is of `kind`. Raises InvalidCursorError if it is not.

    The first tells all: to look at each would take as long as what many a view does with it.
    """
    rest = iter(rows)
    for first in rest:
        if not isinstance(first, kind):
            said = fields.kind(first)
            raise invalid(name, f"must be {_said(name)}; the first of them is {said}.", value=said)
        return chain([first], rest)
    return rest


def _said(name: str) -> str:
    if name == "lags":
        return "what lag(book) yields"
    if name == "entries":
        return "those of the log, as book.entries() yields them"
    return "the entries of one cursor, as book.history(key) yields"
