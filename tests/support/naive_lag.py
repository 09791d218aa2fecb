"""Lag, found by reading the whole history: what `projections.lag` must find by few looks."""

from __future__ import annotations

from datetime import datetime, timedelta

from ledger import CursorAdvanced, CursorKey, Entry, ErrorRecorded, Ledger
from ledger.law.reserved import HEAD, is_reserved
from ledger.law.takeovers import is_takeover
from projections import Lag, LagState

__all__ = ["naive_lag", "naive_moves"]


def naive_lag(
    book: Ledger, now: datetime, stalled_after: timedelta, *, stream_heads: bool = False
) -> list[Lag]:
    histories: dict[CursorKey, list[Entry]] = {}
    for entry in book.entries():
        histories.setdefault(entry.key, []).append(entry)
    keys = [key for key in histories if not is_reserved(key.consumer_id)]
    keys.sort(key=lambda key: (key.stream_name, key.subject_id, key.consumer_id))
    found = []
    for key in keys:
        head = histories.get(CursorKey(HEAD, key.stream_name, key.subject_id))
        if head is None and stream_heads:
            head = histories.get(CursorKey(HEAD, key.stream_name))
        others = [histories[each] for each in keys if each != key and _place(each) == _place(key)]
        found.append(_lag_of(key, histories[key], head, others, now, stalled_after))
    return found


def naive_moves(book: Ledger) -> dict[CursorKey, datetime | None]:
    """Return when each cursor came to where it stands."""
    histories: dict[CursorKey, list[Entry]] = {}
    for entry in book.entries():
        histories.setdefault(entry.key, []).append(entry)
    return {key: _end_of(history)[1] for key, history in histories.items()}


def _end_of(history: list[Entry]) -> tuple[int, datetime | None, int, str]:
    """Return where a cursor stands, since when, and how often and how it failed since."""
    at, moved_at = 0, None
    errors, last_error = 0, ""
    for entry in history:
        event = entry.event
        if isinstance(event, ErrorRecorded):
            errors, last_error = errors + 1, event.message
            continue
        if is_takeover(entry) and entry.version > 1:
            continue  # Another consumer stands where the one before it stood, and failed.
        errors, last_error = 0, ""
        if not isinstance(event, CursorAdvanced) or event.sequence != at:
            at, moved_at = event.sequence, entry.recorded_at
    return at, moved_at, errors, last_error


def _place(key: CursorKey) -> tuple[str, str]:
    return key.stream_name, key.subject_id


def _passing(history: list[Entry], at: int) -> tuple[int, Entry | None]:
    """Return how far a cursor got, and which entry moved it past `at` for good."""
    highest, passing = 0, None
    for entry in history:
        if not isinstance(entry.event, ErrorRecorded):
            highest = entry.event.sequence
            passing = None if highest <= at else passing or entry
    return highest, passing


def _lag_of(  # noqa: PLR0917 - all that it depends on
    key: CursorKey,
    history: list[Entry],
    head: list[Entry] | None,
    others: list[list[Entry]],
    now: datetime,
    after: timedelta,
) -> Lag:
    at, moved_at, errors, last_error = _end_of(history)
    highest, first = (None, None) if head is None else _passing(head, at)
    # The first of those that are furthest.
    front = max(others, key=lambda other: _end_of(other)[0], default=[])
    _, confirmed = _passing(front, at)
    if first and confirmed and isinstance(confirmed.event, CursorAdvanced):
        first = min(first, confirmed, key=lambda entry: entry.position)
    since = first.recorded_at if first else None
    behind = None if highest is None else max(highest - at, 0)
    stood_since = max(each for each in (since, moved_at) if each) if since else None
    if errors:
        state = LagState.FAILING
    elif highest is None:
        state = LagState.NO_HEAD
    elif highest < at:
        state = LagState.AHEAD
    elif not behind:
        state = LagState.OK
    else:
        stalled = stood_since is not None and now - stood_since >= after
        state = LagState.STALLED if stalled else LagState.BEHIND
    return Lag(
        key=key,
        last_sequence=at,
        head=highest,
        behind=behind,
        since=since,
        age_s=None if since is None else max(int((now - since).total_seconds() // 1), 0),
        state=state,
        errors=errors,
        last_error=last_error,
        ahead=None if highest is None else max(at - highest, 0),
    )
