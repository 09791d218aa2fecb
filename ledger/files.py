"""Files that are private, and written whole or not at all; never over something else.

What history says is for whoever may read the ledger, so a file that is written from it is for its
owner alone, whatever the umask. It is made beside its destination, and renamed over it when it is
complete and on the disk: a full disk, an interrupt or a kill leave what was there before.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ledger.errors import InvalidCursorError

__all__ = [
    "BESIDE",
    "SIGNED",
    "check",
    "is_open_here",
    "is_same",
    "named",
    "new_name",
    "placing",
    "plain",
    "read_back",
    "refuse_part",
    "write",
    "writing",
]

_PRIVATE = 0o600
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)
# How Linux names a file that has no name.
_BY_NUMBER = Path("/proc/self/fd")
# Beside a database of SQLite, and as much a part of it.
BESIDE = ("", "-wal", "-shm", "-journal")
_PARTS = (*BESIDE[1:], "-queue")
"""What SQLite and the ledger put behind the name of a database: they overwrite and remove those."""
SIGNED = ".signed"
"""What the file with the last note is called behind the name of a key's file."""
# How a key begins: one that signs notes, one of OpenSSH, and those that are PEM.
_KEYS = (b"PRIVATE+KEY+", b"-----BEGIN OPENSSH PRIVATE KEY", b"-----BEGIN PRIVATE KEY")
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
    """Refuse a destination that is not a plain file, or is a key, or a database, as at `ledger`.

    Raises InvalidCursorError, OSError.
    """
    place = Path(path)
    named = repr(str(place))
    if str(place) == "-":
        raise InvalidCursorError("'-' names no file; ./- does.")
    parts = ("", *_PARTS)
    if ledger is not None and any(is_same(place, Path(ledger + suffix)) for suffix in parts):
        raise InvalidCursorError(f"{named} is the ledger, or a part of it. Choose another name.")
    refuse_part(place)
    there = plain(place)
    if there is None:
        return
    # Opening and closing a file of SQLite's would drop the locks that this process holds on it,
    # therefore a file that is open here is not read.
    if is_open_here(there) is not False:
        raise InvalidCursorError(f"{named} is open in this process. Choose another name.")
    if _begins(place).startswith(_MAGIC):
        raise InvalidCursorError(
            f"{named} is a database, or a part of one, and is not written over. Choose another "
            "name."
        )
    if _is_key(place) or (place.suffix == SIGNED and _is_key(place.with_suffix(""))):
        raise InvalidCursorError(
            f"{named} is a private key, or what it has signed last, and is not written over. "
            "Choose another name."
        )


def refuse_part(path: str | os.PathLike[str]) -> None:
    """Refuse a name that SQLite or the ledger would take for a part of a database that is there.

    Raises InvalidCursorError.
    """
    place = os.fspath(path)
    for suffix in _PARTS:
        database = place.removesuffix(suffix)
        if database != place and Path(database).exists():
            raise InvalidCursorError(
                f"{place!r} would be taken for a part of {database!r}. Choose another name."
            )


def plain(path: str | os.PathLike[str]) -> os.stat_result | None:
    """Return what is known of a plain file, None if there is none; refuse all else.

    Raises InvalidCursorError, OSError.
    """
    place = Path(path)
    try:
        there = place.lstat()
    except FileNotFoundError:
        return None
    for is_kind, said in _OTHERS:
        if is_kind(there.st_mode):
            raise InvalidCursorError(f"{str(place)!r} is {said}.")
    return there


def write(path: str | os.PathLike[str], data: bytes | Iterable[bytes]) -> None:
    """Write a file that only its owner may read, whole or not at all; what was there is replaced.

    `data` may come in parts; what they raise leaves no file.

    Raises InvalidCursorError if what is there is not a plain file, or is a database; OSError.
    """
    with writing(path) as file:
        file.writelines((data,) if isinstance(data, bytes) else data)


@contextmanager
def writing(path: str | os.PathLike[str], *, new: bool = False) -> Iterator[BinaryIO]:
    """Lend a file to write to, which has its name only once all of it is on the disk.

    Nothing is there if the block raises. Otherwise it is as in `write`; if it must be `new`, what
    is there by then stays.

    Raises InvalidCursorError, OSError, and FileExistsError under it.
    """
    check(path)
    with placing(path, new=new) as file:
        yield file


@contextmanager
def placing(path: str | os.PathLike[str], *, new: bool = False) -> Iterator[BinaryIO]:
    """Do as `writing`, without a look at what is there; if it must be `new`, nothing may be.

    Raises FileExistsError, OSError.
    """
    place = Path(path)
    folder = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        temporary = new_name()
        try:
            # Unlike a rename, a link is refused where something is.
            with _new_file(folder, place.name if new else temporary, temporary) as file:
                with open(file, "wb", closefd=False) as buffered:
                    yield buffered
                os.fsync(file)
            if not new:
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
def read_back(file: BinaryIO) -> Iterator[BinaryIO]:
    """Lend what was written to `file` so far, to be read; nothing can be written to it after that.

    Where the system can, it is read from the disk, and not from what is kept of it in memory.

    Raises OSError.
    """
    file.flush()
    os.fsync(file.fileno())
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with os.fdopen(os.dup(file.fileno()), "rb") as again:
        again.seek(0)
        yield again


def named(part: str | Path, file: str | Path, folder: int | None = None) -> None:
    """Name the file `part`; unlike a rename, this is refused where something is.

    Both are in `folder`, if that is given: an open descriptor of one.

    Raises FileExistsError, OSError.
    """
    try:
        os.link(part, file, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # Not every file system has links.
        with suppress(FileNotFoundError):
            os.stat(file, dir_fd=folder, follow_symlinks=False)
            raise FileExistsError(str(file)) from None
        os.rename(part, file, src_dir_fd=folder, dst_dir_fd=folder)


def new_name() -> str:
    """Return a name that does not exist yet, of a length that every file system accepts."""
    return f".cursor-ledger-{secrets.token_hex(8)}.part"


@contextmanager
def _new_file(folder: int, name: str, temporary: str) -> Iterator[int]:
    """Make a new private file, which is called `name` at the end; FileExistsError if one is.

    Where the system can do that, it has no name before: a kill leaves nothing behind. Elsewhere it
    is called `temporary`.
    """
    nameless = getattr(os, "O_TMPFILE", 0) if _BY_NUMBER.exists() else 0
    file = -1
    if nameless:
        # Not every file system supports it.
        with suppress(OSError):
            file = os.open(".", os.O_RDWR | nameless | os.O_CLOEXEC, _PRIVATE, dir_fd=folder)
    is_named = file < 0
    if is_named:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(temporary, flags, _PRIVATE, dir_fd=folder)
    try:
        # The umask may have taken rights away from the owner, too.
        os.fchmod(file, _PRIVATE)
        yield file
        if not is_named:
            os.link(_BY_NUMBER / str(file), name, dst_dir_fd=folder, follow_symlinks=True)
        elif name != temporary:
            named(temporary, name, folder)
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
    finally:
        os.close(file)


def is_same(place: Path, other: Path) -> bool:
    """Return whether both name one file, or would if they were made."""
    try:
        return place.samefile(other)
    except FileNotFoundError:
        return os.path.realpath(place) == os.path.realpath(other)


def is_open_here(there: os.stat_result) -> bool | None:
    """Return whether this process has a file open; None where the system does not say.

    To open and close a file of SQLite's drops the locks that this process holds on it.
    """
    try:
        numbers = [int(entry.name) for entry in Path("/dev/fd").iterdir()]
    except OSError:
        return None
    for number in numbers:
        # The descriptor that read the folder is closed by now.
        with suppress(OSError):
            if os.path.samestat(os.fstat(number), there):
                return True
    return False


def _is_key(place: Path) -> bool:
    try:
        return stat.S_ISREG(place.lstat().st_mode) and _begins(place).startswith(_KEYS)
    except OSError:
        return False


def _begins(place: Path) -> bytes:
    file = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(file, max(map(len, (*_MAGIC, *_KEYS))))
    finally:
        os.close(file)
