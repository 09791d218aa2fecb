"""A ledger in a file, copied to another file while it is used.

The copy is private, and on the disk before it gets its name: a full disk, an interrupt or a kill
leave what was there before.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from ledger.errors import InvalidCursorError, StorageError
from ledger.files import BESIDE, named, new_name, refuse_part
from ledger.stores.sqlite import backup

__all__ = ["Backup", "Progress", "as_private_as", "copied", "sync"]

_PRIVATE = 0o600

Progress = Callable[[int, int], None]


@contextmanager
def copied(source: str, folder: Path, busy_timeout_s: float, progress: Progress) -> Iterator[str]:
    """Lend a copy of the ledger at `source`, in a new private file in `folder`, on the disk."""
    part = str(folder.absolute() / new_name())
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        file = os.open(part, flags, _PRIVATE)
    except FileNotFoundError:
        raise StorageError(f"the folder {folder} does not exist. Make it first.") from None
    except OSError as error:
        raise StorageError(f"nothing can be written to {folder}: {error.strerror}.") from error
    try:
        try:
            os.fchmod(file, _PRIVATE)
        finally:
            os.close(file)
        backup.copy_pages(source, part, busy_timeout_s=busy_timeout_s, progress=progress)
        sync(part)
        yield part
    finally:
        for end in BESIDE:
            with suppress(OSError):
                Path(part + end).unlink()


@attrs.frozen(kw_only=True)
class Backup:
    """The ledger at `source`, which is copied to `file`."""

    source: str
    file: Path
    busy_timeout_s: float

    @contextmanager
    def made(self, progress: Progress) -> Iterator[str]:
        """Lend the copy while it has another name; it gets its own when the block has ended.

        Raises InvalidCursorError, StorageError.
        """
        self._check()
        with copied(self.source, self.file.parent, self.busy_timeout_s, progress) as part:
            yield part
            try:
                named(part, self.file)
                sync(str(self.file.parent))
            except FileExistsError:
                raise self._is_there(str(self.file)) from None
            except OSError as error:
                raise StorageError(f"{self.file}: {error.strerror}.") from error

    def _check(self) -> None:
        for end in BESIDE:
            if os.path.lexists(f"{self.file}{end}"):
                raise self._is_there(f"{self.file}{end}")
        refuse_part(self.file)

    def _is_there(self, name: str) -> InvalidCursorError:
        if name == str(self.file):
            return InvalidCursorError(
                f"{name} exists, and a backup is never written over anything. Choose another name."
            )
        return InvalidCursorError(
            f"{name} exists, and would be taken for a part of the backup. Choose another name."
        )


def as_private_as(part: str, file: Path) -> None:
    """Make a new file as private as the old one, and its owner's: others may use it."""
    there = file.stat()
    Path(part).chmod(stat.S_IMODE(there.st_mode) & 0o666)
    if os.geteuid() == 0:
        os.chown(part, there.st_uid, there.st_gid)


def sync(path: str) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
