"""How a store is listened to; one that cannot be listened to is asked again and again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from ledger.law.cursor import Cursor, CursorKey
from ledger.stores import Listening, Reader
from ledger.stores.bell import Bell

__all__ = ["Polling", "listening_to"]


def listening_to(store: Reader) -> Listening:
    """Return what hears that the cursors of `store` move: its own, or one that asks it."""
    listen: Callable[[], Listening] | None = getattr(store, "listen", None)
    return Polling(store) if listen is None else listen()


class Polling:
    """Asks the store for every cursor that is waited for."""

    entries_s = 0.05
    resets_s = 0.05

    def __init__(self, store: Reader) -> None:
        self._store = store
        self._bell = Bell()

    def moved(
        self,
        seen: Mapping[CursorKey, int],
        fresh: Collection[CursorKey],  # noqa: ARG002 - they are among the others
    ) -> Iterator[Cursor]:
        """Return all of them."""
        found = (self._store.cursor(key) for key in seen)
        return (cursor for cursor in found if cursor is not None)

    def last(self) -> int:
        """Return the last position that was given."""
        return self._store.horizon().last

    def pause(self, seconds: float) -> None:
        """Wait until it is asked again."""
        self._bell.wait(seconds)

    def interrupt(self) -> None:
        """End the pause."""
        self._bell.ring()

    def close(self) -> None:
        """Leave the store open."""
