"""Which resets of a plan go beyond what is known to exist on their stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from ledger import CursorKey, Ledger
from ledger.law.reserved import is_reserved
from projections.resets.planned import PlannedReset
from projections.resets.token_places import TokenPlaces

__all__ = ["heads_passed"]


def heads_passed(book: Ledger, resets: Iterable[PlannedReset]) -> Mapping[CursorKey, int]:
    """Return the recorded head of each stream and subject that a reset goes beyond, by its cursor.

    The heads themselves have none, nor have streams of tokens: each cursor numbers them for itself.
    """
    tokens = TokenPlaces(book)

    @cache
    def head_of(stream_name: str, subject_id: str) -> int | None:
        head = book.heads.find(stream_name, subject_id)
        return None if head is None else head.last_sequence

    found: dict[CursorKey, int] = {}
    for reset in resets:
        key = reset.key
        if is_reserved(key.consumer_id) or tokens.are_of(key):
            continue
        head = head_of(key.stream_name, key.subject_id)
        if head is not None and head < reset.sequence:
            found[key] = head
    return found
