"""What a signature of `ssh-keygen -Y sign` consists of, without its armor.

https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig
"""

from __future__ import annotations

import base64
import binascii
import re

from ledger.law import fields

__all__ = ["SIGNATURE_LENGTH_MAX", "parts", "plain_key"]

SIGNATURE_LENGTH_MAX = 3_000
"""A key of RSA of 8,192 bits makes 2,800 characters; metadata has room for 4,096 in all."""

_MAGIC = b"SSHSIG"

# How many strings of a certificate are the key itself; before them are its kind and a nonce.
# https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.certkeys
_KEY_STRINGS = {
    b"ssh-ed25519": 1,
    b"ssh-rsa": 2,
    b"ssh-dss": 4,
    b"ecdsa-sha2-nistp256": 2,
    b"ecdsa-sha2-nistp384": 2,
    b"ecdsa-sha2-nistp521": 2,
    b"sk-ssh-ed25519@openssh.com": 2,
    b"sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
_CERTIFICATE = b"-cert-v01@openssh.com"


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
    strings, at = _strings(blob, 10, 5)
    if at != len(blob):
        raise ValueError("it has something behind it")
    key, namespace, _, hashed, _ = strings
    return key, namespace, hashed


def plain_key(key: bytes) -> bytes:
    """Return the key that is in a certificate, and any other key as it is.

    Raises ValueError if it is a certificate that was cut, or of an unknown kind.
    """
    (kind,), at = _strings(key, 0, 1)
    if not kind.endswith(_CERTIFICATE):
        return key
    plain = kind.removesuffix(_CERTIFICATE)
    known = next((each for each in (plain, plain + b"@openssh.com") if each in _KEY_STRINGS), None)
    if known is None:
        raise ValueError("it is by a certificate of an unknown kind")
    (_, *said), _ = _strings(key, at, 1 + _KEY_STRINGS[known])
    return b"".join(len(each).to_bytes(4) + each for each in (known, *said))


def _strings(blob: bytes, at: int, count: int) -> tuple[list[bytes], int]:
    """Return so many strings, each behind its length, and where the last one ends."""
    strings = []
    for _ in range(count):
        length = int.from_bytes(blob[at : at + 4])
        if at + 4 + length > len(blob):
            raise ValueError("it was cut")
        strings.append(blob[at + 4 : at + 4 + length])
        at += 4 + length
    return strings, at
