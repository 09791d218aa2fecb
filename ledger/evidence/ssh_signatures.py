"""Signatures as git has them: made and verified by `ssh-keygen -Y`, in the namespace of the ledger.

Keys, agents, hardware and files of allowed signers are those that people have for git. The format:
https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig.
"""

from __future__ import annotations

import base64
import os
from hashlib import sha256

import attrs

from ledger.errors import InvalidCursorError, UnprovenError
from ledger.evidence.ssh_keygen import NAMESPACE, fault_of, in_file, signed
from ledger.law import sshsig
from ledger.law.sshsig import SIGNATURE_LENGTH_MAX

__all__ = ["SIGNATURE_LENGTH_MAX", "SshSignature"]

_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_HASHES = {b"sha256", b"sha512"}


@attrs.frozen
class SshSignature:
    """A signature by an SSH key in the namespace `cursor-ledger`: its form is checked, no more.

    `base64` is what stands between the first and the last line of its file, on one line.

    Raises UnprovenError.

    >>> import ledger
    >>> try:
    ...     ledger.SshSignature.parse("I approve of this.")
    ... except ledger.UnprovenError as error:
    ...     print(error)
    it is no signature of ssh-keygen: it does not begin with -----BEGIN SSH SIGNATURE-----.
    """

    base64: str

    def __attrs_post_init__(self) -> None:
        namespace, hashed = _parts(self.base64)[1:]
        if namespace != NAMESPACE.encode():
            said = namespace.decode(errors="replace")
            raise UnprovenError(
                f"the signature is in the namespace {said!r:.80}, not {NAMESPACE}: it was made for "
                f"something else. Sign with ssh-keygen -Y sign -n {NAMESPACE}."
            )
        if hashed not in _HASHES:
            raise _flawed("it hashes in a way that is not known")

    @classmethod
    def parse(cls, text: str | bytes) -> SshSignature:
        """Return the signature that a file of ssh-keygen has. Raises UnprovenError."""
        lines = (text.decode(errors="replace") if isinstance(text, bytes) else text).split("\n")
        lines = [line.removesuffix("\r") for line in lines]
        while lines and not lines[-1]:
            lines.pop()
        if not lines or lines[0] != _BEGIN:
            raise _flawed(f"it does not begin with {_BEGIN}")
        if lines[-1] != _END:
            raise _flawed(f"it does not end with {_END}")
        return cls("".join(lines[1:-1]))

    @classmethod
    def by(cls, key: str | os.PathLike[str], text: bytes) -> SshSignature:
        """Return the signature of a text by the key in a file.

        The file has the private key, or the public one whose private half is with the agent.
        "agent" is the only key that the agent has. Where the key has a passphrase, the terminal is
        asked.

        Raises InvalidCursorError if the key is not there or could not be used, StorageError if
        ssh-keygen is missing or too old.
        """
        return cls.parse(signed(text, key))

    def check(self, text: bytes) -> None:
        """Refuse the signature if it is not of this text, whoever has signed.

        Raises UnprovenError, StorageError if ssh-keygen is missing or too old.
        """
        with in_file(self.armored) as file:
            if fault := fault_of(text, file):
                raise UnprovenError(f"the signature does not hold: {fault}.")

    @property
    def armored(self) -> str:
        """The signature as a file of ssh-keygen has it."""
        import textwrap

        return "\n".join([_BEGIN, *textwrap.wrap(self.base64, 70), _END, ""])

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the key that is in the signature, as ssh-keygen shows it."""
        digest = sha256(_parts(self.base64)[0]).digest()
        return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"

    def same_key(self, other: SshSignature) -> bool:
        """Return whether both are by one key, itself or in a certificate."""
        return _key(self) == _key(other)


def _key(signature: SshSignature) -> bytes:
    key, *_ = _parts(signature.base64)
    try:
        return sshsig.plain_key(key)
    except ValueError as error:
        raise _flawed(str(error)) from None


def _parts(text: object) -> tuple[bytes, bytes, bytes]:
    """Return the key, the namespace and the name of the hash in a signature."""
    try:
        return sshsig.parts(text)
    except InvalidCursorError:
        raise
    except ValueError as error:
        raise _flawed(str(error)) from None


def _flawed(why: str) -> UnprovenError:
    return UnprovenError(f"it is no signature of ssh-keygen: {why}.")
