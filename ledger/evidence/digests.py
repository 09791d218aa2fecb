"""Digests chain the entries of a cursor: each covers the one before it."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from ledger.log.rows import Content, Row
from ledger.log.text import dumps, loads

__all__ = ["GENESIS", "digest_of"]

GENESIS = bytes(32)
"""What stands before the first entry of a chain."""


def digest_of(previous: bytes, content: Content | Row) -> bytes:
    """Give the SHA-256 of an entry: over the digest before it, and over what it says, as JSON."""
    said: list[Any] = ["cursor-ledger/1", *content]
    if said[_METADATA] is not None:
        said[_METADATA] = loads(said[_METADATA])
    return sha256(previous + dumps(said).encode()).digest()


_METADATA = 8
