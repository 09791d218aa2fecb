"""Files of keys that sign, and beside each the last note that it has signed.

A key must never sign two trees of which none is the beginning of the other. Therefore the note that
is signed next is on the disk before anybody sees it, and what is in the file is checked before the
next one is signed. Files are written whole or not at all, and are for their owner alone.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import attrs

from ledger.errors import (
    DivergedError,
    InvalidCursorError,
    LedgerBusyError,
    StorageError,
    UnprovenError,
)
from ledger.evidence.keys import SecretKey
from ledger.evidence.merkle import Checkpoint
from ledger.evidence.notes import NOTE_BYTES_MAX, SigningKey
from ledger.evidence.tree_heads import EMPTY_ROOT, TreeHead
from ledger.files import SIGNED, placing, plain, refuse_part

__all__ = [
    "SIGNED",
    "HeldKey",
    "held",
    "keep_note",
    "last_note",
    "locked",
    "make_files",
    "make_key",
    "read_key",
    "refuse_there",
]

K = TypeVar("K", bound=SecretKey)

WAIT_S_MAX = 30.0
"""Another process that signs with the key is waited for so long."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_key(path: str | os.PathLike[str], origin: str) -> SigningKey:
    """Make a key that signs for `origin`, and keep it in a new file, which only its owner may read.

    Beside it, `path` + ".signed" has the last note that it has signed; keep both together. A file
    that is there is never written over.

    Raises InvalidCursorError, StorageError.

    >>> import ledger, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     key = ledger.make_key(f"{folder}/key", "example.com/cursors")
    ...     sorted(os.listdir(folder))
    ['key', 'key.signed']
    >>> key.verifier.name
    'example.com/cursors'
    """
    key = SigningKey.new(origin)
    make_files(path, key, key.sign(TreeHead(origin, 0, EMPTY_ROOT).text))
    return key


def make_files(path: str | os.PathLike[str], key: SecretKey, first: str) -> None:
    """Keep a new key in a file, and beside it `first`, a note of a tree without entries.

    Raises InvalidCursorError, StorageError.
    """
    place = os.fspath(path)
    state = place + SIGNED
    with _alone(place):
        refuse_there(place)
        # Before the key, because a key without it signs nothing.
        with _failing(state):
            if _is_left_over(state):
                Path(state).unlink()
            _write(state, first, new=True)
        with _failing(place):
            _write(place, f"{key.text}\n", new=True)


def refuse_there(path: str | os.PathLike[str]) -> None:
    """Refuse to make a key where something is, or would be. Raises InvalidCursorError."""
    if os.path.lexists(path):
        raise _is_there(os.fspath(path))
    refuse_part(path)


def read_key(path: str | os.PathLike[str], kind: type[K]) -> K:
    """Return the key in a file. Raises InvalidCursorError, StorageError."""
    with _opened(path) as (place, file):
        return _key_in(place, file, kind)


@attrs.define
class HeldKey:
    """A key that no other process signs with meanwhile."""

    place: str
    key: SigningKey
    last: TreeHead
    """What it has signed last; a tree without entries at first."""

    def sign(self, then: Checkpoint | None, now: Checkpoint) -> str:
        """Return a note that signs `now`, where `then` is the tree when it had the last size.

        Raises DivergedError if the tree does not begin with the one that was signed last.
        """
        last = self.last
        if then is None:
            raise DivergedError(
                f"the ledger has {_entries(now)}, but {self.place} has signed {last.entries:,}. "
                f"{_LOST}"
            )
        if then.root != last.root:
            raise DivergedError(
                f"the first {last.entries:,} entries of the ledger are not those that {self.place} "
                f"has signed. {_LOST}"
            )
        head = TreeHead(self.key.name, now.entries, now.root)
        note = self.key.sign(head.text)
        keep_note(self.place, note)
        self.last = head
        return note


_LOST = (
    "A backup was restored, entries were changed, or it is another ledger. Nothing was signed; "
    "compare with the ledger that was signed before."
)


def _entries(tree: Checkpoint) -> str:
    return "1 settled entry" if tree.entries == 1 else f"{tree.entries:,} settled entries"


@contextmanager
def held(path: str | os.PathLike[str]) -> Iterator[HeldKey]:
    """Keep other processes from signing with the key in a file.

    Raises InvalidCursorError, LedgerBusyError, StorageError, UnprovenError.
    """
    with locked(path, SigningKey) as (place, key):
        with last_note(place) as note:
            last = TreeHead.opened(note, [key.verifier], origin=key.name)
        yield HeldKey(place, key, last)


@contextmanager
def locked(path: str | os.PathLike[str], kind: type[K]) -> Iterator[tuple[str, K]]:
    """Return the place of a file, and the key in it, which no other process uses meanwhile.

    Raises InvalidCursorError, LedgerBusyError, StorageError.
    """
    with _opened(path) as (place, file):
        _lock(file, f"signing with {place}")
        yield place, _key_in(place, file, kind)


def keep_note(place: str, note: str) -> None:
    """Keep what the key at `place` signs, on the disk, before anybody sees it."""
    with _failing(place + SIGNED):
        _write(place + SIGNED, note)


@contextmanager
def last_note(place: str) -> Iterator[bytes]:
    """Return the note that the key at `place` has signed last, still unread.

    It is read within, where one that was edited is refused.

    Raises InvalidCursorError, StorageError, UnprovenError.
    """
    name = place + SIGNED
    with _failing(name):
        # Behind a link, the file would stay as it is when the next note is kept.
        if plain(name) is None:
            raise StorageError(
                f"{name} is missing: it has the last note that the key has signed, without which "
                "it could sign a second history. Put it back, or make another key."
            )
        with Path(name).open("rb") as file:
            note = file.read(NOTE_BYTES_MAX + 1)
    try:
        yield note
    except UnprovenError as error:
        raise UnprovenError(f"{name} is damaged, so nothing was signed: {error}") from None


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[str, int]]:
    place = os.fspath(path)
    with _failing(place):
        # Nobody may ever write to a pipe.
        file = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield place, file
    finally:
        os.close(file)


def _key_in(place: str, file: int, kind: type[K]) -> K:
    there = os.fstat(file)
    if not stat.S_ISREG(there.st_mode):
        raise InvalidCursorError(f"{place} is not a file of a key.")
    if there.st_mode & _OTHERS:
        raise InvalidCursorError(
            f"{place} can be read by others ({stat.S_IMODE(there.st_mode):o}), who could sign with "
            "it. Make it private with chmod 600, or make another key."
        )
    try:
        return kind.parse(os.pread(file, 4_096, 0).decode())
    except (UnicodeDecodeError, InvalidCursorError) as error:
        why = error if isinstance(error, InvalidCursorError) else "it is not UTF-8."
        raise InvalidCursorError(f"{place}: {why}") from None


def _lock(file: int, doing: str) -> None:
    until = time.monotonic() + WAIT_S_MAX
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        except OSError as error:
            raise StorageError(
                f"the lock for {doing} failed: {error.strerror}. Keep keys on a file system of "
                "this machine; one of the network may have no locks."
            ) from error
        else:
            return
        if time.monotonic() > until:
            raise LedgerBusyError(
                f"another process has been {doing} for {WAIT_S_MAX:.0f} s; try again."
            )
        time.sleep(0.05)


def _is_left_over(name: str) -> bool:
    """Return whether the file is of a key that was not made to the end: it has signed nothing."""
    try:
        with Path(name).open("rb") as file:
            head = TreeHead.unverified(file.read(NOTE_BYTES_MAX + 1))
    except FileNotFoundError:
        return False
    except UnprovenError:
        raise _is_there(name) from None
    if head.entries:
        raise _is_there(name)
    return True


def _is_there(name: str) -> InvalidCursorError:
    return InvalidCursorError(f"{name} exists, and is not written over. Choose another name.")


def _write(name: str, text: str, *, new: bool = False) -> None:
    """Write a private file, whole or not at all; over what is there unless it is to be `new`."""
    with placing(name, new=new) as file:
        file.write(text.encode())


@contextmanager
def _alone(place: str) -> Iterator[None]:
    """Keep others from making the same key meanwhile: one would have the state of the other."""
    with _failing(place):
        folder = os.open(Path(place).parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(folder, f"making a key beside {place}")
        yield
    finally:
        os.close(folder)


@contextmanager
def _failing(place: str) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise _is_there(place) from None
    except OSError as error:
        raise StorageError(f"{place}: {error.strerror or error}.") from error
