"""Which cursors are being delivered without a consumer, in this process, by one ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ledger.law.cursor import CursorKey
from ledger.law.rivals import DeliveringError

__all__ = ["Deliverers"]


class Deliverers:
    """The keys that are being delivered. Safe to use from many threads."""

    def __init__(self) -> None:
        self._tokens: dict[CursorKey, object] = {}

    @contextmanager
    def only(self, key: CursorKey) -> Iterator[None]:
        """Be the only one who delivers `key`.

        Raises DeliveringError.
        """
        # One operation on the dictionary, so that two threads cannot both be the first.
        mine = object()
        if self._tokens.setdefault(key, mine) is not mine:
            raise DeliveringError(key)
        try:
            yield
        finally:
            del self._tokens[key]
