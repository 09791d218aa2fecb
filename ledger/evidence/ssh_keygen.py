"""How `ssh-keygen` is run, and what it says."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ledger.errors import InvalidCursorError, StorageError
from ledger.law import fields

if TYPE_CHECKING:
    import subprocess

__all__ = ["AGENT", "NAMESPACE", "fault_of", "in_file", "run", "signed"]

NAMESPACE = "cursor-ledger"
"""A signature for git, or for a file, is none of a plan."""

AGENT = "agent"
"""In the place of a key's file: the only key that the agent has."""

SIGN_S_MAX = 300.0
"""A person is asked for a passphrase, or to touch a key, for so long."""
VERIFY_S_MAX = 30.0

_OLDEST = "OpenSSH 8.9"


def signed(text: bytes, key: str | os.PathLike[str]) -> bytes:
    """Return the file of the signature of a text, by the key in a file, or the agent's only one.

    Raises InvalidCursorError if the key is not there or nobody could use it, StorageError if
    ssh-keygen is missing or too old.
    """
    import tempfile

    name = fields.exact(os.fspath(key), "the key")
    with tempfile.TemporaryDirectory(prefix="cursor-ledger-") as folder:
        file = Path(folder, "key.pub")
        if name == AGENT:
            file.write_bytes(_only_key())
        else:
            file = Path(name).expanduser()
            if not file.is_file():
                raise InvalidCursorError(
                    f"there is no key {name!r}. Name the file of an SSH key, such as "
                    "~/.ssh/id_ed25519, or of a public key that is with the agent."
                )
        # A person who has to touch a key is told on their terminal.
        on_terminal = sys.stderr is not None and sys.stderr.isatty()
        done = run(
            ["-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(file)],
            text,
            wait_s_max=SIGN_S_MAX,
            shows_errors=on_terminal,
        )
    if done.returncode:
        said = "what it said is above" if on_terminal else _said(done)
        raise InvalidCursorError(
            f"ssh-keygen has not signed with {name!r}: {said}. See that the key can be read, or "
            "that ssh-add -l lists it."
        )
    return done.stdout


def fault_of(text: bytes, file: str) -> str:
    """Return why the signature in a file is none of `text`; empty if it is one."""
    done = run(["-Y", "check-novalidate", "-n", NAMESPACE, "-s", file], text)
    if not done.returncode:
        return ""
    return f"it is not of this text, or was damaged ({_said(done)})"


@contextmanager
def in_file(armored: str) -> Iterator[str]:
    """Have a signature in a file, because ssh-keygen reads it from nowhere else.

    Raises StorageError if there is no room for it.
    """
    import tempfile

    with ExitStack() as stack:
        try:
            file = stack.enter_context(
                tempfile.NamedTemporaryFile("w", prefix="cursor-ledger-", suffix=".sig")
            )
            file.write(armored)
            file.flush()
        except OSError as error:
            raise StorageError(
                f"a signature could not be put into a temporary file for ssh-keygen: {error}. Make "
                "room, or set TMPDIR to a folder that has it."
            ) from error
        yield file.name


def run(
    arguments: Sequence[str],
    text: bytes = b"",
    *,
    program: str = "ssh-keygen",
    wait_s_max: float = VERIFY_S_MAX,
    shows_errors: bool = False,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program of OpenSSH. Raises StorageError if it is missing, too old or stuck."""
    # Imported with the first signature: most resets have none.
    import shutil
    import subprocess

    path = shutil.which(program)
    if path is None:
        raise StorageError(
            f"{program} is not installed here, or not on the PATH. Install {_OLDEST} or newer: on "
            "Debian the package openssh-client."
        )
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and what is typed stands behind its option
            [path, *arguments],
            input=text,
            stdout=subprocess.PIPE,
            stderr=None if shows_errors else subprocess.PIPE,
            env={**os.environ, "TZ": "UTC0", "LC_ALL": "C"},
            check=False,
            timeout=wait_s_max,
        )
    except subprocess.TimeoutExpired:
        raise StorageError(f"{program} has not answered within {wait_s_max:.0f} s.") from None
    except OSError as error:
        raise StorageError(f"{program} could not be run: {error}.") from error
    said = done.stderr or b""
    if done.returncode and any(word in said for word in _TOO_OLD):
        raise StorageError(
            f"{path} is too old for signatures: it says {_said(done)!r}. Install {_OLDEST} or "
            "newer."
        )
    return done


def _only_key() -> bytes:
    """Return the public half of the only key that the agent has."""
    done = run(["-L"], program="ssh-add")
    keys = done.stdout.splitlines() if not done.returncode else []
    if len(keys) != 1:
        count = f"{len(keys):,} keys" if keys else "no key"
        raise InvalidCursorError(
            f"the agent has {count}, and one is needed. Name the file of the public key "
            "instead of agent; ssh-add -L lists what the agent has."
        )
    return keys[0] + b"\n"


# What versions say that lack one of the options.
_TOO_OLD = (b"unknown option", b"illegal option", b"nvalid option", b"nsupported operation")


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = (done.stderr or b"").decode(errors="replace").strip().splitlines()
    lines += done.stdout.decode(errors="replace").strip().splitlines()
    return fields.spelled(lines[0])[:200] if lines else f"exit code {done.returncode}"
