"""Ed25519 keys under a name, as C2SP's signed notes write them: what all kinds have in common.

https://c2sp.org/signed-note@v1.0.0 gives each kind of signature a byte, so that a key of one kind
is never taken for one of another. What is read is distrusted.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, ClassVar, Self

import attrs

from ledger.errors import InvalidCursorError, StorageError, invalid

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["DASH", "PublicKey", "SecretKey", "decoded", "encoded", "is_name", "named"]

NAME_CHARS_MAX = 512

DASH = "— "
"""What a line of a signature begins with."""

_PRIVATE = "PRIVATE+KEY+"
_KEY = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+=*")
_KEY_BYTES = 32


def encoded(data: bytes) -> str:
    """Return `data` in the base64 of RFC 4648, section 4."""
    return b64encode(data).decode()


def decoded(text: str) -> bytes | None:
    """Return what `text` has in base64, or None if it is not the one way to write that."""
    if not _BASE64.fullmatch(text):
        return None
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        return None
    return data if encoded(data) == text else None


def named(name: object) -> str:
    """Return the name of a key, which is an origin too; without spaces, plus and controls.

    Raises InvalidCursorError.
    """
    if not isinstance(name, str) or not is_name(name):
        raise InvalidCursorError(
            f"{name!r:.80} cannot be the origin of a ledger: it needs from 1 to {NAME_CHARS_MAX} "
            "characters without spaces, plus signs and control characters, such as "
            "example.com/cursors."
        )
    return name


def is_name(name: str) -> bool:
    """Return whether a key may have this name."""
    return 0 < len(name) <= NAME_CHARS_MAX and not any(
        char == "+" or char.isspace() or char < " " or "\ud800" <= char <= "\udfff" for char in name
    )


@attrs.frozen
class PublicKey:
    """A name, and the 32 bytes of a key that verifies."""

    KIND: ClassVar[bytes]
    WHAT: ClassVar[str]
    """What it is, and how it looks."""

    name: str = attrs.field(converter=named)
    public: bytes = attrs.field(repr=bytes.hex, validator=lambda _, field, key: _check(field, key))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the key of a vkey. Raises InvalidCursorError."""
        text = text.strip()
        if text.startswith(_PRIVATE):
            raise InvalidCursorError(
                f"this is a private key, which is not shown to anybody, and not {cls.WHAT}. Name "
                "what cursor-ledger key show prints of it."
            )
        name, key = _parsed(text, cls.WHAT, cls.KIND)
        found = cls(name, key)
        if text != found.text:
            raise InvalidCursorError(f"the id in {text!r:.80} is not that of its key.")
        return found

    @property
    def id(self) -> bytes:
        """Return the four bytes by which signatures name the key."""
        return sha256(self.name.encode() + b"\n" + self.KIND + self.public).digest()[:4]

    @property
    def text(self) -> str:
        """Return the key as others read it."""
        return f"{self.name}+{self.id.hex()}+{encoded(self.KIND + self.public)}"

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Return whether this is a signature of `message` by the key."""
        ed25519 = _ed25519()
        from cryptography.exceptions import InvalidSignature

        try:
            ed25519.Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@attrs.frozen
class SecretKey:
    """A name, and the 32 bytes of a key that signs, which nobody else may read."""

    KIND: ClassVar[bytes]
    WHAT: ClassVar[str]

    name: str = attrs.field(converter=named)
    seed: bytes = attrs.field(
        repr=lambda _: "…", validator=lambda _, field, key: _check(field, key)
    )

    @classmethod
    def new(cls, name: str) -> Self:
        """Return a new key. Raises InvalidCursorError for what cannot be a name."""
        named(name)
        return cls(name, _ed25519().Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the key that was written as `text`. Raises InvalidCursorError."""
        text = text.strip()
        if not text.startswith(_PRIVATE):
            raise InvalidCursorError(f"this is not {cls.WHAT}.")
        name, key = _parsed(text.removeprefix(_PRIVATE), cls.WHAT, cls.KIND, secret=True)
        found = cls(name, key)
        if found.text != text:
            raise InvalidCursorError("the signing key is damaged: its id is not that of its key.")
        return found

    @property
    def public(self) -> bytes:
        """Return the 32 bytes of the key that verifies what this one signs."""
        private = _ed25519().Ed25519PrivateKey.from_private_bytes(self.seed)
        public: bytes = private.public_key().public_bytes_raw()
        return public

    @property
    def text(self) -> str:
        """Return the key as it is kept: a secret."""
        key_id = sha256(self.name.encode() + b"\n" + self.KIND + self.public).hexdigest()[:8]
        return f"{_PRIVATE}{self.name}+{key_id}+{encoded(self.KIND + self.seed)}"

    def signature(self, message: bytes) -> bytes:
        """Return the signature of `message`, the same one each time."""
        private = _ed25519().Ed25519PrivateKey.from_private_bytes(self.seed)
        signed: bytes = private.sign(message)
        return signed


def _check(field: attrs.Attribute[bytes], key: object) -> None:
    if type(key) is not bytes or len(key) != _KEY_BYTES:
        raise invalid(field.name, f"must be the {_KEY_BYTES} bytes of an Ed25519 key.")


def _parsed(text: str, what: str, kind: bytes, *, secret: bool = False) -> tuple[str, bytes]:
    """Return the name and the bytes of a key."""
    shown = "this" if secret else f"{text!r:.80}"
    found = _KEY.fullmatch(text)
    key = decoded(found[3]) if found else None
    if found is None or key is None or not is_name(found[1]):
        raise InvalidCursorError(f"{shown} is not {what}.")
    if key[:1] != kind or len(key) != 1 + _KEY_BYTES:
        raise InvalidCursorError(
            f"the key of {found[1]:.80} is of kind {key[0]} and has {len(key) - 1} bytes; here is "
            f"to be {what}: kind {kind[0]}, {_KEY_BYTES} bytes."
        )
    return found[1], key[1:]


def _ed25519() -> ModuleType:
    """Return the signatures of the extra `evidence`. Raises StorageError without it."""
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise StorageError(
            "Signatures need the package cryptography: "
            f"pip install '.[evidence]' in a clone of cursor-ledger ({error})."
        ) from error
    return ed25519
