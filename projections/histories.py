"""What a history is: the entries of one cursor, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ledger import CursorKey, Entry, InvalidCursorError
from projections.given import begun

__all__ = ["one_cursor"]


def one_cursor(history: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the entries of `history`, and check that they are of one cursor.

    Raises InvalidCursorError at the first that is of another.
    """
    key: CursorKey | None = None
    for entry in begun("history", history, Entry):
        if key is None:
            key = entry.key
        elif entry.key != key:
            raise InvalidCursorError(
                f"a history is the entries of one cursor; this one has some of {key} and of "
                f"{entry.key}. Pass book.history(key)."
            )
        yield entry
