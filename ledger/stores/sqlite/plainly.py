"""The ledger's own work on a caller's connection, whatever that makes of text."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

__all__ = ["lenient", "plain_rows", "plain_text", "text_as"]


def plain_text(connection: sqlite3.Connection) -> AbstractContextManager[None]:
    """Have text read as str, and leave the text factory as it was."""
    return text_as(connection, str)


@contextmanager
def text_as(connection: sqlite3.Connection, factory: Callable[[bytes], str]) -> Iterator[None]:
    """Have text read by `factory`, and leave the text factory as it was.

    Cursors of our own have no row factory, but text is read by the factory of their connection.
    """
    before = connection.text_factory
    connection.text_factory = factory
    try:
        yield
    finally:
        connection.text_factory = before


@contextmanager
def plain_rows(connection: sqlite3.Connection) -> Iterator[None]:
    """Have text read as str, and rows as tuples, also by cursors of others; leave both as before.

    The library that makes the tables has cursors of its own.
    """
    before = connection.row_factory
    connection.row_factory = None
    try:
        with plain_text(connection):
            yield
    finally:
        connection.row_factory = before


def lenient(text: bytes) -> str:
    """Return `text`; where it is no UTF-8, it has surrogates."""
    return text.decode("utf-8", "surrogateescape")
