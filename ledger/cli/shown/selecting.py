"""Which columns and fields a result has, by the names that users know them by, and its order."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial, total_ordering
from itertools import chain, islice
from typing import Any

import attrs
import click

from ledger.cli.shown.colours import without_colour
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.narrowing import Column
from ledger.cli.shown.records import OPEN, field_of, flat, names_of
from ledger.cli.shown.shaped import Plain, Shaped
from ledger.cli.shown.shapes import Shape
from ledger.errors import InvalidCursorError
from ledger.law import paths
from ledger.log.text import dumps, parse_time, visible, visible_json

__all__ = ["selected"]

CURSOR = "cursor"
"""The name of a cursor in one word, where it is asked for."""
_PARTS = ("consumer_id", "stream_name", "subject_id")


def selected(
    shape: Shape,
    values: Iterable[Any],
    columns: Sequence[Column],
    *,
    plain: Plain,
    of: Sequence[type | str],
    to_read: bool,
) -> Shaped:
    """Return what `shape`, which was asked for, makes of a result.

    Raises click.UsageError for a name that is unknown.
    """
    values = iter(values)
    # Which fields there are is known from a value, where it is not known before.
    first = list(islice(values, 1))
    values = chain(first, values)
    names = _Names.of(columns, of, [_fields(plain, value) for value in first])
    if names.has_cursor and (shape.columns or shape.template):
        plain = partial(_with_cursor, plain)
    values = _in_order(values, shape, [(names.key(n, plain), down) for n, down in shape.sort])
    template = shape.template and shape.template.renamed(names.field)
    if not shape.columns:
        return Shaped(values, columns, plain, of, template)
    if to_read:
        chosen = [names.column(name, plain, first) for name in shape.columns]
        return Shaped(values, chosen, plain, of, template)
    fields = [names.field(name) for name in shape.columns]
    return Shaped(values, columns, partial(_only, fields, plain), fields, template)


def _fields(plain: Plain, value: object) -> dict[str, Any]:
    record = plain(value)
    return flat(record) if isinstance(record, Mapping) else {}


def _with_cursor(plain: Plain, value: object) -> Any:
    """Return the record of `value`, with the cursor in one word, as narrow tables have it."""
    record = plain(value)
    parts = _fields(plain, value)
    return {**record, CURSOR: paths.joined(parts[name] for name in _PARTS)} if parts else record


def _only(names: Sequence[str], plain: Plain, value: object) -> dict[str, Any]:
    fields = _fields(plain, value)
    return {name: field_of(fields, name) for name in names}


# --- names ---


@attrs.frozen
class _Names:
    """The columns of a table, and the fields of its values in JSON."""

    columns: Mapping[str, Column]
    fields: Mapping[str, str]
    sample: Mapping[str, Any] | None
    """The fields of one value; None if there are no values."""

    @classmethod
    def of(
        cls, columns: Iterable[Column], of: Iterable[type | str], samples: list[dict[str, Any]]
    ) -> _Names:
        known = [name for kind in of for name in names_of(kind)]
        names = dict.fromkeys([*known, *(name for sample in samples for name in sample), *OPEN])
        return cls(
            {_simple(column.heading): column for column in columns},
            {_simple(name): name for name in names},
            samples[0] if samples else None,
        )

    @property
    def has_cursor(self) -> bool:
        """Whether each value is about a cursor, and `cursor` names nothing else."""
        taken = CURSOR in self.columns or CURSOR in self.fields
        return not taken and all(name in self.fields for name in _PARTS)

    def field(self, typed: str) -> str:
        """Return the field in JSON that `typed` names, by its own name or by a heading."""
        name = _simple(typed)
        if name == CURSOR and self.has_cursor:
            return CURSOR
        if found := self._field(name):
            return found
        column = self.columns.get(name)
        if column is not None and (found := self._field(column.name)):
            return found
        if column is not None:
            raise click.UsageError(
                f"{column.heading!r} is worded for tables and has no name in JSON. The names there "
                f"are {_listed(self.fields.values())}."
            )
        raise self._unknown(typed)

    def column(self, typed: str, plain: Plain, first: Sequence[Any]) -> Column:
        """Return the column that `typed` names, by its heading or by its name in JSON."""
        if found := self._column(_simple(typed)):
            return attrs.evolve(found, spared=0, of_cursor=False, kept=True)
        name = self.field(typed)
        number = any(isinstance(field_of(_fields(plain, value), name), int) for value in first)
        kind = Kind.NUMBER if number else Kind.CURSOR if name == CURSOR else Kind.TEXT
        return Column(
            name,
            lambda value: _text(field_of(_fields(plain, value), name)),
            kind=kind,
            kept=True,
        )

    def key(self, typed: str, plain: Plain) -> Callable[[Any], _Key]:
        """Return what values are sorted by, for the column or field that `typed` names."""
        if found := self._column(_simple(typed)):
            column, known = found.bare or found, self._field(found.name)

            def key(value: Any) -> _Key:
                cell = column.cell(value)
                if known and _is_worded(cell, column.kind):
                    return _Key.of_field(field_of(_fields(plain, value), known))
                return _Key.of_cell(cell, column.kind)

            return key
        name = self.field(typed)
        return lambda value: _Key.of_field(field_of(_fields(plain, value), name))

    def _column(self, name: str) -> Column | None:
        if name in self.columns:
            return self.columns[name]
        return next((each for each in self.columns.values() if each.name == name), None)

    def _field(self, name: str) -> str | None:
        """Return the field that is called `name`, or `outer.inner`, if there is one."""
        outer, dot, inner = name.partition(".")
        if outer in ("key", "event") and dot:
            return self._field(inner)
        field = self.fields.get(outer)
        if field is None or not dot:
            return field
        if field not in OPEN and self.sample is not None:
            there = self.sample.get(field)
            named = isinstance(there, Mapping) and inner.partition(".")[0] in there
            if not named and there is not None:
                return None
        return f"{field}.{inner}"

    def _unknown(self, typed: str) -> click.UsageError:
        known = [column.heading for column in self.columns.values()]
        simple = {_simple(name): name for name in (*self.fields.values(), *known)}
        from difflib import get_close_matches

        near = [simple[n] for n in get_close_matches(_simple(typed), simple, n=2, cutoff=0.6)]
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        headings = _listed(column.heading for column in self.columns.values())
        in_json = [name for name in self.fields.values() if name not in OPEN]
        return click.UsageError(
            f"No column here is called {visible(typed)[:80]!r}.{meant} The columns are "
            f"{headings or 'none'}; in JSON: {_listed(in_json) or 'none'}."
        )


def _is_worded(cell: object, kind: Kind) -> bool:
    """Return whether a number is in words, as an age of 20h is."""
    return (
        kind is Kind.NUMBER
        and isinstance(cell, str)
        and cell[:1].isdigit()
        and not cell[-1:].isdigit()
    )


def _simple(name: str) -> str:
    """Return a name as it is looked for: in any case, with blanks and dashes as underscores.

    What names a part of something keeps its case, because metadata may differ in it.
    """
    outer, dot, inner = name.strip().partition(".")
    return outer.lower().replace(" ", "_").replace("-", "_") + dot + inner


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _text(value: object) -> str:
    if value is None:
        return ""
    return visible(value) if isinstance(value, str) else visible_json(dumps(value))


# --- order ---


@total_ordering
@attrs.frozen
class _Key:
    """Where a value belongs: numbers and times before words, and nothing at all behind both."""

    rank: int
    value: Any

    @classmethod
    def of_cell(cls, cell: object, kind: Kind) -> _Key:
        if isinstance(cell, str):
            text = without_colour(cell)
            if kind in {Kind.NUMBER, Kind.PLACE}:
                with suppress(ValueError):
                    return cls(0, int(text.replace(",", "")))
            return cls(1, text) if text and text != "–" else cls(2, 0)
        return cls(2, 0) if cell is None else cls(0, cell)

    @classmethod
    def of_field(cls, value: object) -> _Key:
        if isinstance(value, str):
            with suppress(InvalidCursorError):
                return cls(0, parse_time(value, "it"))
            return cls(1, value) if value else cls(2, 0)
        if value is None:
            return cls(2, 0)
        return cls(0, value) if isinstance(value, int) else cls(1, dumps(value))

    def __lt__(self, other: _Key) -> bool:
        if self.rank != other.rank:
            return self.rank < other.rank
        if isinstance(self.value, datetime) is not isinstance(other.value, datetime):
            return isinstance(self.value, datetime)
        return bool(self.value < other.value)


@total_ordering
@attrs.frozen
class _Down:
    """The same, the highest first; what is nothing stays behind."""

    key: _Key

    def __lt__(self, other: _Down) -> bool:
        if 2 in (self.key.rank, other.key.rank):
            return self.key.rank < other.key.rank
        return other.key < self.key


def _in_order(
    values: Iterator[Any], shape: Shape, keys: Sequence[tuple[Callable[[Any], _Key], bool]]
) -> Iterator[Any]:
    if not keys:
        return islice(values, shape.limit) if shape.limit else values

    def placed(value: Any) -> list[_Key | _Down]:
        return [_Down(key(value)) if down else key(value) for key, down in keys]

    if shape.limit:
        return iter(heapq.nsmallest(shape.limit, values, key=placed))
    return iter(sorted(values, key=placed))
