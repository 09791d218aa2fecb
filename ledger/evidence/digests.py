"""The digests: one for each entry, which covers the digest of the entry before it."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from ledger.log.columns import CONTENT
from ledger.log.rows import Content, Row
from ledger.log.text import dumps, dumps_flat, loads

__all__ = ["GENESIS", "digest_of", "digest_of_unread"]

GENESIS = bytes(32)
"""The digest that the first entry of a cursor follows."""

FORMAT = "cursor-ledger/1"


def digest_of(previous: bytes, content: Content) -> bytes:
    """Return the SHA-256 over `previous`, the digest before, and `content`, as a JSON array.

    Raises UnicodeEncodeError for text with a lone surrogate, which has no UTF-8.
    """
    if content[_METADATA] is not None:
        return digest_of_unread(previous, content)
    return sha256(previous + dumps_flat((FORMAT, *content))).digest()


def digest_of_unread(previous: bytes, content: Content | Row) -> bytes:
    """Return the same for columns of any type, as somebody may have put them into a database.

    Raises TypeError, ValueError if they have no digest.
    """
    said: list[Any] = [FORMAT, *content]
    if said[_METADATA + 1] is not None:
        said[_METADATA + 1] = loads(said[_METADATA + 1])
    return sha256(previous + dumps(said).encode()).digest()


_METADATA = CONTENT.place("metadata")
