"""Cosignatures: what witnesses, who trust nobody, say of a checkpoint that they have looked at.

A witness cosigns a checkpoint if it continues all that it has cosigned of that ledger before,
so that nobody is shown another history than the witness was. The time in it is that of the witness.
The format is https://c2sp.org/tlog-cosignature with Ed25519.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar

import attrs

from ledger.errors import InvalidCursorError, UnprovenError
from ledger.evidence.keys import DASH, PublicKey, SecretKey, encoded
from ledger.evidence.notes import NOTE_BYTES_MAX, SIGNATURES_MAX, taken_apart
from ledger.law.fields import moment
from ledger.log.text import instant, micros

__all__ = ["Cosignature", "CosigningKey", "WitnessKey", "cosignatures"]

_COSIGNATURE = b"\x04"
_TIME_BYTES = 8
_ID_BYTES = 4
_SECOND = 1_000_000
SECONDS_MAX = 253_402_300_799
"""The last second of the year 9999."""


@attrs.frozen
class Cosignature:
    """What a witness says of a checkpoint: its `name`, and when it has cosigned, `at` by its clock.

    >>> import ledger
    >>> [field.name for field in ledger.Cosignature.__attrs_attrs__]
    ['name', 'at']
    """

    name: str
    at: datetime


@attrs.frozen
class WitnessKey(PublicKey):
    """A public key that verifies the cosignatures of a witness.

    `text` is its vkey, as others write it: `name`, the key's id and the key, which is of another
    kind than the key of a ledger. `public` has 32 bytes.

    >>> import ledger, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     key = ledger.make_witness(f"{folder}/key", "witness.example.com/ines")
    >>> ledger.WitnessKey.parse(key.verifier.text) == key.verifier
    True
    """

    KIND: ClassVar[bytes] = _COSIGNATURE
    WHAT: ClassVar[str] = "a verifier key of a witness, such as example.net/w1+8d66cf3f+BCx7/z…"

    def cosigned_at(self, text: str, signature: bytes) -> datetime | None:
        """Return when the witness has made `signature` of the checkpoint `text`; None if never."""
        seconds = int.from_bytes(signature[:_TIME_BYTES], "big")
        if seconds > SECONDS_MAX or not self.verifies(
            _message(text, seconds), signature[_TIME_BYTES:]
        ):
            return None
        return instant(seconds * _SECOND)


@attrs.frozen
class CosigningKey(SecretKey):
    """The private key of the witness `name`: `verifier` verifies what it has cosigned.

    `text` is the key as it is kept, a secret. `seed` has 32 bytes.

    >>> import ledger, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     key = ledger.make_witness(f"{folder}/key", "witness.example.com/ines")
    >>> key.name, key.verifier.name
    ('witness.example.com/ines', 'witness.example.com/ines')
    """

    KIND: ClassVar[bytes] = _COSIGNATURE
    WHAT: ClassVar[str] = "the key of a witness, as cursor-ledger key new --witness makes one"

    @property
    def verifier(self) -> WitnessKey:
        """Return the key that verifies."""
        return WitnessKey(self.name, self.public)

    def cosign(self, note: str | bytes, at: datetime) -> str:
        """Return the note of a checkpoint with a cosignature more, made at `at`.

        Whatever it is over: `ledger.cosign` looks first. An older cosignature of this key goes.
        Raises UnprovenError if it is no note, or too long a one; InvalidCursorError for a time
        without a zone.
        """
        text, signatures = taken_apart(note)
        own = self.verifier.id
        others = [each for each in signatures if (each[0], each[1][:_ID_BYTES]) != (self.name, own)]
        if len(others) >= SIGNATURES_MAX:
            raise UnprovenError(f"the note has {SIGNATURES_MAX} signatures already, the most.")
        lines = [f"{DASH}{name} {encoded(signature)}\n" for name, signature in others]
        cosigned = f"{text}\n{''.join(lines)}{self.line(text, at)}"
        # A witness that keeps what nobody reads could never cosign again.
        if len(cosigned.encode()) > NOTE_BYTES_MAX:
            raise UnprovenError(
                f"the note would have more than {NOTE_BYTES_MAX:,} bytes with the cosignature, and "
                "could not be read again."
            )
        return cosigned

    def line(self, text: str, at: datetime) -> str:
        """Return the line of a signature that cosigns the checkpoint `text` at `at`."""
        seconds = micros(moment(at, "at")) // _SECOND
        if seconds < 0:
            raise InvalidCursorError(f"at must not be before 1970, as {at} is.")
        stamp = seconds.to_bytes(_TIME_BYTES, "big")
        signed = self.verifier.id + stamp + self.signature(_message(text, seconds))
        return f"{DASH}{self.name} {encoded(signed)}\n"


def cosignatures(note: str | bytes, witnesses: Iterable[WitnessKey]) -> tuple[Cosignature, ...]:
    """Return which of `witnesses` have cosigned the checkpoint in `note`, and when, in its order.

    What others say is ignored. It does not look at who has signed the note: `TreeHead.opened` does.

    Raises UnprovenError if it is no note, or if one of `witnesses` is named in it, but has not
    cosigned this text.

    >>> import ledger, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, ledger.open(":memory:") as book:
    ...     key = ledger.make_key(f"{folder}/key", "example.com/cursors")
    ...     witness = ledger.make_witness(f"{folder}/witness", "witness.example.com/ines")
    ...     note = book.sign(f"{folder}/key")
    ...     cosigned = witness.cosign(note, book.now())
    >>> [found.name for found in ledger.cosignatures(cosigned, [witness.verifier])]
    ['witness.example.com/ines']
    """
    text, signatures = taken_apart(note)
    known = {(witness.name, witness.id): witness for witness in witnesses}
    found: dict[str, Cosignature] = {}
    for name, signature in signatures:
        witness = known.get((name, signature[:_ID_BYTES]))
        if witness is None:
            continue
        at = witness.cosigned_at(text, signature[_ID_BYTES:])
        if at is None:
            raise UnprovenError(
                f"the note is not what the witness {name} has cosigned: it was changed."
            )
        found.setdefault(name, Cosignature(name, at))
    return tuple(found.values())


def _message(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()
