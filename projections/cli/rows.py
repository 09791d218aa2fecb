"""The rows of a list of cursors: how each does, as a table and as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from ledger import CursorKey, CursorQuery, CursorReset, EntryQuery, Ledger
from ledger.cli.shown.columns import CURSORS, OWNER
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.tables import Column, colour
from ledger.law.takeovers import is_takeover
from ledger.log.plain import unstructure
from ledger.log.text import show_time, visible
from projections.lag import Lag, LagState
from projections.overview import CursorOverview

__all__ = ["ADDED", "COLOURS", "WIDE", "Rows", "plain", "shown_behind"]

ADDED = ("head", "behind", "since", "age_s", "state", "errors", "error", "moved_at", "ahead")
"""What a list says of a cursor beside its own fields."""

RESETS_MAX = 16
"""How many resets of one cursor are looked at for the one that put it where it stands."""

COLOURS = {LagState.FAILING: "red", LagState.STALLED: "red", LagState.BEHIND: "yellow"}


def plain(row: CursorOverview) -> dict[str, Any]:
    """Return a row as JSON values: the fields of the cursor, and what is added to them."""
    lag = row.lag
    record: dict[str, Any] = unstructure(row.cursor)
    # In the order of `ADDED`; written out, because a list may be long.
    record["head"] = lag.head
    record["behind"] = lag.behind
    record["since"] = _time(lag.since)
    record["age_s"] = lag.age_s
    record["state"] = lag.state.value
    record["errors"] = lag.errors
    record["error"] = lag.last_error
    record["moved_at"] = _time(row.moved_at)
    record["ahead"] = lag.ahead
    return record


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else show_time(moment)


class Rows:
    """The columns of a table of cursors.

    The actor of a reset is looked up for the rows that are shown, once for each.
    """

    def __init__(self, book: Ledger, query: CursorQuery) -> None:
        self._book = book
        # Where nobody records heads, it would be said of every cursor that it has none.
        self._has_heads = any(True for _ in book.heads.all(query.stream_name))
        self._actors: dict[tuple[CursorKey, int], str] = {}

    def columns(self, *, wide: bool = False, exact: bool = False) -> list[Column]:
        """Return the columns that a table has; `exact` has times instead of ages."""
        if wide:
            return self.filled(WIDE)
        moved = _moved(Kind.TIME if exact else Kind.AGE)
        return [*OWNER, _of_cursor("sequence"), _BEHIND, moved, Column("state", self._state)]

    def filled(self, columns: list[Column]) -> list[Column]:
        """Return `columns`, which are in `WIDE`, with what only the ledger knows."""
        state = lambda row: self._state(row, error=False)  # noqa: E731 - the cell of a column
        return [attrs.evolve(c, cell=state) if c.heading == "state" else c for c in columns]

    def _state(self, row: CursorOverview, *, error: bool = True) -> str:
        return colour(visible(self._said(row, error=error)), COLOURS.get(row.state, ""))

    def _said(self, row: CursorOverview, *, error: bool) -> str:
        match row.state:
            case LagState.FAILING:
                count = f"failing {row.lag.errors:,}×"
                return f"{count} {row.lag.last_error}" if error else count
            case LagState.NO_HEAD:
                return "no head" if self._has_heads else ""
            case LagState.OK:
                return "ok"
            case _:
                actor = self._reset_by(row)
                return f"{row.state.value}, reset by {actor}" if actor else row.state.value

    def _reset_by(self, row: CursorOverview) -> str:
        """Return who reset a cursor to where it stands; empty if no reset put it there."""
        if not row.cursor.epoch:
            return ""
        place = (row.key, row.cursor.version)
        if place not in self._actors:
            self._actors[place] = self._looked_up(row)
        return self._actors[place]

    def _looked_up(self, row: CursorOverview) -> str:
        query = EntryQuery(
            key=row.key,
            kinds=[CursorReset],
            version_until=row.cursor.version,
            newest_first=True,
            limit=RESETS_MAX,
        )
        for entry in self._book.entries(query):
            if is_takeover(entry):
                continue
            there = isinstance(entry.event, CursorReset) and (
                entry.event.sequence == row.cursor.last_sequence
                and entry.recorded_at == row.moved_at
            )
            return entry.actor if there else ""
        return ""


def _of_cursor(heading: str) -> Column:
    """Return a column of cursors, for rows that have one."""
    [column] = [column for column in CURSORS if column.heading == heading]
    cell, at = column.cell, column.at
    return attrs.evolve(
        column,
        cell=lambda row: cell(row.cursor),
        at=None if at is None else lambda row: at(row.cursor),
    )


def _moved(kind: Kind) -> Column:
    return Column("moved", lambda row: row.moved_at or "never", kind=kind, field="moved_at")


def shown_behind(lag: Lag) -> str:
    """Return how far a cursor is behind its head or, with a plus, how far it is ahead of it."""
    if lag.ahead:
        return f"{lag.ahead:+,}"
    return "" if lag.behind is None else f"{lag.behind:,}"


def _age(row: CursorOverview) -> str:
    # Only a wide table has it.
    from projections.cli.spans import shown_age

    return shown_age(row.lag.age_s)


_BEHIND = Column("behind", lambda row: shown_behind(row.lag), kind=Kind.NUMBER)
_SHOWN = {"consumer", "stream", "subject", "sequence"}

WIDE: list[Column] = [
    *OWNER,
    _of_cursor("sequence"),
    Column(
        "head",
        lambda row: "" if row.lag.head is None else str(row.lag.head),
        lambda row: None if row.lag.head is None else (row.key, row.lag.head, ""),
        kind=Kind.NUMBER,
    ),
    _BEHIND,
    Column("since", lambda row: row.lag.since, kind=Kind.TIME),
    Column("age", _age, kind=Kind.NUMBER, field="age_s"),
    _moved(Kind.TIME),
    Column("state", lambda row: row.state.value),
    *(_of_cursor(column.heading) for column in CURSORS if column.heading not in _SHOWN),
]
"""The columns of a wide table; `Rows.filled` words the state."""
