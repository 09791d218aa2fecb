"""A backup that is put in the place of a ledger: what it lacks is told before, and kept beside."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path

import attrs

from ledger.errors import InvalidCursorError, LedgerBusyError, LedgerError, StorageError
from ledger.evidence.key_files import held
from ledger.evidence.merkle import checkpoint_over
from ledger.evidence.verification import settled
from ledger.exchange.backups import Progress, as_private_as, copied, sync
from ledger.files import BESIDE, named, refuse_part
from ledger.law.cursor import Cursor
from ledger.law.queries import CursorQuery
from ledger.stores import sqlite
from ledger.stores.deadline import Deadline
from ledger.stores.sqlite import backup
from ledger.stores.sqlite.backup import Last

__all__ = ["Compared", "Moved", "Replacement", "Signer", "Unreadable"]

MOVED_KEPT_MAX = 20
_KEPT = ".before-restore-"


@attrs.frozen
class Moved:
    """A cursor that stands elsewhere in the backup; `now` is None if it is not there."""

    was: Cursor
    now: Cursor | None


@attrs.frozen(kw_only=True)
class Compared:
    """A ledger beside the backup that is to replace it.

    `shared` is how many entries both begin with, up to `position`. `moved` are the first of the
    `cursors` that have entries behind that. `last` is the last entry of the ledger. `lacks_id` is
    the id of the ledger, if it was given one after the backup; empty otherwise.
    """

    entries: int
    backup: int
    shared: int
    position: int
    last: Last | None
    cursors: int
    moved: tuple[Moved, ...]
    lacks_id: str = ""

    @property
    def lost(self) -> int:
        """How many entries the ledger has that the backup has not."""
        return self.entries - self.shared

    @property
    def diverged(self) -> bool:
        """Whether the backup is of another ledger, or of another history of it."""
        return bool(self.lost) and self.backup > self.shared


@attrs.frozen
class Unreadable:
    """A ledger of which nobody can say what it has that the backup has not, and why."""

    error: LedgerError


@attrs.frozen(kw_only=True)
class Signer:
    """A key, what it has signed last, and whether the backup begins with that."""

    place: str
    origin: str
    signed: int
    backup: int
    begins_so: bool


@attrs.frozen(kw_only=True)
class Replacement:
    """A backup that is about to be put in the place of the ledger at `path`."""

    backup: str
    path: str
    busy_timeout_s: float
    part: str = ""

    @property
    def file(self) -> Path:
        """Where the ledger is: what a link leads to, because SQLite keeps the log beside that."""
        return Path(os.path.realpath(self.path))

    @contextmanager
    def prepared(self, progress: Progress) -> Iterator[Replacement]:
        """Lend a copy of the backup beside the ledger, in `part`.

        Raises InvalidCursorError, StorageError.
        """
        self._check()
        with copied(self.backup, self.file.parent, self.busy_timeout_s, progress) as part:
            yield attrs.evolve(self, part=part)

    def compared(self) -> Compared | Unreadable | None:
        """Return what the ledger has that the backup has not; None if there is no ledger.

        Raises InvalidCursorError for a database that has no ledger, LedgerBusyError.
        """
        try:
            if not self.file.stat().st_size:
                return None
        except FileNotFoundError:
            return None
        try:
            if not sqlite.look(str(self.file)):
                raise InvalidCursorError(
                    f"{self.path} is a database without a ledger, and is not replaced. Name a "
                    "ledger, or a file that does not exist."
                )
            return self._compared()
        except (InvalidCursorError, LedgerBusyError):
            raise
        except LedgerError as error:
            return Unreadable(error)

    def other_tables(self) -> list[str]:
        """Return the tables in the file of the ledger that are not the ledger's."""
        return backup.other_tables(str(self.file), self.busy_timeout_s)

    def signer(self, key: str) -> Signer:
        """Return what the key in a file has signed, beside what the backup has.

        Raises InvalidCursorError, StorageError, UnprovenError, LedgerBusyError.
        """
        with (
            held(key) as own,
            closing(sqlite.open_store(self.part)) as store,
            store.snapshot() as log,
        ):
            last = own.last
            then = checkpoint_over(settled(log), entries=last.entries)
            return Signer(
                place=key,
                origin=own.key.name,
                signed=last.entries,
                backup=then.entries,
                begins_so=(then.entries, then.root) == (last.entries, last.root),
            )

    def put(self, before: Compared | Unreadable | None) -> str:
        """Put the backup in the place of the ledger, and return where that one is kept.

        Empty if there was none. It must still be as it was compared.

        Raises LedgerBusyError, StorageError.
        """
        try:
            if isinstance(before, Compared):
                self._identify(before)
                return self._put_alone(before)
            return self._put_beside()
        except OSError as error:
            raise StorageError(
                f"{self.path} could not be replaced: {error.strerror or error}."
            ) from error

    def is_in_place(self) -> bool:
        """Whether the backup is where the ledger was, when `put` was interrupted."""
        try:
            return self.file.samefile(self.part)
        except FileNotFoundError:
            return not os.path.lexists(self.part)

    def _check(self) -> None:
        if not self.file.is_file():
            refuse_part(self.file)
        with suppress(FileNotFoundError):
            if self.file.samefile(self.backup):
                raise InvalidCursorError(
                    f"{self.backup} is the ledger itself. Name the backup, and the ledger with "
                    "--db."
                )
            if not self.file.is_file():
                raise InvalidCursorError(f"{self.path} is not a regular file.")

    def _identify(self, before: Compared) -> None:
        """Keep the id that the ledger got after the backup, because it is the same ledger.

        Raises StorageError.
        """
        if before.lacks_id and before.shared and not before.diverged:
            with closing(sqlite.open_store(self.part)) as store:
                store.identify(before.lacks_id)

    def _compared(self) -> Compared:
        with (
            closing(sqlite.open_store(str(self.file), busy_timeout_s=self.busy_timeout_s)) as old,
            closing(sqlite.open_store(self.part)) as new,
        ):
            lacks_id = "" if new.identity() else old.identity()
            entries = new_entries = shared = position = 0
            last: Last | None = None
            with old.snapshot() as mine, new.snapshot() as theirs:
                for leaf, other in zip_longest(mine.leaves(), theirs.leaves()):
                    if leaf is not None:
                        entries += 1
                        last = leaf[:2]
                    new_entries += other is not None
                    same = leaf is not None and other is not None and leaf[:2] == other[:2]
                    if same and shared == entries - 1:
                        shared, position = entries, leaf[0]
            moved: list[Moved] = []
            cursors = 0
            for was in old.cursors(CursorQuery(reserved=True)) if shared < entries else ():
                now = new.cursor(was.key)
                if now == was:
                    continue
                cursors += 1
                if len(moved) < MOVED_KEPT_MAX:
                    moved.append(Moved(was, now))
        return Compared(
            entries=entries,
            backup=new_entries,
            shared=shared,
            position=position,
            last=last,
            cursors=cursors,
            moved=tuple(moved),
            lacks_id=lacks_id,
        )

    def _put_alone(self, before: Compared) -> str:
        """Put it there while nobody else has the ledger open; at any moment one of both is there.

        The write-ahead log of the old one is in it by then: beside the new one, it would be
        replayed into that.
        """
        deadline = Deadline.after(self.busy_timeout_s)
        with backup.alone(str(self.file), self.path, deadline) as connection:
            if backup.last_entry(connection, self.path) != before.last:
                raise LedgerBusyError(
                    f"somebody has appended to {self.path} since it was compared with the backup. "
                    "Nothing was changed; run the same command again."
                )
            as_private_as(self.part, self.file)
            self._forget_second_names()
            kept = self._kept_name()
            # Whatever ends this, there is a ledger at any moment, for one step under two names.
            named(self.file, Path(kept))
            sync(str(self.file.parent))
            Path(self.part).rename(self.file)
            sync(str(self.file.parent))
        return kept

    def _put_beside(self) -> str:
        """Put it where no ledger is, or one that cannot be read, which is moved away first."""
        there = [end for end in BESIDE if os.path.lexists(f"{self.file}{end}")]
        kept = self._kept_name()
        if "" in there:
            as_private_as(self.part, self.file)
        for end in there:
            Path(f"{self.file}{end}").rename(kept + end)
        sync(str(self.file.parent))
        # It is refused where somebody has made a ledger meanwhile.
        named(self.part, self.file)
        sync(str(self.file.parent))
        return kept if there else ""

    def _forget_second_names(self) -> None:
        """Remove the names that a restore has given to the ledger, if a kill came behind that.

        What is opened by such a name has another write-ahead log than the ledger has.
        """
        for each in self.file.parent.glob(f"{glob.escape(self.file.name)}{_KEPT}*"):
            if each.samefile(self.file) and not each.is_symlink():
                each.unlink()

    def _kept_name(self) -> str:
        """Return a name that nothing has yet."""
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        name = kept = f"{self.file}{_KEPT}{moment}"
        number = 1
        while any(os.path.lexists(kept + end) for end in BESIDE):
            number += 1
            kept = f"{name}-{number}"
        return kept
