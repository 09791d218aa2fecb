"""How long entries are kept at least, and holds that keep them longer: cursors of the ledger's own.

Each setting is a reset of such a cursor, so its history has who has set it, and why.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import attrs

from ledger.errors import ArchivedError, InvalidCursorError, invalid
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.events import CursorReset
from ledger.law.queries import CursorQuery, EntryQuery
from ledger.law.reserved import ARCHIVED_STREAM, HOLD, RETENTION
from ledger.service import Ledger

__all__ = ["Rule", "hold", "holds", "keep", "kept_for", "release", "rules"]

_SECOND = timedelta(seconds=1)
_DAY_S = 86_400


@attrs.frozen(kw_only=True)
class Rule:
    """A rule that is in force: how long entries are kept, or a hold by its name.

    `rule` is "keep" or "hold", `name` that of the hold, and `days` how long entries are kept; None
    for a hold. `actor` has set it at `since`, and said the `reason`.
    """

    rule: str
    name: str
    days: float | None
    since: datetime
    actor: str
    reason: str


def keep(book: Ledger, span: timedelta, *, reason: str, actor: str = "") -> Cursor:
    """Have entries kept for `span` at least, in whole seconds; also a shorter one than before.

    Raises InvalidCursorError, ResetReasonRequiredError, ActorRequiredError.
    """
    seconds = span // _SECOND
    if seconds < 1:
        raise invalid("keep", "must be at least a second.", value=str(span))
    return book.reset(_kept(), to=seconds, reason=reason, actor=actor)


def hold(book: Ledger, name: str, *, reason: str, actor: str = "") -> Cursor:
    """Have nothing removed until the hold is released. Raises InvalidCursorError if it is there."""
    key = CursorKey(HOLD, name)
    cursor = book.find(key)
    if cursor is not None and _set(book, cursor):
        raise InvalidCursorError(f"the hold {name} is in force already. Choose another name.")
    version = 0 if cursor is None else cursor.version
    return book.reset(key, to=1, reason=reason, actor=actor, expected_version=version)


def release(book: Ledger, name: str, *, reason: str, actor: str = "") -> Cursor:
    """End a hold. Raises InvalidCursorError if there is none of that name."""
    key = CursorKey(HOLD, name)
    cursor = book.find(key)
    if cursor is None or not _set(book, cursor):
        raise InvalidCursorError(
            f"no hold {name} is in force. cursor-ledger retention list shows those that are."
        )
    return book.reset(key, to=0, reason=reason, actor=actor, expected_version=cursor.version)


def kept_for(book: Ledger) -> timedelta | None:
    """Return how long entries are kept at least; None if nobody has said that."""
    cursor = book.find(_kept())
    return None if cursor is None else _span(_set(book, cursor))


def holds(book: Ledger) -> list[str]:
    """Return the names of the holds that are in force."""
    return [cursor.key.stream_name for cursor in _holds(book)]


def rules(book: Ledger) -> Iterator[Rule]:
    """Yield the rules that are in force, how long entries are kept first."""
    if (cursor := book.find(_kept())) is not None:
        yield _rule(book, cursor, "keep", _set(book, cursor) / _DAY_S)
    for cursor in _holds(book):
        yield _rule(book, cursor, "hold", None)


def _holds(book: Ledger) -> Iterator[Cursor]:
    chosen = CursorQuery(consumer_id=HOLD, reserved=True)
    return (cursor for cursor in book.cursors(chosen) if _set(book, cursor))


def _set(book: Ledger, cursor: Cursor) -> int:
    """Return where the last reset of `cursor` led to: nothing else that is appended is a rule.

    Of one whose resets were archived it is not known; it is where the cursor is.
    """
    query = EntryQuery(key=cursor.key, kinds=(CursorReset,), newest_first=True, limit=1)
    try:
        return next((entry.event.sequence for entry in book.entries(query)), 0)  # type: ignore[union-attr]
    except ArchivedError:
        return cursor.last_sequence


def shown_span(span: timedelta) -> str:
    """Return a span of whole seconds as it is typed: 365d, or 1d12h."""
    minutes, seconds = divmod(span // _SECOND, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def _span(seconds: int) -> timedelta:
    return timedelta.max if seconds > timedelta.max // _SECOND else seconds * _SECOND


def _kept() -> CursorKey:
    return CursorKey(RETENTION, ARCHIVED_STREAM)


def _rule(book: Ledger, cursor: Cursor, rule: str, days: float | None) -> Rule:
    actor = reason = ""
    try:
        query = EntryQuery(key=cursor.key, kinds=(CursorReset,), newest_first=True, limit=1)
        for entry in book.entries(query):
            if isinstance(entry.event, CursorReset):
                actor, reason = entry.actor, entry.event.reason
    except ArchivedError as error:
        reason = f"archived{f' in {error.file}' if error.file else ''}"
    name = cursor.key.stream_name if rule == "hold" else ""
    return Rule(
        rule=rule, name=name, days=days, since=cursor.updated_at, actor=actor, reason=reason
    )
