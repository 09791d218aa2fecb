"""What sources call their positions: beside sequences that are shown, and where one is typed.

A stream has a mapping if one was declared. Where none was, all is shown and typed as without.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ledger.cli.parameters import Parameter, beginning
from ledger.cli.process.hosts import command_name
from ledger.errors import InvalidCursorError
from ledger.law.cursor import CursorKey
from ledger.law.reserved import POSITIONS
from ledger.log.text import visible

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from ledger.cli.shown.tables import Column
    from ledger.positions.mapping import PositionMapping
    from ledger.service import Ledger

__all__ = ["AT_SOURCE", "POSITION", "Names", "Position", "sequence_of"]

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
    "low": "",
    "high": "",
    "to": "",
    "front": "",
}


# --- shown ---


class Names:
    """What sources call the sequences that a command shows.

    Each stream is looked up once. After a few, all that were declared are read, with one query.
    """

    def __init__(self, book: Ledger) -> None:
        self._book = book
        self._known: dict[str, PositionMapping | None] = {}
        self._declared: dict[str, PositionMapping] | None = None

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
            return _named(mapping, record)

        return named

    def _column(self, column: Column) -> Column:
        at = column.at
        if at is None:
            return column
        # Imported here, because only a table has columns.
        import attrs

        from ledger.cli.shown.colours import recoloured, without_colour
        from ledger.cli.shown.layout import Kind

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
        if len(self._known) < LOOKED_UP_MAX:
            return self._known.setdefault(stream_name, self._declared_for(stream_name))
        self._declared = {each.stream_name: each.mapping for each in self._book.positions.list()}
        return self._declared.get(stream_name)

    def _declared_for(self, stream_name: str) -> PositionMapping | None:
        # Most streams have no mapping, and without one nothing that reads it is imported.
        if self._book.find(CursorKey.kept(POSITIONS, stream_name, "")) is None:
            return None
        return self._book.positions.of(stream_name)


def _named(mapping: PositionMapping, record: dict[str, Any]) -> dict[str, Any]:
    """Return `record` with the words for its sequences, and so each record in it."""
    within = {
        name: value if name in _AS_IT_IS else _each(mapping, value)
        for name, value in record.items()
    }
    words = _words(mapping, {**record, **(record.get("event") or {})})
    return {**within, AT_SOURCE: words} if words else within


def _each(mapping: PositionMapping, value: object) -> Any:
    match value:
        case dict():
            return _named(mapping, value)
        case list():
            return [_each(mapping, one) for one in value]
        case _:
            return value


# An event is named with its entry; the names of metadata are the user's own.
_AS_IT_IS = {"key", "event", "metadata"}


def _words(mapping: PositionMapping, record: dict[str, Any]) -> dict[str, str]:
    words = {
        name: mapping.word_of(record[name], record.get(token) or "")
        for name, token in _SEQUENCES.items()
        if isinstance(record.get(name), int)
    }
    return {name: word for name, word in words.items() if word}


# --- typed ---


class Position(NamedTuple):
    """A position in the words of its source, as it was typed."""

    word: str


POSITIONS_TYPED = ("offset:", "next-offset:", "lsn:", "token:")


class PositionType(Parameter[int | Position]):
    """A sequence, or a position in the words of its source."""

    name = "position"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | Position:
        """Return the sequence, or the position."""
        if isinstance(value, int | Position):
            return value
        from ledger.positions.mapping import is_word

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

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the word for what a position is."""
        del ctx, param
        return beginning(POSITIONS_TYPED, incomplete)


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
            f"{key.stream_name}. Declare it first: {command_name()} positions declare STREAM "
            "MAPPING."
        )
    from ledger.positions.mapping import PositionMapping

    prefix, _, token = typed.word.partition(":")
    if mapping is PositionMapping.TOKENS and prefix == "token":
        from ledger.positions.confirmed import sequence_of_token

        return sequence_of_token(book, key, token.strip())
    return mapping.sequence_of(typed.word)
