"""What is asked of PostgreSQL, step by step, without a word on who sends it.

Such steps are a generator: it yields the statements of one round trip, is sent what they answered,
and returns what it was for. An error of the server is raised in it, at the statement. The same
steps are taken over a connection that blocks and over one that is awaited.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TypeAlias, TypeVar

import attrs

from ledger.log.rows import Row

__all__ = ["Answers", "Ask", "Copy", "Steps", "one"]

T = TypeVar("T")


@attrs.frozen
class Ask:
    """A statement with its values."""

    statement: bytes
    values: Sequence[object] | None = ()
    """None for a script, whose % stands for itself."""
    is_read: bool = True
    """Whether its rows are wanted; if not, an empty list stands for them."""
    prepare: bool | None = None
    """Whether it is prepared; None leaves that to the driver."""


@attrs.frozen
class Copy:
    """Rows that are stored by COPY: a round trip of its own, whose answer is how many there are."""

    statement: bytes
    rows: Sequence[Row]


Answers: TypeAlias = list[list[Row]]
"""The rows that each statement has answered, in order."""

Steps: TypeAlias = Generator[Sequence[Ask] | Copy, Answers, T]


def one(
    statement: bytes, values: Sequence[object] | None = (), *, prepare: bool | None = None
) -> Steps[list[Row]]:
    """Ask one statement, and return its rows."""
    [rows] = yield (Ask(statement, values, prepare=prepare),)
    return rows
