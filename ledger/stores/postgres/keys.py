"""The number that PostgreSQL finds a cursor by, which is made from its key."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from ledger.errors import StorageError
from ledger.law.cursor import CursorKey
from ledger.log.rows import Row
from ledger.log.text import dumps

__all__ = ["cursor_id", "id_of", "same"]


@lru_cache(maxsize=8_192)
def cursor_id(key: CursorKey) -> int:
    """Return the number that all rows of `key` are found by: 64 bits of its SHA-256."""
    return id_of([key.consumer_id, key.stream_name, key.subject_id])


def id_of(key: Sequence[str]) -> int:
    """Return the number of the key with these parts."""
    said = dumps(list(key))
    return int.from_bytes(hashlib.sha256(said.encode()).digest()[:8], signed=True)


def same(key: CursorKey, stored: Row) -> CursorKey:
    """Return `key` if the stored key is this one, and not another with the same number."""
    if stored != (key.consumer_id, key.stream_name, key.subject_id):
        raise StorageError(
            f"{key} cannot be kept beside {'/'.join(stored)}: their SHA-256 begin alike."
        )
    return key
