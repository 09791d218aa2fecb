"""What a source has, whatever kind it is: rows with named columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import TypeAlias

import attrs

from ledger.exchange.naming import Names

__all__ = ["Misread", "Read", "Reading", "Row", "peeked"]


PEEKED_MAX = 1_000


@attrs.frozen
class Row:
    """A row of a source: its number, from 1, and its values by the names of their columns."""

    line: int
    values: Mapping[str, object]


@attrs.frozen
class Misread:
    """A row that could not be read, and why."""

    line: int
    problem: str


Read: TypeAlias = Row | Misread


@attrs.frozen(kw_only=True)
class Reading:
    """A source that is being read.

    `place` names it without a password, and `unit` what its rows are called. `columns` are the
    columns that every row has; None if each row has its own. `names` says which of them name a
    cursor, if nobody says otherwise. `origin` is what a cursor from here is said to come from;
    where it is empty, or a row lacks its column, that is `place`.
    """

    rows: Iterator[Read]
    place: str
    unit: str
    columns: tuple[str, ...] | None
    names: Names
    origin: str = ""


def peeked(rows: Iterator[Read]) -> tuple[tuple[str, ...] | None, Iterator[Read]]:
    """Return the columns of the first row, and all rows.

    They are None if there is no row, or none among the first thousand that can be read.
    """
    before: list[Read] = []
    for row in islice(rows, PEEKED_MAX):
        before.append(row)
        if isinstance(row, Row):
            return tuple(row.values), chain(before, rows)
    return None, chain(before, rows)
