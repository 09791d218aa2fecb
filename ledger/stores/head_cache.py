"""The ends of the chains as the last commits left them, so that they need not be read again."""

from __future__ import annotations

from collections.abc import Iterable

from ledger.law.cursor import CursorKey
from ledger.log.heads import Head

__all__ = ["HeadCache"]

HEADS_MAX = 4_096


class HeadCache:
    """Heads that were committed. Another writer may have moved on: whoever asks must find out.

    Safe to use from several threads: each step is one operation on a dictionary.
    """

    def __init__(self) -> None:
        self._heads: dict[CursorKey, Head] = {}

    def get(self, key: CursorKey) -> Head | None:
        """Return the head of `key`, or None if it is not known."""
        return self._heads.get(key)

    def keep(self, heads: Iterable[Head]) -> None:
        """Keep heads that were committed."""
        if len(self._heads) > HEADS_MAX:
            self._heads.clear()
        for head in heads:
            self._heads[head.cursor.key] = head

    def forget(self, keys: Iterable[CursorKey]) -> None:
        """Forget the heads of `keys`."""
        for key in keys:
            self._heads.pop(key, None)

    def clear(self) -> None:
        """Forget all heads."""
        self._heads.clear()
