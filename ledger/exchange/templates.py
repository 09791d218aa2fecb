"""Templates that make a text of the columns of a row: `kafka-{group}`."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from ledger.errors import InvalidCursorError, invalid
from ledger.law import fields

__all__ = ["AbsentError", "Template", "escaped"]

_PART = re.compile(r"\{\{|\}\}|\{([^{}]+)\}|[{}]|[^{}]+")


class AbsentError(InvalidCursorError):
    """A row lacks a column, or has no value in it."""


@attrs.frozen
class Template:
    """A text in which `{column}` stands for the value of a column, and `{{` for a brace.

    A column of a JSON object may be in an object of its own: `{key.consumer_id}`.
    """

    text: str
    columns: tuple[str, ...]
    _parts: tuple[tuple[str, bool], ...] = attrs.field(repr=False)

    @classmethod
    def of(cls, text: str, field: str) -> Template:
        """Return the template `text`, which makes the field `field`.

        Raises InvalidCursorError.
        """
        parts: list[tuple[str, bool]] = []
        for found in _PART.finditer(text):
            part = found[0]
            if found[1] is not None:
                parts.append((found[1].strip(), True))
            elif part in ("{{", "}}"):
                parts.append((part[0], False))
            elif part in ("{", "}"):
                raise invalid(
                    field,
                    f"has a {part} that belongs to no column: {text!r:.80}. Write {{name}} for a "
                    f"column, and {part}{part} for the character itself.",
                    value=f"{text!r:.80}",
                )
            else:
                parts.append((part, False))
        columns = tuple(part for part, is_column in parts if is_column)
        return cls(text, columns, tuple(parts))

    def fill(self, values: Mapping[str, object]) -> str:
        """Return the text for a row.

        Raises AbsentError, and InvalidCursorError for a value that is neither text nor an integer.
        """
        return "".join(
            _text(part, value_of(part, values)) if is_column else part
            for part, is_column in self._parts
        )

    def value(self, values: Mapping[str, object]) -> object:
        """Return the value of the only column as it is, or else the text; None for no value.

        Raises as `fill` does.
        """
        if len(self._parts) == 1 and self.columns:
            return value_of(self.columns[0], values, none=True)
        return self.fill(values)


def escaped(text: str) -> str:
    """Return the template of a text as it stands."""
    return text.replace("{", "{{").replace("}", "}}")


def value_of(column: str, values: Mapping[str, object], *, none: bool = False) -> object:
    """Return the value of a column, which may be within others: `key.consumer_id`.

    Raises AbsentError if there is none, or, without `none`, if it is null.
    """
    found: object = values
    if column in values:
        found = values[column]
    else:
        for name in column.split("."):
            if not isinstance(found, Mapping) or name not in found:
                raise AbsentError(f"it has no {column!r:.80}.")
            found = found[name]
    if found is None and not none:
        raise AbsentError(f"{column!r:.80} is null.")
    return found


def _text(column: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise InvalidCursorError(
        f"{column!r:.80} must be text or an integer, not {fields.kind(value)}."
    )
