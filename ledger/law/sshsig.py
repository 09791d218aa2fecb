"""What a signature of `ssh-keygen -Y sign` consists of, without its armor.

https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig
"""

from __future__ import annotations

import base64
import binascii
import re

from ledger.law import fields

__all__ = ["SIGNATURE_LENGTH_MAX", "parts"]

SIGNATURE_LENGTH_MAX = 3_000
"""A key of RSA of 8,192 bits makes 2,800 characters; metadata has room for 4,096 in all."""

_MAGIC = b"SSHSIG"


def parts(text: object) -> tuple[bytes, bytes, bytes]:
    """Return the key, the namespace and the name of the hash in a signature.

    Raises ValueError, which says why it is none; InvalidCursorError if it is no text.
    """
    said = fields.exact(text, "a signature")
    if not re.fullmatch("[A-Za-z0-9+/]+={0,2}", said) or len(said) > SIGNATURE_LENGTH_MAX:
        raise ValueError(f"it is not base64 of at most {SIGNATURE_LENGTH_MAX:,} characters")
    try:
        blob = base64.b64decode(said, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("its base64 is damaged") from None
    if base64.b64encode(blob).decode() != said:
        raise ValueError("its base64 has another form")
    if blob[:6] != _MAGIC or blob[6:10] != b"\0\0\0\1":
        raise ValueError("it is not of version 1")
    strings, at = list[bytes](), 10
    for _ in range(5):
        length = int.from_bytes(blob[at : at + 4])
        if at + 4 + length > len(blob):
            raise ValueError("it was cut")
        strings.append(blob[at + 4 : at + 4 + length])
        at += 4 + length
    if at != len(blob):
        raise ValueError("it has something behind it")
    key, namespace, _, hashed, _ = strings
    return key, namespace, hashed
