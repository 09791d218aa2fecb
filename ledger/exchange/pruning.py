"""Entries that are in an archive removed from the ledger, which is put anew in its place."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

import attrs

from ledger import opening
from ledger.errors import InvalidCursorError, LedgerBusyError, StorageError, UnprovenError
from ledger.evidence.archives import Archive, read_archive
from ledger.evidence.bundled import verify_evidence
from ledger.evidence.notes import VerifierKey
from ledger.evidence.source import Begun
from ledger.exchange import retention
from ledger.exchange.backups import as_private_as, copied, sync
from ledger.law import rules
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.events import Entry, ErrorRecorded
from ledger.law.policies import change_by
from ledger.law.reserved import ARCHIVE, ARCHIVED_STREAM
from ledger.log.columns import Row
from ledger.log.heads import make_head
from ledger.log.text import micros
from ledger.stores import sqlite
from ledger.stores.deadline import Deadline
from ledger.stores.sqlite import backup, pruning

__all__ = ["Cut", "Pruned", "Pruning"]

Progress = Callable[[str], None]


@attrs.frozen(kw_only=True)
class Cut:
    """What an archive has of a ledger, all of which was compared.

    `position` is that of its last entry, and `latest` the newest time in it. `entries` is how many
    the ledger has, those that are archived included, and `first` the position of the first one
    that stays; None if none does. `policy` is the position of the first one that sets or drops a
    policy. `is_done` says that they were removed before.
    """

    archive: Archive
    position: int
    latest: datetime
    entries: int
    first: int | None
    policy: int | None = None
    is_done: bool = False
    stood: dict[CursorKey, _Stood] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class Pruned:
    """What was removed, and how many bytes the file had before and has now."""

    cut: Cut
    before: int
    after: int


@attrs.define
class _Stood:
    """Where a cursor stands behind the entries that were read."""

    cursor: Cursor | None = None
    position: int = 0
    recorded_at: int = 0
    digest: bytes = b""
    moved: Row | None = None

    def follow(self, entry: Entry) -> None:
        self.cursor = rules.replay(self.cursor, entry)
        self.position, self.digest = entry.position, entry.digest
        self.recorded_at = micros(entry.recorded_at)
        event = entry.event
        if not isinstance(event, ErrorRecorded):
            before = getattr(event, "previous_sequence", None)
            self.moved = (
                *(entry.version, entry.epoch, self.recorded_at),
                *(before, event.sequence, entry.position),
            )

    def row(self, key: CursorKey) -> pruning.Stood:
        assert self.cursor is not None  # noqa: S101 - an entry was followed
        head = make_head(
            cursor_id=None,
            cursor=self.cursor,
            recorded_at=self.recorded_at,
            digest=self.digest,
        )
        return key, self.position, head.state, self.moved


@attrs.frozen(kw_only=True)
class Pruning:
    """An archive, and the ledger in the file at `path`, whose entries in it are to be removed."""

    file: str
    path: str
    keys: tuple[VerifierKey, ...]
    origin: str | None
    busy_timeout_s: float
    progress: Progress

    @property
    def place(self) -> Path:
        """Where the ledger is: what a link leads to, because SQLite keeps the log beside that."""
        return Path(os.path.realpath(self.path))

    def planned(self) -> Cut:
        """Return what would be removed; nothing is changed.

        Raises InvalidCursorError where a rule or a hold forbids it, UnprovenError if the archive is
        not what the ledger has.
        """
        return self._cut(self.path)

    def executed(self, *, reason: str, actor: str) -> Pruned:
        """Remove the entries that the archive has; the ledger is the old one or the new one.

        Nobody else may have it open. Raises LedgerBusyError, and what `planned` raises.
        """
        before = self.place.stat().st_size

        def step(done: int, of: int) -> None:
            self.progress(f"{done:,} of {of:,} pages copied")

        with copied(self.path, self.place.parent, self.busy_timeout_s, step) as part:
            last = _last(part)
            cut = self._cut(part)
            if cut.is_done:
                return Pruned(cut=cut, before=before, after=before)
            self._prune(part, cut, reason=reason, actor=actor)
            after = Path(part).stat().st_size
            deadline = Deadline.after(self.busy_timeout_s)
            with backup.alone(str(self.place), self.path, deadline) as connection:
                if backup.last_entry(connection, self.path) != last:
                    raise LedgerBusyError(
                        f"somebody has appended to {self.path} meanwhile. Nothing was removed; run "
                        "the same command again."
                    )
                as_private_as(part, self.place)
                Path(part).rename(self.place)
                sync(str(self.place.parent))
        return Pruned(cut=cut, before=before, after=after)

    def _prune(self, part: str, cut: Cut, *, reason: str, actor: str) -> None:
        with opening.open(part) as book:
            kept = book.checkpoint()
        stood = (each.row(key) for key, each in cut.stood.items())
        states = pruning.keep(part, cut.position, stood)
        with opening.open(part, actor=actor) as book:
            book.reset(
                CursorKey(ARCHIVE, ARCHIVED_STREAM),
                to=cut.position,
                reason=reason,
                metadata={
                    "file": Path(self.file).name,
                    "sha256": cut.archive.sha256,
                    "origin": cut.archive.head.origin,
                    "entries": str(cut.archive.head.entries),
                    "root": cut.archive.head.root.hex(),
                    "cursors": states,
                },
            )
        # Only now, because this entry has the position behind them.
        pruning.remove(part, cut.position)
        self.progress("giving back the room")
        pruning.compact(part)
        with opening.open(part) as book:
            found = book.verify(kept, progress=lambda done: self.progress(f"{done:,} checked"))
        if not found.ok:
            raise StorageError(
                f"what would be left is not sound ({found.faults[0]}), so nothing was removed. Run "
                "verify on the ledger."
            )
        sync(part)

    def _cut(self, path: str) -> Cut:
        with opening.open(path) as book, closing(sqlite.open_store(path)) as store:
            with store.snapshot() as log:
                removed = log.archived() if isinstance(log, Begun) else 0
                with closing(log.leaves()) as leaves:  # type: ignore[type-var]  # a generator
                    cut = self._compared(leaves, removed)
            if not cut.is_done:
                _refuse_by_rules(book.now(), cut, retention.kept_for(book), retention.holds(book))
        return cut

    def _compared(self, leaves: Iterator[tuple[int, bytes, object]], removed: int) -> Cut:
        """Hold the archive against the digests of the ledger, each of them.

        `removed` entries were removed before, of which the digests are there.
        """
        with _opened(self.file) as file:
            archive = read_archive(
                self.file, file, self.keys, origin=self.origin, progress=self._told
            )
            file.seek(0)
            proved = verify_evidence(file, self.keys, origin=self.origin)
            stood: dict[CursorKey, _Stood] = {}
            position = entries = 0
            first: int | None = None
            policy: int | None = None
            latest: datetime | None = None
            for leaf, each in zip_longest(leaves, (one.entry for one in proved.entries())):
                if leaf is not None:
                    entries += 1
                if each is None:
                    first = leaf[0] if first is None and leaf is not None else first
                    continue
                if leaf is None or leaf[:2] != (each.position, each.digest):
                    raise UnprovenError(
                        f"{self.file} is not an archive of this ledger: its entry at position "
                        f"{each.position} is not there. Archive the ledger itself."
                    )
                position = each.position
                if policy is None and change_by(each) is not None:
                    policy = position
                latest = each.recorded_at if latest is None else max(latest, each.recorded_at)
                stood.setdefault(each.key, _Stood()).follow(each)
        if latest is None:
            raise InvalidCursorError(f"{self.file} has no entries, so nothing can be removed.")
        return Cut(
            archive=archive,
            position=position,
            latest=latest,
            entries=entries,
            first=first,
            policy=policy,
            is_done=archive.head.entries <= removed,
            stood=stood,
        )

    def _told(self, done: int) -> None:
        self.progress(f"{done:,} entries of the archive verified")


def _refuse_by_rules(now: datetime, cut: Cut, keep: timedelta | None, holds: list[str]) -> None:
    if holds:
        raise InvalidCursorError(
            f"nothing is removed while a hold is in force: {', '.join(holds):.200}. "
            "cursor-ledger retention list says who has set it and why, and cursor-ledger retention "
            "release ends it."
        )
    if keep is None:
        raise InvalidCursorError(
            "nobody has said how long entries are kept at least, so none is removed. Say it first, "
            "as by cursor-ledger retention keep 365d --reason WHY."
        )
    if cut.policy is not None:
        raise InvalidCursorError(
            f"position {cut.policy} sets or drops a policy, and stays: it says which resets were "
            "allowed. Archive under a checkpoint from before it."
        )
    if now - cut.latest < keep:
        until = cut.latest + keep if keep < datetime.max.replace(tzinfo=UTC) - cut.latest else None
        raise InvalidCursorError(
            f"entries are kept for {retention.shown_span(keep)}, and the newest one in the archive "
            f"is of {cut.latest:%Y-%m-%dT%H:%M:%SZ}. Archive under an older checkpoint"
            + (f", or wait until {until:%Y-%m-%dT%H:%M:%SZ}." if until else ".")
        )


@contextmanager
def _opened(place: str) -> Iterator[BinaryIO]:
    try:
        with Path(place).open("rb") as file:
            yield file
    except OSError as error:
        raise StorageError(f"{place} cannot be read: {error.strerror or error}.") from error


def _last(path: str) -> backup.Last | None:
    from ledger.stores.sqlite import connecting

    with closing(connecting.connect(path, connecting.READ_WRITE, 0)) as connection:
        return backup.last_entry(connection, path)
