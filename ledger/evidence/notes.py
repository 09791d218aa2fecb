"""Signed notes, the keys that sign them, and the keys that verify them.

The format is C2SP's signed note (https://c2sp.org/signed-note@v1.0.0) with Ed25519 alone, so that
others can verify what is signed here, and none of it is ours. What is read is distrusted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, TypeAlias

import attrs

from ledger.errors import InvalidCursorError, UnprovenError
from ledger.evidence.keys import DASH, PublicKey, SecretKey, decoded, encoded, is_name

__all__ = [
    "NOTE_BYTES_MAX",
    "SIGNATURES_MAX",
    "Keys",
    "SigningKey",
    "VerifierKey",
    "open_note",
    "taken_apart",
    "text_of",
]

NOTE_BYTES_MAX = 1_000_000
"""A longer note, or proof, is not read."""

SIGNATURES_MAX = 100
"""A note with more signatures is refused; the format asks for 16 at least."""

_ED25519 = b"\x01"


@attrs.frozen
class VerifierKey(PublicKey):
    """A public key that verifies notes, and the name of who signs with it.

    `text` is its vkey, as others write it: `name`, the key's id and the key. `public` has 32 bytes.
    A verifier must have it from somebody they trust, and never from the note.

    >>> import ledger
    >>> key = ledger.VerifierKey.parse(
    ...     "example.com/cursors+a7f4c4ee+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
    ... )
    >>> key.name, key.id.hex()
    ('example.com/cursors', 'a7f4c4ee')
    """

    KIND: ClassVar[bytes] = _ED25519
    WHAT: ClassVar[str] = "a verifier key, such as example.com/cursors+a7f4c4ee+AQOhB7/z…"

    def has_signed(self, text: bytes, signature: bytes) -> bool:
        """Return whether this is a signature of `text` by the key."""
        return self.verifies(text, signature)


@attrs.frozen
class SigningKey(SecretKey):
    """A private key that signs notes under `name`, the origin of the ledger.

    `text` is the key as others write it (`PRIVATE+KEY+…`), which nobody else may read, and
    `verifier` the key that verifies what it has signed. `seed` has 32 bytes.

    >>> import ledger
    >>> key = ledger.SigningKey.new("example.com/cursors")
    >>> note = key.sign("a text\\n")
    >>> ledger.open_note(note, [key.verifier])
    'a text\\n'
    """

    KIND: ClassVar[bytes] = _ED25519
    WHAT: ClassVar[str] = "a signing key, as cursor-ledger key new makes one"

    @property
    def verifier(self) -> VerifierKey:
        """Return the key that verifies."""
        return VerifierKey(self.name, self.public)

    def sign(self, text: str) -> str:
        """Return a note of `text`, which ends in a newline, signed. Raises InvalidCursorError."""
        if not text.endswith("\n") or _has_controls(text):
            raise InvalidCursorError(
                "a note's text must end in a newline, and have no other control characters."
            )
        signature = encoded(self.verifier.id + self.signature(text.encode()))
        return f"{text}\n{DASH}{self.name} {signature}\n"


Keys: TypeAlias = Iterable[VerifierKey]


def open_note(note: str | bytes, keys: Keys) -> str:
    """Return the text of `note` if at least one of `keys` has signed it.

    Signatures of other keys are ignored. If one of `keys` is named, but has not signed this text,
    the note is refused.

    Raises UnprovenError.

    >>> import ledger
    >>> key = ledger.SigningKey.new("example.com/cursors")
    >>> note = key.sign("a text\\n").replace("text", "lie")
    >>> try:
    ...     ledger.open_note(note, [key.verifier])
    ... except ledger.UnprovenError as error:
    ...     print(error)
    the note is not what example.com/cursors has signed: it was changed.
    """
    text, signatures = taken_apart(note)
    known: dict[tuple[str, bytes], VerifierKey] = {}
    for key in keys:
        if known.setdefault((key.name, key.id), key) != key:
            raise InvalidCursorError(f"two keys are called {key.name}+{key.id.hex()}; give one.")
    trusted = False
    for name, signature in signatures:
        if signer := known.get((name, signature[:4])):
            if not signer.has_signed(text.encode(), signature[4:]):
                raise UnprovenError(f"the note is not what {name} has signed: it was changed.")
            trusted = True
    if not trusted:
        names = ", ".join(sorted(f"{name}+{sign[:4].hex()}" for name, sign in signatures))
        asked = ", ".join(sorted(f"{name}+{key_id.hex()}" for name, key_id in known))
        raise UnprovenError(
            f"the note is signed by {names:.300}, not by {asked or 'a key that was given'}; it "
            "proves nothing without a signature of a key that you trust."
        )
    return text


def text_of(note: str | bytes) -> str:
    """Return the text of a note without a look at who signed it. Raises UnprovenError."""
    return taken_apart(note)[0]


def taken_apart(note: str | bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """Return the text of a note, and the name and bytes of each signature."""
    size = len(note if isinstance(note, bytes) else note.encode("utf-8", "surrogatepass"))
    if size > NOTE_BYTES_MAX:
        raise UnprovenError(f"it has more than {NOTE_BYTES_MAX:,} bytes; no note is so long.")
    if isinstance(note, bytes):
        try:
            note = note.decode()
        except UnicodeDecodeError as error:
            raise _malformed(f"byte {error.start} is not UTF-8") from None
    if "\r" in note:
        raise _malformed("it has a carriage return; lines end in a newline alone")
    if _has_controls(note):
        raise _malformed("it has a control character")
    head, gap, tail = note.rpartition("\n\n")
    if not gap:
        raise _malformed("it has no empty line before its signatures")
    if not tail.endswith("\n"):
        raise _malformed("its last line has no end" if tail else "it has no signature")
    lines = tail[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise _malformed(f"it has {len(lines)} signatures, more than {SIGNATURES_MAX}")
    return head + "\n", [_signature(line) for line in lines]


def _signature(line: str) -> tuple[str, bytes]:
    name, _, text = line.removeprefix(DASH).partition(" ")
    signature = decoded(text)
    if not line.startswith(DASH) or not is_name(name):
        raise _malformed(f"{line!r:.60} is no line of a signature: — NAME SIGNATURE")
    if signature is None or len(signature) < 5:
        raise _malformed(f"the signature of {name:.60} is not base64 of a key's id and more")
    return name, signature


def _has_controls(text: str) -> bool:
    """Return whether the text has a control character, or a half of one that UTF-8 cannot write."""
    return any((char < " " and char != "\n") or "\ud800" <= char <= "\udfff" for char in text)


def _malformed(why: str) -> UnprovenError:
    return UnprovenError(f"it is not a signed note: {why}.")
