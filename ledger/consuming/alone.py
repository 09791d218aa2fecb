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
        self._tokens: dict[tuple[str, str, str], object] = {}

    @contextmanager
    def only(self, key: CursorKey) -> Iterator[None]:
        """Be the only one who delivers `key`.

        Raises DeliveringError.
        """
        mine = object()
        # A tuple of texts, because the hash of a key is a function that can be interrupted.
        named = (key.consumer_id, key.stream_name, key.subject_id)
        try:
            # One operation on the dictionary, so that two threads cannot both be the first. It is
            # within the block that takes it back, because a signal handler may raise behind it.
            if self._tokens.setdefault(named, mine) is not mine:
                raise DeliveringError(key)
            yield
        finally:
            try:  # Nothing is called in here.
                if self._tokens[named] is mine:
                    del self._tokens[named]
            except KeyError:
                pass
