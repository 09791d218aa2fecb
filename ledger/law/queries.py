"""What can be asked of the log: which cursors, which entries."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import get_args

import attrs

from ledger.errors import InvalidCursorError, invalid
from ledger.law import fields
from ledger.law.cursor import CursorKey
from ledger.law.events import Event
from ledger.law.making import once, sealed

__all__ = ["CursorQuery", "EntryQuery"]

POSITIONS_MAX = 500
"""At most this many positions are asked for: old versions of SQLite allow 999 values."""

EVENTS: tuple[type[Event], ...] = get_args(Event)

# --- what each field takes; it need not be visible, because the log may have such names ---


def _key(value: CursorKey | None) -> CursorKey | None:
    return None if value is None else CursorKey.check(value)


def _consumer_id(value: str) -> str:
    return fields.text(value, "consumer_id")


def _stream_name(value: str) -> str:
    return fields.text(value, "stream_name")


def _subject_id(value: str) -> str:
    return fields.text(value, "subject_id")


def _kinds(value: Iterable[type[Event]]) -> tuple[type[Event], ...]:
    given: object = value
    kinds = (given,) if isinstance(given, type) else given
    if not isinstance(kinds, Iterable) or isinstance(kinds, str):
        said = fields.kind(given)
        raise invalid("kinds", f"must be event types, not {said}.", value=said)
    chosen = tuple(kinds)
    for kind in chosen:
        if kind not in EVENTS:
            known = tuple(event.__name__ for event in EVENTS)
            said = fields.shown(kind)
            raise invalid(
                "kinds",
                f"must be among {', '.join(known)}, not {said}.",
                value=said,
                allowed=known,
            )
    return chosen


def _actor(value: str) -> str:
    return fields.text(value, "actor")


def _recorded_from(value: datetime | None) -> datetime | None:
    return None if value is None else fields.moment(value, "recorded_from")


def _recorded_until(value: datetime | None) -> datetime | None:
    return None if value is None else fields.moment(value, "recorded_until")


def _position_from(value: int | None) -> int | None:
    return fields.counter(value, "position_from")


def _position_until(value: int | None) -> int | None:
    return fields.counter(value, "position_until")


def _version_from(value: int | None) -> int | None:
    return fields.counter(value, "version_from")


def _version_until(value: int | None) -> int | None:
    return fields.counter(value, "version_until")


def _covering(value: int | None) -> int | None:
    return fields.counter(value, "covering")


def _covering_until(value: int | None) -> int | None:
    return fields.counter(value, "covering_until")


def _positions(value: Iterable[int]) -> tuple[int, ...]:
    given: object = value
    if not isinstance(given, Iterable) or isinstance(given, str):
        said = fields.kind(given)
        raise invalid("positions", f"must be positions of the log, not {said}.", value=said)
    chosen = tuple(fields.sequence(each, "positions", least=0) for each in given)
    if len(chosen) > POSITIONS_MAX:
        raise invalid("positions", f"must be at most {POSITIONS_MAX} at a time.")
    return chosen


def _jumping(value: bool) -> bool:  # noqa: FBT001 - attrs passes it like this
    return bool(value)


def _limit(value: int) -> int:
    return fields.limit(value)


def _newest_first(value: bool) -> bool:  # noqa: FBT001 - attrs passes it like this
    return bool(value)


def _reserved(value: bool) -> bool:  # noqa: FBT001 - attrs passes it like this
    given: object = value
    if isinstance(given, bool):
        return given
    said = fields.kind(given)
    raise invalid("reserved", f"must be True or False, not {said}.", value=said)


# --- the queries ---


@sealed
@attrs.frozen(kw_only=True)
class CursorQuery:
    """Chooses cursors: an empty part matches all; `limit` 0 or less means no limit.

    `consumer_id`, `stream_name` and `subject_id` are compared as they are. The ledger's own
    consumers, such as the heads of streams, are chosen only if `consumer_id` names one, or with
    `reserved`.

    Raises InvalidCursorError.

    >>> import ledger
    >>> with ledger.open(":memory:") as book:
    ...     for consumer in ("mailer", "webhooks"):
    ...         at = book.advance(ledger.CursorKey(consumer, "orders"), to=41)
    ...     query = ledger.CursorQuery(consumer_id="mailer")
    ...     [str(cursor.key) for cursor in book.cursors(query)]
    ['mailer/orders']
    """

    consumer_id: str = attrs.field(default="", converter=_consumer_id)
    stream_name: str = attrs.field(default="", converter=_stream_name)
    subject_id: str = attrs.field(default="", converter=_subject_id)
    limit: int = attrs.field(default=0, converter=_limit)
    reserved: bool = attrs.field(default=False, converter=_reserved)

    __attrs_pre_init__ = once("consumer_id")


@sealed
@attrs.frozen(kw_only=True)
class EntryQuery:
    """Chooses entries; a field that is not given matches all.

    `key` names one cursor exactly; `consumer_id`, `stream_name` and `subject_id` any part of one.
    `kinds` are event types, such as `CursorReset`. The bounds of time, position and version are
    included; those of version need a `key`, because versions count the entries of one cursor.
    `covering` is a sequence: the entries that passed it, confirmed it, rewound behind it, or
    started at it or beyond it. With `covering_until`, it is the first of a range, and an entry is
    chosen that did so to any of its sequences. `jumping` chooses only advances that jumped over at
    least one sequence. `positions` chooses the entries at these places of the log, 500 at most.
    `limit` 0 or less means no limit.

    `actor` is who acted. `recorded_from` and `recorded_until` bound the ledger's time,
    `position_from` and `position_until` the position, `version_from` and `version_until` the
    version. `newest_first` turns the order round.

    Raises InvalidCursorError.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     cursor = book.advance(key, to=44)
    ...     cursor = book.reset(key, to=41, reason="receiver lost 42 and 43")
    ...     query = ledger.EntryQuery(kinds=[ledger.CursorReset], stream_name="orders")
    ...     [entry.event.reason for entry in book.entries(query)]
    ['receiver lost 42 and 43']
    """

    key: CursorKey | None = attrs.field(default=None, converter=_key)
    consumer_id: str = attrs.field(default="", converter=_consumer_id)
    stream_name: str = attrs.field(default="", converter=_stream_name)
    subject_id: str = attrs.field(default="", converter=_subject_id)
    kinds: Iterable[type[Event]] = attrs.field(default=(), converter=_kinds)
    actor: str = attrs.field(default="", converter=_actor)
    recorded_from: datetime | None = attrs.field(default=None, converter=_recorded_from)
    recorded_until: datetime | None = attrs.field(default=None, converter=_recorded_until)
    position_from: int | None = attrs.field(default=None, converter=_position_from)
    position_until: int | None = attrs.field(default=None, converter=_position_until)
    version_from: int | None = attrs.field(default=None, converter=_version_from)
    version_until: int | None = attrs.field(default=None, converter=_version_until)
    covering: int | None = attrs.field(default=None, converter=_covering)
    covering_until: int | None = attrs.field(default=None, converter=_covering_until)
    positions: Iterable[int] = attrs.field(default=(), converter=_positions)
    jumping: bool = attrs.field(default=False, converter=_jumping)
    newest_first: bool = attrs.field(default=False, converter=_newest_first)
    limit: int = attrs.field(default=0, converter=_limit)

    __attrs_pre_init__ = once("key")

    def __attrs_post_init__(self) -> None:
        if self.key is None and (self.version_from, self.version_until) != (None, None):
            raise InvalidCursorError("bounds of version need a key: versions count one cursor's.")
        if self.covering_until is None:
            return
        if self.covering is None or self.covering > self.covering_until:
            raise InvalidCursorError(
                "covering_until is the last of a range, so it needs covering, the first of it, "
                "which must not be beyond it."
            )
