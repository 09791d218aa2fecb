"""Files that are private, and written whole or not at all; never over something else.

What history says is for whoever may read the ledger, so a file that is written from it is for its
owner alone, whatever the umask. It is made beside its destination, and renamed over it when it is
complete and on the disk: a full disk, an interrupt or a kill leave what was there before.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ledger import InvalidCursorError

__all__ = ["check", "write"]

_PRIVATE = 0o600
# How Linux names a file that has no name.
_BY_NUMBER = Path("/proc/self/fd")
# Beside a database of SQLite, and as much a part of it.
_BESIDE = ("", "-wal", "-shm", "-journal")
# How a database begins, its write-ahead log in either byte order, and its rollback journal.
_MAGIC = (b"SQLite format 3\0", b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83", b"\xd9\xd5\x05\xf9")
_OTHERS = (
    (stat.S_ISLNK, "a link, which may lead anywhere; name the file itself"),
    (stat.S_ISDIR, "a folder; name a file in it"),
    (stat.S_ISFIFO, "a pipe; name a file"),
    (stat.S_ISSOCK, "a socket; name a file"),
    (stat.S_ISCHR, "a device; name a file"),
    (stat.S_ISBLK, "a device; name a file"),
)


def check(path: str | os.PathLike[str], *, ledger: str | None = None) -> None:
    """Refuse a destination that is not a plain file, or is a database, as at `ledger`.

    Raises InvalidCursorError, OSError.
    """
    place = Path(path)
    named = repr(str(place))
    if str(place) == "-":
        raise InvalidCursorError("'-' names no file; ./- does.")
    if ledger is not None and any(_same(place, Path(ledger + suffix)) for suffix in _BESIDE):
        raise InvalidCursorError(f"{named} is the ledger, or a part of it. Choose another name.")
    for suffix in _BESIDE[1:]:
        database = str(place).removesuffix(suffix)
        if database != str(place) and Path(database).exists():
            raise InvalidCursorError(
                f"{named} would be taken for a part of {database!r}. Choose another name."
            )
    try:
        there = place.lstat()
    except FileNotFoundError:
        return
    for is_kind, said in _OTHERS:
        if is_kind(there.st_mode):
            raise InvalidCursorError(f"{named} is {said}.")
    # Opening and closing a file of SQLite's would drop the locks that this process holds on it,
    # therefore a file that is open here is not read.
    if _is_open_here(there):
        raise InvalidCursorError(f"{named} is open in this process. Choose another name.")
    if _begins(place).startswith(_MAGIC):
        raise InvalidCursorError(
            f"{named} is a database, or a part of one, and is not written over. Choose another "
            "name."
        )


def write(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all; what was there is replaced.

    Raises InvalidCursorError if what is there is not a plain file, or is a database; OSError.
    """
    check(path)
    place = Path(path)
    folder = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # A name that does not exist yet, of a length that every file system accepts.
        temporary = f".cursor-ledger-{secrets.token_hex(8)}.part"
        try:
            with _new_file(folder, temporary) as file:
                _write_all(file, data)
                os.fsync(file)
            # A link that was made there meanwhile is replaced, not followed.
            os.rename(temporary, place.name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise
    finally:
        os.close(folder)


@contextmanager
def _new_file(folder: int, name: str) -> Iterator[int]:
    """Make a new private file, which is called `name` at the end.

    Where the system can do that, it has no name before: a kill leaves nothing behind.
    """
    nameless = getattr(os, "O_TMPFILE", 0) if _BY_NUMBER.exists() else 0
    file = -1
    if nameless:
        # Not every file system supports it.
        with suppress(OSError):
            file = os.open(".", os.O_WRONLY | nameless | os.O_CLOEXEC, _PRIVATE, dir_fd=folder)
    named = file < 0
    if named:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(name, flags, _PRIVATE, dir_fd=folder)
    try:
        # The umask may have taken rights away from the owner, too.
        os.fchmod(file, _PRIVATE)
        yield file
        if not named:
            os.link(_BY_NUMBER / str(file), name, dst_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(file)


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _same(place: Path, other: Path) -> bool:
    try:
        return place.samefile(other)
    except FileNotFoundError:
        return place.absolute() == other.absolute()


def _is_open_here(there: os.stat_result) -> bool:
    try:
        numbers = [int(entry.name) for entry in Path("/dev/fd").iterdir()]
    except OSError:
        return True  # Nobody can say.
    for number in numbers:
        # The descriptor that read the folder is closed by now.
        with suppress(OSError):
            if os.path.samestat(os.fstat(number), there):
                return True
    return False


def _begins(place: Path) -> bytes:
    file = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(file, len(_MAGIC[0]))
    finally:
        os.close(file)
