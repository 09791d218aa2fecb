"""Every column of an entry and of a stored cursor, once: its name, its type, and its place.

Rows are plain tuples, because a named tuple takes 0.6 µs more for each row of an entry. These lists
say what stands where in a row: statements, schemas, the digest and the checks of types follow from
them, or are tested against them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import NoneType
from typing import Any, NamedTuple, TypeAlias, cast

__all__ = [
    "CONTENT",
    "CURSOR",
    "ENTRY",
    "EVENT",
    "HEAD",
    "KEY",
    "KEYED_CURSOR",
    "MOVE",
    "STATE",
    "STORED_CURSOR",
    "Column",
    "Columns",
    "Row",
]

Plain: TypeAlias = type[int] | type[str] | type[bytes] | type[None]

Row: TypeAlias = tuple[Any, ...]
"""A row as a database returns it, which is distrusted."""


class Column(NamedTuple):
    """A column: its name, the type of its values, and whether it may be NULL.

    Times are integers: microseconds since 1970 UTC.
    """

    name: str
    type: Plain
    optional: bool = False


class Columns:
    """The columns of a row, in order."""

    __slots__ = ("columns",)

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self.columns = columns

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, in order."""
        return tuple(column.name for column in self.columns)

    def place(self, name: str) -> int:
        """Return the index of the column `name` in a row."""
        return self.names.index(name)

    def places(self, part: Columns) -> slice:
        """Return where in a row the columns of `part` are, which follow each other here.

        Raises ValueError if they do not.
        """
        start = self.place(part.columns[0].name)
        places = slice(start, start + len(part.columns))
        if self.columns[places] != part.columns:
            raise ValueError(f"{part.names} do not follow each other in {self.names}")
        return places

    def fit(self) -> Callable[[Row], bool]:
        """Return a function that says whether a row has values of these types, and of no subtype.

        Every row that is read is asked, so it is compiled to one chain of comparisons: 0.25 µs for
        an entry. To look up the tuple of all types in a set takes 0.65.
        """
        checks = [f"len(row) == {len(self)}"]
        for place, column in enumerate(self):
            check = f"type(row[{place}]) is {column.type.__name__}"
            checks.append(f"(row[{place}] is None or {check})" if column.optional else check)
        scope = {kind.__name__: kind for kind in (int, str, bytes, NoneType)}
        code = f"lambda row: {' and '.join(checks)}"
        return cast("Callable[[Row], bool]", eval(code, scope))  # noqa: S307 - of the names above

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)


_VERSION, _EPOCH = Column("version", int), Column("epoch", int)
_RECORDED_AT = Column("recorded_at", int)
_DIGEST = Column("digest", bytes)

# --- an entry ---

KEY = Columns((Column("consumer_id", str), Column("stream_name", str), Column("subject_id", str)))
"""What names a cursor."""

_APPENDED = Columns(
    (
        _VERSION,
        _EPOCH,
        _RECORDED_AT,
        Column("actor", str),
        Column("metadata", str, optional=True),  # as JSON
    )
)
_HAPPENED = Columns(
    (
        Column("previous_sequence", int, optional=True),
        Column("sequence", int, optional=True),
        Column("delivery_id", str, optional=True),
        Column("delivered_at", int, optional=True),
        Column("outcome", str, optional=True),
        Column("reason", str, optional=True),
        Column("message", str, optional=True),
        Column("occurred_at", int),
    )
)

CONTENT = Columns((*KEY, *_APPENDED, Column("tag", str), *_HAPPENED))
"""What an entry says, in the order of its digest."""

ENTRY = Columns((Column("position", int), *CONTENT, _DIGEST))
"""An entry, as it is read."""

EVENT = Columns((Column("cursor_id", int), *_APPENDED, Column("tag_id", int), *_HAPPENED, _DIGEST))
"""An entry as `ledger_events` has it behind its position: cursor and tag are named by number."""

MOVE = Columns(
    (
        _VERSION,
        _EPOCH,
        _RECORDED_AT,
        Column("previous_sequence", int, optional=True),
        Column("sequence", int),
        Column("position", int),
    )
)
"""Where an entry that is no error put its cursor."""

# --- a stored cursor ---

CURSOR = Columns(
    (
        Column("last_sequence", int),
        Column("last_delivery_id", str),
        Column("last_delivered_at", int, optional=True),
        Column("last_error", str),
        Column("updated_at", int),
        _VERSION,
        _EPOCH,
    )
)
"""Where a cursor stands: the fields of a `Cursor` behind its key."""

KEYED_CURSOR = Columns((*KEY, *CURSOR))
"""A cursor with its key, as cursors are listed."""

STATE = Columns((*CURSOR, _RECORDED_AT, _DIGEST))
"""All that changes of a stored cursor: where it stands, and where the chain of its entries ends."""

HEAD = Columns((Column("id", int), *STATE))
"""A stored cursor, as it is read by its key."""

STORED_CURSOR = Columns((Column("id", int), *KEY, *STATE))
"""A row of `ledger_cursors`."""
