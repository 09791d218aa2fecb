"""Where resets go on streams of tokens, which each cursor numbers for itself.

The number of one cursor says nothing of another: evt_5 is the fifth that one has confirmed, and the
third of one that began later. What is common to them is the token.
"""

from __future__ import annotations

from functools import cache

import attrs

from ledger import Cursor, CursorKey, InvalidCursorError, Ledger
from ledger.law.reserved import is_reserved
from ledger.positions import PositionMapping
from ledger.positions.confirmed import sequence_of_token, token_at
from projections.resets.places import Goal, Place

__all__ = ["TokenPlaces"]


class TokenPlaces:
    """Which cursors of `book` number tokens, and where these are in their histories."""

    def __init__(self, book: Ledger) -> None:
        self._book = book
        self._is_declared = cache(
            lambda stream: book.positions.of(stream) is PositionMapping.TOKENS
        )

    def are_of(self, key: CursorKey) -> bool:
        """Return whether the sequences of `key` are numbers of tokens."""
        return not is_reserved(key.consumer_id) and self._is_declared(key.stream_name)

    def with_token(self, key: CursorKey, place: Place) -> Place:
        """Return `place` with the token that was confirmed there, if it names none.

        A consumer goes on after it; without one it would begin where the source begins.

        Raises InvalidCursorError if no token was confirmed there.
        """
        if place.delivery_id or not place.sequence or not self.are_of(key):
            return place
        return attrs.evolve(place, delivery_id=token_at(self._book, key, place.sequence))

    def refuse_head_of(self, key: CursorKey) -> None:
        """Refuse a number of the head of the stream of `key`. Raises InvalidCursorError."""
        if self.are_of(key):
            raise InvalidCursorError(
                f"the stream of {key} has tokens, which each cursor numbers for itself: the "
                "number of its head means nothing for a cursor. Name a token or a sequence of the "
                "cursor, or the time at which it stood there."
            )

    def like(self, other: Cursor) -> Goal:
        """Return the function that says where the place of `other` is for each cursor.

        Where tokens are numbered, it raises InvalidCursorError for a cursor that never confirmed
        the token that `other` stands at.
        """
        number, token = other.last_sequence, other.last_delivery_id

        def where_it_stands(key: CursorKey, current: Cursor | None) -> Place:
            if not (self.are_of(key) or self.are_of(other.key)) or number == 0:
                return Place(number)
            if key.stream_name != other.key.stream_name or is_reserved(other.key.consumer_id):
                raise InvalidCursorError(
                    f"{other.key} is at {number}, which means nothing for {key}: where tokens are "
                    f"numbered, each cursor does so for itself. {_INSTEAD}"
                )
            if not token:
                raise InvalidCursorError(
                    f"{other.key} is at {number} without a token, so nothing says where that is "
                    f"for {key}. {_INSTEAD}"
                )
            if current is None:
                return Place(number, token)  # It goes on with the numbers of the other one.
            try:
                return Place(sequence_of_token(self._book, key, token), token)
            except InvalidCursorError as error:
                raise InvalidCursorError(
                    f"{other.key} is at {number} ({token}), and {key} numbers tokens for itself: "
                    f"{error} {_INSTEAD}"
                ) from None

        return where_it_stands


_INSTEAD = "Name a token that it has confirmed, or a sequence and the delivery id to go on after."
