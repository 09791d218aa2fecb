"""The columns that tables of cursors and entries have, and how a cell is worded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ledger.cli.shown.layout import Kind
from ledger.cli.shown.short_times import to_the_second as show_time
from ledger.cli.shown.tables import Column, colour
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.events import (
    CursorAdvanced,
    CursorReset,
    CursorStarted,
    Entry,
    ErrorRecorded,
    Event,
)
from ledger.law.reserved import SIGNATURE, is_signature
from ledger.law.takeovers import is_takeover
from ledger.log.text import visible

__all__ = ["CURSORS", "ENTRIES", "OWNER", "ends", "show_time", "with_metadata"]


def _what(entry: Entry) -> str:
    event = entry.event
    match event:
        case CursorAdvanced() if event.previous_sequence == event.sequence:
            return f"confirm {event.sequence}"
        case CursorAdvanced():
            return f"advance {event.previous_sequence} → {event.sequence}"
        case CursorReset() if is_takeover(entry):
            return colour(f"take over at {event.sequence}", "yellow")
        case CursorReset():
            return colour(f"reset {event.previous_sequence} → {event.sequence}", "yellow")
        case ErrorRecorded():
            return colour("error", "red")
        case CursorStarted():
            return colour(f"start at {event.sequence}", "yellow")


def _detail(entry: Entry) -> str:
    return with_metadata(_said(entry.event), entry.metadata)


def _said(event: Event) -> str:
    match event:
        case CursorAdvanced():
            outcome = "" if event.outcome == "delivered" else event.outcome.value
            return " ".join(part for part in (event.delivery_id, outcome) if part)
        case CursorReset():
            return event.reason
        case ErrorRecorded():
            return event.message
        case CursorStarted():
            return f"from {event.source}: {event.reason}" if event.source else event.reason


def with_metadata(text: str, metadata: Mapping[str, str]) -> str:
    """Return `text`, and after it the metadata in brackets, made visible.

    A signature is for programs, and long: only that there is one is said.
    """
    pairs = " ".join(
        [f"{name}={value}" for name, value in metadata.items() if not is_signature(name)]
        + [f"{SIGNATURE}=…"] * (SIGNATURE in metadata)
    )
    return visible(f"{text} [{pairs}]".lstrip() if pairs else text)


def _text(name: str) -> Callable[[Any], str]:
    return lambda value: visible(str(getattr(value, name)))


def _key(name: str) -> Callable[[Cursor | Entry], str]:
    return lambda value: visible(getattr(value.key, name))


def _place(entry: Entry) -> tuple[CursorKey, int, str] | None:
    event = entry.event
    # A token is shown as the delivery.
    return None if isinstance(event, ErrorRecorded) else (entry.key, event.sequence, "")


OWNER = [
    Column("consumer", _key("consumer_id"), kind=Kind.NAME, of_cursor=True),
    Column("stream", _key("stream_name"), kind=Kind.NAME, of_cursor=True),
    Column("subject", _key("subject_id"), kind=Kind.NAME, of_cursor=True),
]


def ends(of: Callable[[Any], Any]) -> list[Column]:
    """Return the columns of where a range of sequences begins and ends.

    `of` finds it in a row: what has a key, its first sequence and its last one.
    """

    def column(end: str) -> Column:
        def sequence(row: object) -> int:
            return int(getattr(of(row), end))

        return Column(
            end,
            lambda row: str(sequence(row)),
            lambda row: (of(row).key, sequence(row), ""),
            kind=Kind.NUMBER,
        )

    return [column("first"), column("last")]


CURSORS = [
    *OWNER,
    Column(
        "sequence",
        _text("last_sequence"),
        lambda cursor: (cursor.key, cursor.last_sequence, ""),
        kind=Kind.NUMBER,
        field="last_sequence",
    ),
    Column(
        "delivery", _text("last_delivery_id"), kind=Kind.NAME, spared=1, field="last_delivery_id"
    ),
    Column(
        "delivered",
        lambda cursor: cursor.last_delivered_at,
        kind=Kind.TIME,
        spared=1,
        field="last_delivered_at",
    ),
    Column("version", _text("version"), kind=Kind.NUMBER, spared=1),
    Column("epoch", _text("epoch"), kind=Kind.NUMBER, spared=1),
    Column("updated", lambda cursor: cursor.updated_at, kind=Kind.TIME, field="updated_at"),
    Column("last error", lambda cursor: colour(visible(cursor.last_error), "red")),
]

ENTRIES = [
    Column("position", _text("position"), kind=Kind.NUMBER, spared=2),
    Column("recorded", lambda entry: entry.recorded_at, kind=Kind.TIME),
    *OWNER,
    Column("version", _text("version"), kind=Kind.NUMBER, spared=1),
    Column("event", _what, _place, kind=Kind.WORDS, field="tag"),
    Column("detail", _detail),
    Column("actor", _text("actor"), kind=Kind.NAME, spared=2),
]
