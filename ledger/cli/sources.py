"""What sources call their positions: beside sequences that are shown, and where one is typed.

A stream has a mapping if one was declared. Where none was, all is shown and typed as without.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import click

from ledger.cli.colours import recoloured, without_colour
from ledger.cli.layout import Kind
from ledger.cli.parameters import Parameter
from ledger.cli.tables import Column
from ledger.errors import InvalidCursorError, invalid
from ledger.law import fields
from ledger.law.cursor import CursorKey
from ledger.law.events import ErrorRecorded
from ledger.law.queries import EntryQuery
from ledger.law.reserved import POSITIONS
from ledger.log.text import visible
from ledger.positions.mapping import PositionMapping, is_word
from ledger.service import Ledger

__all__ = ["AT_SOURCE", "POSITION", "Names", "Position", "sequence_of", "token_at"]

AT_SOURCE = "at_source"
"""The field of JSON objects with what the source calls each of their sequences."""

LOOKED_UP_MAX = 8

# The fields with a sequence of a stream, and that with the delivery id that was confirmed there.
_SEQUENCES = {
    "last_sequence": "last_delivery_id",
    "previous_sequence": "",
    "sequence": "delivery_id",
    "first": "",
    "last": "",
    "head": "",
}


# --- shown ---


@attrs.define
class Names:
    """What sources call the sequences that a command shows.

    Each stream is looked up once. After a few, all that were declared are read, with one query.
    """

    _book: Ledger
    _known: dict[str, PositionMapping | None] = attrs.field(init=False, factory=dict)
    _declared: dict[str, PositionMapping] | None = attrs.field(init=False, default=None)

    def beside(self, key: CursorKey, sequence: int, token: str = "") -> str:
        """Return what is shown behind a sequence, in brackets; empty if there is nothing to add."""
        mapping = self.mapping(key.consumer_id, key.stream_name)
        shown = "" if mapping is None else mapping.shown(sequence, token)
        return f" ({visible(shown)})" if shown else ""

    def with_it(self, key: CursorKey, sequence: int, token: str = "") -> str:
        """Return a sequence, and behind it what its source calls it."""
        return f"{sequence}{self.beside(key, sequence, token)}"

    def columns(self, columns: list[Column]) -> list[Column]:
        """Return `columns`, in which each that shows a sequence shows its name beside it."""
        return [self._column(column) for column in columns]

    def plain(self, plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return what `plain` returns, with one more field where a mapping was declared."""

        def named(value: Any) -> Any:
            record = plain(value)
            key = record.get("key") if isinstance(record, dict) else None
            mapping = self.mapping(key["consumer_id"], key["stream_name"]) if key else None
            if mapping is None:
                return record
            words = _words(mapping, {**record, **(record.get("event") or {})})
            return {**record, AT_SOURCE: words} if words else record

        return named

    def _column(self, column: Column) -> Column:
        at = column.at
        if at is None:
            return column

        def named(value: Any) -> str:
            place, text = at(value), column.text(value)
            if place is None:
                return text
            return recoloured(without_colour(text) + self.beside(*place), text)

        kind = Kind.PLACE if column.kind is Kind.NUMBER else column.kind
        return attrs.evolve(column, cell=named, kind=kind, bare=column)

    def mapping(self, consumer_id: str, stream_name: str) -> PositionMapping | None:
        """Return what was declared for a stream; None for the declarations themselves."""
        if consumer_id == POSITIONS:
            return None
        if self._declared is not None:
            return self._declared.get(stream_name)
        if stream_name in self._known:
            return self._known[stream_name]
        positions = self._book.positions
        if len(self._known) < LOOKED_UP_MAX:
            return self._known.setdefault(stream_name, positions.of(stream_name))
        self._declared = {each.stream_name: each.mapping for each in positions.list()}
        return self._declared.get(stream_name)


def _words(mapping: PositionMapping, record: dict[str, Any]) -> dict[str, str]:
    words = {
        name: mapping.word_of(record[name], record.get(token) or "")
        for name, token in _SEQUENCES.items()
        if isinstance(record.get(name), int)
    }
    return {name: word for name, word in words.items() if word}


# --- typed ---


@attrs.frozen
class Position:
    """A position in the words of its source, as it was typed."""

    word: str


class PositionType(Parameter[int | Position]):
    """A sequence, or a position in the words of its source."""

    name = "position"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | Position:
        """Return the sequence, or the position."""
        if isinstance(value, int | Position):
            return value
        if is_word(value):
            return Position(value)
        try:
            return click.INT.convert(value, param, ctx)
        except click.BadParameter:
            self.fail(
                f"{value!r:.80} is not a valid integer, nor a position that says what it is: "
                "offset:43, next-offset:44, lsn:0/16B3748, token:evt_9a.",
                param,
                ctx,
            )


POSITION = PositionType()


def sequence_of(book: Ledger, key: CursorKey, typed: int | Position) -> int:
    """Return the sequence that was typed for the cursor of `key`.

    Raises InvalidCursorError if a mapping was not declared for the stream, or is another one.
    """
    if isinstance(typed, int):
        return typed
    mapping = book.positions.of(key.stream_name)
    if mapping is None:
        raise InvalidCursorError(
            f"{typed.word!r:.80} is a position of a source, and none was declared for "
            f"{key.stream_name}. Declare it first: cursor-ledger positions declare STREAM MAPPING."
        )
    prefix, _, token = typed.word.partition(":")
    if mapping is PositionMapping.TOKENS and prefix == "token":
        return _sequence_of_token(book, key, token.strip())
    return mapping.sequence_of(typed.word)


def token_at(book: Ledger, key: CursorKey, sequence: int) -> str:
    """Return the token that was last confirmed as `sequence`, from 1, at the cursor of `key`.

    Raises InvalidCursorError if none was.
    """
    for entry in book.entries(EntryQuery(key=key, newest_first=True)):
        event = entry.event
        if isinstance(event, ErrorRecorded) or event.sequence != sequence:
            continue
        if event.delivery_id:
            return event.delivery_id
    raise InvalidCursorError(
        f"no token of {key} was confirmed as {sequence}, so that a consumer could not go on after "
        "it. Name one that was, as in --to token:evt_9a; or add --delivery-id TOKEN."
    )


def _sequence_of_token(book: Ledger, key: CursorKey, token: str) -> int:
    # The newest one: after a reset, the source may have named them in another order.
    for entry in book.entries(EntryQuery(key=key, newest_first=True)):
        event = entry.event
        if not isinstance(event, ErrorRecorded) and event.delivery_id == token:
            return event.sequence
    said = fields.shown(token)
    raise invalid("position", f"is a token that {key} never confirmed: {said}.", value=said)
