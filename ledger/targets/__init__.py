"""The target that names a ledger: the path of a file, or a `postgresql://` URL.

A connection string in another form would be taken for the name of a file, and a file would be
created with a password in its name. Such a string is refused, and the refusal does not repeat it.
"""

from __future__ import annotations

import os

from ledger.errors import invalid
from ledger.law import fields

__all__ = ["BUSY_TIMEOUT_S", "checked", "is_postgres", "shown"]

BUSY_TIMEOUT_S = 10.0
"""How long a call waits for other writers, unless it was opened with another time."""

_MARKS = frozenset(":=@")
"""What every connection string has one of."""

_FORM = (
    "Write postgresql://user@host:port/database, with the password in PGPASSWORD or ~/.pgpass; "
    "or the path of a file, with ./ in front if it is really called so."
)


def checked(target: object) -> str:
    """Return `target` as text: a path, or a URL that begins with postgresql:// or postgres://.

    Raises InvalidCursorError, which never repeats what may contain a password.
    """
    if not isinstance(target, str | os.PathLike):
        said = fields.kind(target)
        raise invalid(
            "target",
            f"must be a path, not {said}; or a postgresql:// URL as text, an engine, or a pool.",
            value=said,
        )
    path = os.fspath(target)
    if not isinstance(path, str):
        raise invalid("target", "must be a path of text, not of bytes.")
    if not path.strip():
        raise invalid("target", f"must be a path, not {path!r:.80}.", value=f"{path!r:.80}")
    try:
        unusable = b"\0" in os.fsencode(path)
    except UnicodeEncodeError:
        unusable = True
    if unusable:
        raise invalid("target", "must be a path, without a NUL or a lone surrogate in it.")
    if is_postgres(path):
        return path
    if not _MARKS.isdisjoint(path) and (looks := _looks_like(path)) is not None:
        raise invalid(
            "target",
            f"looks like {looks}, which is neither a path nor a postgresql:// URL. {_FORM}",
        )
    return path


def is_postgres(target: str) -> bool:
    """Return whether `target` is the URL of a PostgreSQL database."""
    return target.startswith(("postgresql://", "postgres://"))


def shown(target: str) -> str:
    """Return `target` for a message, with user info and passwords masked.

    The time that it takes grows with the length, and no faster.
    """
    from ledger.targets.strings import masked

    return masked(target)


def _looks_like(path: str) -> str | None:
    # Imported here, because its patterns take 1.3 ms to compile, and a plain path needs none.
    from ledger.targets.strings import looks_like

    return looks_like(path)
