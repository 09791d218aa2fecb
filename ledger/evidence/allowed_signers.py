"""Files of allowed signers, as ssh-keygen and git have them: they tell whose SSH key has signed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ledger.errors import InvalidCursorError, invalid
from ledger.evidence.ssh_keygen import NAMESPACE, fault_of, in_file, run
from ledger.evidence.ssh_signatures import SshSignature
from ledger.law import fields

if TYPE_CHECKING:
    from subprocess import CompletedProcess

__all__ = ["AllowedSigners", "SignatureState", "SignedBy"]

JUDGED_MAX = 1_000
"""All resets of a plan have the same signature, and others another one."""


class SignatureState(StrEnum):
    """What is known of who reset a cursor.

    >>> import ledger
    >>> [state.value for state in ledger.SignatureState]
    ['asserted', 'signed', 'unknown', 'bad']
    """

    ASSERTED = "asserted"
    """A name was said, and nobody has signed."""
    SIGNED = "signed"
    """Somebody has signed who is in the file of allowed signers."""
    UNKNOWN = "unknown"
    """Somebody has signed whose key is not in the file, or was not valid then."""
    BAD = "bad"
    """What is there as a signature is none of this."""


@attrs.frozen(kw_only=True)
class SignedBy:
    """What is known of the signature of a text: its key, and whose that is.

    `state` is SIGNED, UNKNOWN or BAD. `signer` is the principal of the file of allowed signers,
    empty unless it is SIGNED; `key` the fingerprint of the key, empty if there is none. `why` says
    what is wrong, empty if nothing is.

    >>> import ledger
    >>> [field.name for field in ledger.SignedBy.__attrs_attrs__]
    ['state', 'signer', 'key', 'why']
    """

    state: SignatureState
    signer: str = ""
    key: str = ""
    why: str = ""


def _principals(value: Iterable[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        raise invalid("principals", "must be a list of texts, not one text.")
    return tuple(fields.exact(name, "principals") for name in value)


@attrs.frozen
class AllowedSigners:
    """The keys that are trusted, and their owners: a file as ssh-keygen and git have it.

    `path` is the file. `principals` are the only ones who count, all of the file if it is empty.
    `revoked` is a file of keys that are trusted no more: public keys, or what ssh-keygen -k makes.
    What was judged once is remembered, so make another one when a file has changed.

    Raises InvalidCursorError if a file is not there.

    >>> import ledger
    >>> try:
    ...     ledger.AllowedSigners("/nowhere/allowed_signers")
    ... except ledger.InvalidCursorError as error:
    ...     print(error)
    there is no file '/nowhere/allowed_signers' of allowed signers: see man ssh-keygen.
    """

    path: str = attrs.field(converter=os.fspath)
    principals: tuple[str, ...] = attrs.field(default=(), kw_only=True, converter=_principals)
    revoked: str | None = attrs.field(
        default=None, kw_only=True, converter=attrs.converters.optional(os.fspath)
    )

    _judged: dict[tuple[bytes, str, str], SignedBy] = attrs.field(
        factory=dict, init=False, eq=False, repr=False
    )

    def __attrs_post_init__(self) -> None:
        for path, what in ((self.path, "allowed signers"), (self.revoked, "revoked keys")):
            if path is not None and not Path(path).is_file():
                raise InvalidCursorError(
                    f"there is no file {path!r} of {what}: see man ssh-keygen."
                )

    def judge(self, text: bytes, signature: SshSignature, at: datetime) -> SignedBy:
        """Return who has signed a text. At the time `at`, their key must have been valid.

        Raises StorageError if ssh-keygen is missing or too old, InvalidCursorError if the file of
        revoked keys is none.
        """
        # Older versions take the time for local.
        moment = fields.moment(at, "at").strftime("%Y%m%d%H%M%S")
        asked = (text, signature.base64, moment)
        if asked not in self._judged:
            if len(self._judged) >= JUDGED_MAX:
                self._judged.clear()
            self._judged[asked] = self._judge(text, signature, moment)
        return self._judged[asked]

    def _judge(self, text: bytes, signature: SshSignature, at: str) -> SignedBy:
        moment = f"-Overify-time={at}"
        with in_file(signature.armored) as file:
            found = run(["-Y", "find-principals", "-s", file, "-f", self.path, moment])
            said = "" if found.returncode else found.stdout.decode(errors="replace")
            known = [name for name in said.split("\n") if name]
            for name in self.principals or known:
                asked = [*("-Y", "verify", "-n", NAMESPACE, "-I", name, "-s", file)]
                asked += ["-f", self.path, moment]
                done = run(asked, text)
                if done.returncode:
                    continue
                key = _key(done, signature)
                if self.revoked is not None and self._is_revoked(asked, text, self.revoked):
                    return SignedBy(state=SignatureState.BAD, key=key, why="the key is revoked")
                return SignedBy(state=SignatureState.SIGNED, signer=name, key=key)
            if fault := fault_of(text, file):
                return SignedBy(state=SignatureState.BAD, key=signature.fingerprint, why=fault)
        return SignedBy(
            state=SignatureState.UNKNOWN,
            key=signature.fingerprint,
            why=_unknown(found, known, self.path),
        )

    def _is_revoked(self, asked: Sequence[str], text: bytes, revoked: str) -> bool:
        done = run([*asked, "-r", revoked, "-vvv"], text)
        said = done.stderr or b""
        # It refuses in the same way what it cannot read.
        if done.returncode and b"Key is revoked" not in said and b"invalid format" in said:
            raise InvalidCursorError(
                f"{revoked!r} has no revoked keys that ssh-keygen can read. Put public keys into "
                "it, one a line, or make it with ssh-keygen -k."
            )
        return bool(done.returncode)


def _unknown(found: CompletedProcess[bytes], known: Sequence[str], path: str) -> str:
    said = found.stderr.decode(errors="replace")
    if known:
        # The file has it for another namespace, or for a principal that does not count.
        return f"the key is that of {', '.join(known)}, which does not count here"
    if "not yet valid" in said or "expired" in said:
        return "the key was not valid at the time of the reset"
    # Such as a line of the file that is no key.
    told = next((line for line in said.splitlines() if line.startswith(f"{path}:")), "")
    return "the key is not among the allowed signers" + (told and f" ({told})")


def _key(done: CompletedProcess[bytes], signature: SshSignature) -> str:
    # Of a certificate, ssh-keygen shows the key in it.
    last = done.stdout.decode(errors="replace").split()[-1:]
    return last[0] if last and last[0].startswith("SHA256:") else signature.fingerprint
