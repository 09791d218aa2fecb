"""The rules of reading: what was appended is returned, all of it, in order, as it was chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TypeVar

import attrs

from ledger.conformance.logs import Logs, Rule, expect, moment
from ledger.law.cursor import Cursor, CursorKey, Outcome
from ledger.law.events import (
    CursorAdvanced,
    CursorReset,
    CursorStarted,
    Entry,
    ErrorRecorded,
    Move,
)
from ledger.law.fields import SEQUENCE_MAX
from ledger.law.queries import CursorQuery, EntryQuery
from ledger.law.requests import AdvanceCursor, RecordError, ResetCursor, StartCursor
from ledger.law.reserved import HEAD, POSITIONS, PREFIX, is_reserved

__all__ = ["KEYS", "ORDERS", "RULES"]

T = TypeVar("T", int, datetime)

ORDERS = CursorKey("webhooks", "orders", "customer-7")

# By stream, subject and consumer. Neither the order of UTF-16, nor that of a language, nor one that
# knows no case, is this one.
KEYS = [
    CursorKey(consumer, stream, subject)
    for stream, subject, consumer in (
        ("Orders", "", "mailer"),
        ("order", "s", "mailer"),
        ("orders", "", "Mailer"),
        ("orders", "", "mailer"),
        ("orders", "%", "mailer"),
        ("orders", "A", "mailer"),
        ("orders", "_", "mailer"),
        ("orders", "a", "mailer"),
        ("orders", "e\u0301", "mailer"),
        ("orders", "z", "mailer"),
        ("orders", "\u00e9", "mailer"),
        ("orders", "\uff5e", "mailer"),
        ("orders", "\U0001f600", "mailer"),
        ("orders\U0001f600", "", "'; --"),
    )
]

# More than a page of any store that we know, so that pages have to follow each other.
MANY = 700


def an_empty_log(logs: Logs) -> None:
    log = logs.new()
    expect(log.store.cursor(ORDERS), None, "the cursor of a key without entries")
    expect(list(log.store.cursors(CursorQuery())), [], "the cursors")
    expect(log.store.horizon().position, 0, "the horizon")
    log.expect_all()


def every_field(logs: Logs) -> None:
    log = logs.new()
    texts = ("", "d-1", "'\"\\%_?", "тест 消费者 \U0001f600", "line\nline\ttab", " kept ")
    for nth, text in enumerate(texts, 1):
        log.append(
            AdvanceCursor(
                ORDERS,
                nth,
                delivery_id=text,
                last_delivered_at=moment(-nth - 0.000_001),
                outcome=list(Outcome)[nth % len(Outcome)],
                metadata={"b": text, "a": "1"},
            ),
            at=nth,
        )
    log.append(ResetCursor(ORDERS, 0, "to be delivered again \U0001f600", actor="ines"), at=10)
    log.append(RecordError(ORDERS, "HTTP 503", now=moment(-1)), at=11)
    log.append(AdvanceCursor(ORDERS, SEQUENCE_MAX), at=12)
    long_ago, far_ahead = (moment(0).replace(year=year) for year in (1, 9999))
    log.append(ResetCursor(ORDERS, 7, "x", last_delivered_at=long_ago, now=far_ahead), at=13)
    log.append(
        StartCursor(
            KEYS[0],
            SEQUENCE_MAX,
            "moved here \U0001f600",
            source="消费者 '\"\\%_?",
            last_delivery_id="d-9",
            last_delivered_at=long_ago,
            now=far_ahead,
            metadata={"b": "2", "a": "1"},
        ),
        StartCursor(KEYS[1], 0, "new"),
        at=14,
    )
    log.expect_all()


def at_once(logs: Logs) -> None:
    log = logs.new()
    for nth in range(1, 5):
        log.append(AdvanceCursor(ORDERS, nth), at=nth)
        log.expect_all()
        [listed] = log.store.cursors(CursorQuery())
        expect(listed.last_sequence, nth, "where a listed cursor stands after an append")


def keys_apart(logs: Logs) -> None:
    log = logs.new()
    log.append(*(AdvanceCursor(key, nth) for nth, key in enumerate(reversed(KEYS), 1)))
    log.expect_all()


def cursors_in_order(logs: Logs) -> None:
    log = logs.new()
    log.append(*(AdvanceCursor(key, nth) for nth, key in enumerate(reversed(KEYS), 1)))
    found = [cursor.key for cursor in log.store.cursors(CursorQuery())]
    expect(found, KEYS, "the keys of the cursors")


def cursors_chosen(logs: Logs) -> None:
    log = logs.new()
    log.append(*(AdvanceCursor(key, 1) for key in KEYS))
    queries = [
        CursorQuery(consumer_id="mailer"),
        CursorQuery(stream_name="orders"),
        CursorQuery(subject_id="s"),
        CursorQuery(consumer_id="Mailer", stream_name="orders"),
        CursorQuery(consumer_id="nobody"),
        CursorQuery(limit=3),
        CursorQuery(stream_name="orders", limit=len(KEYS)),
    ]
    for query in queries:
        chosen = [key for key in KEYS if _names(query, key)]
        found = [cursor.key for cursor in log.store.cursors(query)]
        expect(found, chosen[: query.limit or None], f"the keys of {query}")


def reserved_left_out(logs: Logs) -> None:
    log = logs.new()
    # What is next to the reserved ones by code point is not reserved.
    names = ["cursor-ledger", "cursor-ledger.", HEAD, POSITIONS, f"{PREFIX}\U0010ffff"]
    names += ["cursor-ledger0", "Cursor-ledger/head", "mailer"]
    keys = sorted(
        (CursorKey(name, stream) for name in names for stream in ("orders", "parcels")),
        key=lambda key: (key.stream_name, key.subject_id, key.consumer_id),
    )
    log.append(*(AdvanceCursor(key, 1) for key in keys))
    queries = [
        CursorQuery(),
        CursorQuery(reserved=True),
        CursorQuery(stream_name="orders"),
        CursorQuery(stream_name="orders", reserved=True),
        CursorQuery(consumer_id=HEAD),
        CursorQuery(consumer_id=HEAD, reserved=True),
        CursorQuery(limit=4),
        CursorQuery(limit=4, reserved=True),
    ]
    for query in queries:
        shows = query.reserved or bool(query.consumer_id)
        chosen = [
            key
            for key in keys
            if _names(query, key) and (shows or not is_reserved(key.consumer_id))
        ]
        found = [cursor.key for cursor in log.store.cursors(query)]
        expect(found, chosen[: query.limit or None], f"the keys of {query}")


def entries_chosen(logs: Logs) -> None:
    log = logs.new()
    keys = KEYS[3:6]
    log.append(*(StartCursor(key, at, "moved here") for at, key in ((6, KEYS[6]), (4, KEYS[7]))))
    for nth in range(1, 10):
        log.append(*(AdvanceCursor(key, nth) for key in keys), at=nth)
        log.append(RecordError(keys[nth % 3], "HTTP 503", actor="other"), at=nth)
    log.append(*(ResetCursor(key, 4, "again", actor="ines") for key in keys), at=20)
    log.append(AdvanceCursor(keys[0], 6), AdvanceCursor(keys[1], 5), at=21)
    log.append(AdvanceCursor(keys[0], 12), at=22)
    everything = log.entries()
    middle = everything[len(everything) // 2].position
    queries = [
        EntryQuery(key=keys[0]),
        EntryQuery(key=CursorKey("nobody", "orders")),
        EntryQuery(consumer_id="mailer", stream_name="orders", subject_id="A"),
        EntryQuery(actor="other"),
        EntryQuery(kinds=[CursorReset]),
        EntryQuery(kinds=[CursorReset], key=keys[1]),
        EntryQuery(kinds=[CursorAdvanced, ErrorRecorded], key=keys[1]),
        EntryQuery(kinds=[CursorStarted]),
        EntryQuery(recorded_from=moment(3), recorded_until=moment(5)),
        EntryQuery(position_from=middle),
        EntryQuery(position_until=middle),
        EntryQuery(key=keys[2], version_from=2, version_until=5),
        EntryQuery(covering=5),
        EntryQuery(covering=7, key=keys[0]),
        EntryQuery(covering=5, covering_until=8),
        EntryQuery(covering=3, covering_until=4, key=keys[1]),
        EntryQuery(positions=[everything[at].position for at in (7, 2, 2, 9)]),
        EntryQuery(positions=[everything[at].position for at in (7, 2)], key=everything[7].key),
        EntryQuery(jumping=True),
        EntryQuery(jumping=True, key=keys[0]),
    ]
    for query in queries:
        for newest_first in (False, True):
            for limit in (0, 2):
                asked = attrs.evolve(query, newest_first=newest_first, limit=limit)
                chosen = [entry for entry in everything if _chooses(query, entry)]
                expected = chosen[::-1] if newest_first else chosen
                expect(log.entries(asked), expected[: limit or None], f"what {asked} chooses")


def moves_found(logs: Logs) -> None:
    log = logs.new()
    keys = [KEYS[0], ORDERS, KEYS[-1]]
    log.append(StartCursor(KEYS[0], 1, "moved", actor="ines"))
    for nth in range(1, 6):
        log.append(*(AdvanceCursor(key, nth) for key in keys), at=nth)
        log.append(RecordError(ORDERS, "HTTP 503"), RecordError(ORDERS, "HTTP 504"), at=nth + 0.5)
        log.append(AdvanceCursor(KEYS[0], nth), at=nth + 0.7)
    log.append(ResetCursor(ORDERS, 2, "again", actor="ines"), at=20)
    log.append(RecordError(KEYS[1], "HTTP 503"), at=21)
    entries = log.entries()
    nobody = CursorKey("nobody", "orders")
    # Not in the order in which they are stored, some of them twice, more than there are.
    places = [
        (key, version)
        for version in (*range(20, -1, -3), *range(30))
        for key in (*keys, KEYS[1], nobody)
    ]
    expected = [_last_move(entries, *place) for place in places]
    expect(log.store.moves(places), expected, "the moves of places")
    expect(log.store.moves(places * 30), expected * 30, "the moves of many places")
    expect(log.store.moves([]), [], "the moves of no place")


def many(logs: Logs) -> None:
    log = logs.new()
    keys = [CursorKey("mailer", "orders", f"customer-{nth:04}") for nth in range(MANY)]
    log.append(*(AdvanceCursor(key, 1) for key in keys))
    log.append(*(AdvanceCursor(ORDERS, nth) for nth in range(1, MANY + 1)))
    found = [cursor.key for cursor in log.store.cursors(CursorQuery(consumer_id="mailer"))]
    expect(found, keys, f"the keys of {MANY} cursors")
    versions = [entry.version for entry in log.entries(EntryQuery(key=ORDERS))]
    expect(versions, list(range(1, MANY + 1)), f"the versions of {MANY} entries of a cursor")
    log.expect_all()


def an_end(logs: Logs) -> None:
    log = logs.new()
    log.append(*(AdvanceCursor(ORDERS, nth) for nth in range(1, MANY + 1)))
    for query in (EntryQuery(), EntryQuery(key=ORDERS)):
        entries = log.store.entries(query)
        last = log.entries()[-1].position
        first = next(entries)
        log.append(RecordError(ORDERS, "HTTP 503"))
        rest = [entry.position for entry in entries]
        expect(rest[-1], last, "the last entry of an iterator that began before an append")
        expect(first.version, 1, "the first entry of an iterator")


def left_alone(logs: Logs) -> None:
    log = logs.new()
    log.append(*(AdvanceCursor(key, 1) for key in KEYS))
    left: list[Iterator[Entry] | Iterator[Cursor]] = []
    for _ in range(20):
        left += (log.store.entries(EntryQuery()), log.store.cursors(CursorQuery()))
    for iterator in left:
        expect(len(list(islice(iterator, 1))), 1, "the number of values that are taken")
    log.append(AdvanceCursor(KEYS[0], 2))
    log.expect_all()


def a_horizon(logs: Logs) -> None:
    log = logs.new()
    for nth in range(1, 4):
        log.append(AdvanceCursor(ORDERS, nth))
        horizon = log.store.horizon()
        last = log.entries()[-1].position
        expect(horizon.position, last, "the horizon where nobody is writing")
        expect(horizon.waiting, (), "what readers wait for where nobody is writing")


def _last_move(entries: Sequence[Entry], key: CursorKey, version: int) -> Move | None:
    """Return where the cursor of `key` was put last, up to `version`; None if nowhere."""
    for entry in reversed(entries):
        event = entry.event
        if entry.key == key and entry.version <= version and not isinstance(event, ErrorRecorded):
            return Move(
                version=entry.version,
                epoch=entry.epoch,
                recorded_at=entry.recorded_at,
                previous_sequence=(
                    None if isinstance(event, CursorStarted) else event.previous_sequence
                ),
                sequence=event.sequence,
                position=entry.position,
            )
    return None


def _names(query: CursorQuery | EntryQuery, key: CursorKey) -> bool:
    parts = ("consumer_id", "stream_name", "subject_id")
    return all(getattr(query, part) in ("", getattr(key, part)) for part in parts)


def _chooses(query: EntryQuery, entry: Entry) -> bool:
    """Return whether `query` chooses `entry`, apart from its limit."""
    return (
        _names(query, entry.key)
        and query.key in (None, entry.key)
        and (not query.kinds or isinstance(entry.event, tuple(query.kinds)))
        and query.actor in ("", entry.actor)
        and _within(entry.recorded_at, query.recorded_from, query.recorded_until)
        and _within(entry.position, query.position_from, query.position_until)
        and _within(entry.version, query.version_from, query.version_until)
        and (query.covering is None or _covers(entry, query.covering, query.covering_until))
        and (not query.positions or entry.position in tuple(query.positions))
        and (not query.jumping or _jumps(entry))
    )


def _within(value: T, least: T | None, most: T | None) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)


def _covers(entry: Entry, first: int, last: int | None) -> bool:
    """Return whether an entry passed, confirmed, rewound or started behind any of these."""
    event, last = entry.event, first if last is None else last
    if isinstance(event, ErrorRecorded):
        return False
    if isinstance(event, CursorStarted):
        return first <= event.sequence
    low, high = sorted((event.previous_sequence, event.sequence))
    confirmed = isinstance(event, CursorAdvanced) and first <= event.sequence <= last
    return (low < high and low < last and first <= high) or confirmed


def _jumps(entry: Entry) -> bool:
    event = entry.event
    return isinstance(event, CursorAdvanced) and event.sequence - event.previous_sequence > 1


RULES: tuple[Rule, ...] = (
    Rule("an empty log has nothing in it", an_empty_log),
    Rule("every field of an entry is returned as it was appended", every_field),
    Rule("what was appended is read at once", at_once),
    Rule("keys that differ in anything are different cursors", keys_apart),
    Rule("cursors are in code-point order of stream, subject and consumer", cursors_in_order),
    Rule("a query for cursors returns what it chooses, up to its limit", cursors_chosen),
    Rule("cursors of the ledger's own consumers are left out unless asked for", reserved_left_out),
    Rule("a query for entries returns what it chooses, in order, up to its limit", entries_chosen),
    Rule("the last move up to a version is found, of as many cursors as asked", moves_found),
    Rule("a long log is read to its end", many),
    Rule("an iterator ends at what was there when it began", an_end),
    Rule("an iterator that is left alone holds up no writer", left_alone),
    Rule("the horizon is the last position where nobody is writing", a_horizon),
)
