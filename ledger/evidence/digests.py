"""The digests: one for each entry, which covers the digest of the entry before it."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from ledger.log.columns import CONTENT
from ledger.log.flat import dumps_flat
from ledger.log.rows import Content, Row
from ledger.log.text import dumps, loads

__all__ = [
    "FORMAT",
    "GENESIS",
    "content_in",
    "digest_of",
    "digest_of_unread",
    "preimage_of",
]

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
    return sha256(preimage_of(previous, content)).digest()


def preimage_of(previous: bytes, content: Content | Row) -> bytes:
    """Return the bytes whose SHA-256 is the digest.

    Raises TypeError, ValueError if there are none.
    """
    said: list[Any] = [FORMAT, *content]
    if said[_METADATA + 1] is not None:
        said[_METADATA + 1] = loads(said[_METADATA + 1])
    return previous + dumps(said).encode()


def content_in(text: bytes) -> Content:
    """Return the content that was written as `text`; whether it is an entry, `entry_from` says.

    Another text may say the same: compare the digest. Raises ValueError.
    """
    said = loads(text.decode())
    if type(said) is not list or said[:1] != [FORMAT] or len(said) != len(CONTENT) + 1:
        raise ValueError(f"it is not a list of {FORMAT} and {len(CONTENT)} values")
    content = said[1:]
    if any(type(each) is int and not -(2**63) <= each < 2**63 for each in content):
        raise ValueError("a number in it has more than 64 bits")
    if content[_METADATA] is not None:
        content[_METADATA] = dumps(content[_METADATA])
    return tuple(content)


_METADATA = CONTENT.place("metadata")
