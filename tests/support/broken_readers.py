"""SQLite stores that look for cursors, or where they stood, in one wrong way each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from ledger import Cursor, CursorKey, CursorQuery, Move
from support.broken_store import Broken

__all__ = [
    "CountsErrorsAsMoves",
    "KnowsNoCase",
    "OrdersCursorsAsALanguage",
    "OrdersCursorsByUTF16",
    "ShowsTheReserved",
]


class OrdersCursorsAsALanguage(Broken):
    def cursors(self, query: CursorQuery) -> Iterator[Cursor]:
        found = self.store.cursors(query)
        return iter(sorted(found, key=lambda each: str(each.key).lower()))


class OrdersCursorsByUTF16(Broken):
    def cursors(self, query: CursorQuery) -> Iterator[Cursor]:
        def units(cursor: Cursor) -> list[bytes]:
            key = cursor.key
            parts = (key.stream_name, key.subject_id, key.consumer_id)
            return [part.encode("utf-16-be") for part in parts]

        return iter(sorted(self.store.cursors(query), key=units))


class KnowsNoCase(Broken):
    def cursors(self, query: CursorQuery) -> Iterator[Cursor]:
        if not query.consumer_id:
            yield from self.store.cursors(query)
            return
        for cursor in self.store.cursors(attrs.evolve(query, consumer_id="")):
            if cursor.key.consumer_id.lower() == query.consumer_id.lower():
                yield cursor


class ShowsTheReserved(Broken):
    def cursors(self, query: CursorQuery) -> Iterator[Cursor]:
        return self.store.cursors(attrs.evolve(query, reserved=True))


class CountsErrorsAsMoves(Broken):
    def moves(self, places: Sequence[tuple[CursorKey, int]]) -> list[Move | None]:
        return [
            move if move and move.version == version else None
            for move, (_, version) in zip(self.store.moves(places), places, strict=True)
        ]
