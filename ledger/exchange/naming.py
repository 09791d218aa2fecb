"""How the columns of a source name a cursor, and where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

import attrs

from ledger.errors import InvalidCursorError, invalid
from ledger.exchange.templates import AbsentError, Template
from ledger.law import fields
from ledger.law.cursor import CursorKey
from ledger.log.text import parse_time

__all__ = ["Found", "Names"]


@attrs.frozen(kw_only=True)
class Found:
    """A cursor as a row has it; `sequence` is None if the row has no position for it."""

    key: CursorKey
    sequence: int | None
    delivery_id: str = ""
    delivered_at: datetime | None = None


@attrs.frozen(kw_only=True)
class Names:
    """The templates that make a cursor out of a row; a row may lack what is `optional`."""

    consumer_id: Template
    stream_name: Template
    subject_id: Template
    sequence: Template
    delivery_id: Template
    delivered_at: Template
    optional: frozenset[str] = frozenset()

    @classmethod
    def of(cls, *, optional: Iterable[str] = (), **texts: str) -> Names:
        """Return the names that these templates are; one that is left out is empty.

        Raises InvalidCursorError.
        """
        wanted = [field.name for field in attrs.fields(cls) if field.name != "optional"]
        templates = {name: Template.of(texts.get(name, ""), name) for name in wanted}
        return cls(**templates, optional=frozenset(optional))

    def but(self, **texts: str | None) -> Names:
        """Return the same with other templates for the fields whose text is not None.

        Raises InvalidCursorError.
        """
        given = {name: Template.of(text, name) for name, text in texts.items() if text is not None}
        return attrs.evolve(self, **given, optional=self.optional - given.keys())

    def check(self, columns: Iterable[str]) -> None:
        """Refuse a template that names another column than these.

        Raises InvalidCursorError.
        """
        known = tuple(columns)
        for field, template in self._templates():
            for column in template.columns:
                if column not in known and field not in self.optional:
                    raise invalid(
                        field,
                        f"needs a column {column!r:.80}; there are {', '.join(known)!s:.400}. "
                        "Name another one in braces, or write the text itself.",
                        value=f"{column!r:.80}",
                        allowed=known,
                    )

    def found(self, values: Mapping[str, object]) -> Found:
        """Return the cursor that a row has.

        Raises InvalidCursorError.
        """
        return Found(
            key=CursorKey(
                self.consumer_id.fill(values),
                self.stream_name.fill(values),
                self._optional("subject_id", values),
            ),
            sequence=_sequence(self.sequence.value(values)),
            delivery_id=fields.text(self._optional("delivery_id", values), "delivery_id"),
            delivered_at=self._delivered_at(values),
        )

    def has_position(self, values: Mapping[str, object]) -> bool:
        """Return whether a row has a position, even if nothing else in it can be read."""
        try:
            return self.sequence.value(values) is not None
        except InvalidCursorError:
            return True

    def _templates(self) -> Iterator[tuple[str, Template]]:
        for field in attrs.fields(Names):
            template = getattr(self, field.name)
            if isinstance(template, Template):
                yield field.name, template

    def _optional(self, field: str, values: Mapping[str, object]) -> str:
        template: Template = getattr(self, field)
        try:
            return template.fill(values)
        except AbsentError:
            if field in self.optional:
                return ""
            raise

    def _delivered_at(self, values: Mapping[str, object]) -> datetime | None:
        try:
            return _moment(self.delivered_at.value(values))
        except AbsentError:
            if "delivered_at" in self.optional:
                return None
            raise


# More digits than any position has; Python itself refuses to read 5,000 of them.
_DIGITS = re.compile(r"-?[0-9]{1,40}")


def _sequence(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid("sequence", f"must be an integer, not {_said(value)}.", value=_said(value))
    return fields.sequence(value, "sequence", least=0)


# How Go's time.Time prints itself, which is what some of its drivers store.
_GO = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})?) ([+-]\d\d)(\d\d) \w+(?: m=.*)?", re.ASCII
)


def _moment(value: object) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return _reached(fields.moment(value, "delivered_at"))
    if not isinstance(value, str):
        raise invalid(
            "delivered_at",
            f"must be a time with its zone, not {_said(value)}. Format it in the query, or leave "
            "it out.",
            value=_said(value),
        )
    if not value.strip():
        return None
    if found := _GO.fullmatch(value.strip()):
        value = f"{found[1]}{found[2]}:{found[3]}"
    return _reached(parse_time(value.strip(), "delivered_at"))


def _reached(moment: datetime) -> datetime | None:
    # The first moment of the year 1 is what a Go program writes for none.
    return None if moment.year == 1 else moment


def _said(value: object) -> str:
    if isinstance(value, str):
        return fields.shown(value)
    if isinstance(value, float):
        return f"the float {value!r:.40}"
    return fields.kind(value)
