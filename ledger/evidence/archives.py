"""Archives: complete bundles in a file, believed only after the disk has given them back."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias

import attrs

from ledger import files
from ledger.errors import InvalidCursorError, StorageError, UnprovenError
from ledger.evidence.bundled import ProvedEvidence, verify_evidence
from ledger.evidence.bundles import LINE_BYTES_MAX
from ledger.evidence.notes import Keys
from ledger.evidence.tree_heads import TreeHead
from ledger.law.events import Entry

__all__ = ["Archive", "check_complete", "entries_before", "read_archive", "write_archive"]

Progress: TypeAlias = Callable[[int], None]


@attrs.frozen(kw_only=True)
class Archive:
    """A file with all entries under a signed note, which was read from the disk and verified.

    `file` is its path, `size` the number of its bytes, and `sha256` their SHA-256 in hexadecimal.
    `head` is what the note signs, and `cursors` is how many cursors have entries in it. `is_new`
    says whether it was written now: the same file may have been there already.

    >>> import ledger, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, ledger.open(":memory:") as book:
    ...     key = ledger.make_key(f"{folder}/key", "example.com/cursors")
    ...     cursor = book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
    ...     made = book.archive(book.sign(f"{folder}/key"), f"{folder}/archive", [key.verifier])
    >>> made.head.entries, made.cursors, made.is_new
    (1, 1, True)
    """

    file: str
    size: int
    sha256: str
    head: TreeHead
    cursors: int
    is_new: bool


def write_archive(
    path: str | os.PathLike[str],
    lines: Iterable[bytes],
    keys: Keys,
    *,
    origin: str | None = None,
    progress: Progress | None = None,
) -> Archive:
    """Write the lines of an archive to a new file, which has its name once it was verified.

    The very same archive may be there already; nothing else is written over. What was read back
    must be proved by `keys`, and have the SHA-256 of what was written.

    Raises InvalidCursorError, StorageError, UnprovenError.
    """
    place = os.fspath(path)
    try:
        if os.path.lexists(place):
            return _already(place, lines, keys, origin, progress)
        with files.writing(place, new=True) as file:
            written = hashlib.sha256()
            file.writelines(_hashed(lines, written))
            with files.read_back(file) as again:
                made = read_archive(place, again, keys, origin=origin, progress=progress)
            if made.sha256 != written.hexdigest():
                raise StorageError(
                    f"{place}: what the disk has given back is not what was written to it. Nothing "
                    "was archived; check the disk, and choose another one."
                )
        return made
    except FileExistsError:
        raise _is_there(place) from None
    except OSError as error:
        raise StorageError(f"{place} could not be written: {error.strerror or error}.") from error


def read_archive(
    place: str,
    file: BinaryIO,
    keys: Keys,
    *,
    origin: str | None = None,
    progress: Progress | None = None,
) -> Archive:
    """Return what a file proves that is complete; `place` is how it is called.

    Raises InvalidCursorError, UnprovenError.
    """
    digest, size = hashlib.sha256(), 0

    def read() -> Iterator[bytes]:
        nonlocal size
        for line in iter(lambda: file.readline(LINE_BYTES_MAX + 1), b""):
            size += len(line)
            yield line

    lines = _hashed(read(), digest)
    proved = verify_evidence(lines, keys, origin=origin, progress=progress)
    check_complete(place, proved)
    return Archive(
        file=place,
        size=size,
        sha256=digest.hexdigest(),
        head=proved.head,
        cursors=len(proved.cursors),
        is_new=True,
    )


@contextmanager
def entries_before(
    path: str | os.PathLike[str], keys: Keys, *, origin: str | None = None
) -> Iterator[Iterator[Entry]]:
    """Lend the entries of an archive, all of which was verified before the first one is read.

    Raises InvalidCursorError, StorageError, UnprovenError.
    """
    place = os.fspath(path)
    try:
        with Path(place).open("rb") as file:
            try:
                proved = verify_evidence(file, keys, origin=origin)
            except UnprovenError as error:
                raise UnprovenError(f"{place}: {error}") from None
            check_complete(place, proved)
            yield (each.entry for each in proved.entries())
    except OSError as error:
        raise StorageError(f"{place} cannot be read: {error.strerror or error}.") from error


def check_complete(place: str, proved: ProvedEvidence) -> None:
    """Refuse a bundle that leaves entries out. Raises InvalidCursorError."""
    if proved.kind != "complete":
        raise InvalidCursorError(
            f"{place} has {proved.listed:,} of {proved.head.entries:,} entries: it is a selected "
            "bundle, and no archive. Name what archive wrote, or evidence without filters."
        )


def _already(
    place: str,
    lines: Iterable[bytes],
    keys: Keys,
    origin: str | None,
    progress: Progress | None,
) -> Archive:
    """Return the archive that is there, if it has these very lines."""
    files.check(place)
    wanted = hashlib.sha256()
    for _ in _hashed(lines, wanted):
        pass
    with Path(place).open("rb") as file:
        found = hashlib.file_digest(file, "sha256")
        if found.digest() != wanted.digest():
            raise _is_there(place)
        file.seek(0)
        made = read_archive(place, file, keys, origin=origin, progress=progress)
    if made.sha256 != wanted.hexdigest():
        raise UnprovenError(f"{place} was changed while it was read. Archive to another file.")
    return attrs.evolve(made, is_new=False)


def _is_there(place: str) -> InvalidCursorError:
    return InvalidCursorError(
        f"{place} exists, and is not this archive. Nothing is written over it; choose another name."
    )


def _hashed(lines: Iterable[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    for line in lines:
        digest.update(line)
        yield line
