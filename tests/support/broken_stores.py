"""SQLite stores that do one thing wrong each, and the rules for stores that they violate."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import attrs

from ledger import Cursor, CursorKey, CursorQuery, Entry, EntryQuery, Ledger, LedgerBusyError
from ledger.law.reserved import POLICY
from ledger.log.columns import CONTENT
from ledger.log.heads import Head
from ledger.opening import utc_now
from ledger.stores import Transaction
from ledger.stores.deadline import Deadline
from ledger.stores.horizon import Horizon
from ledger.writing.committer import Committer
from support.broken_readers import (
    CountsErrorsAsMoves,
    KnowsNoCase,
    OrdersCursorsAsALanguage,
    OrdersCursorsByUTF16,
    ShowsTheReserved,
)
from support.broken_store import Broken, BrokenTransaction

__all__ = ["BROKEN", "Broken", "LosesMetadata"]

T = TypeVar("T")


class LosesTheLastEntry(Broken):
    class Within(BrokenTransaction):
        def append(self, drafts: Any, heads: Any, positions: Any = None) -> None:
            super().append(drafts[:-1] if len(drafts) > 30 else drafts, heads, positions)

    within = Within


class LosesMetadata(Broken):
    class Within(BrokenTransaction):
        def append(self, drafts: Any, heads: Any, positions: Any = None) -> None:
            place = CONTENT.place("metadata")
            bare = [
                (head, (*content[:place], None, *content[place + 1 :])) for head, content in drafts
            ]
            super().append(bare, heads, positions)

    within = Within


class CutsTimes(Broken):
    class Within(BrokenTransaction):
        def append(self, drafts: Any, heads: Any, positions: Any = None) -> None:
            place = CONTENT.place("delivered_at")
            cut = [
                (
                    head,
                    (
                        *said[:place],
                        said[place] and said[place] // 1_000 * 1_000,
                        *said[place + 1 :],
                    ),
                )
                for head, said in drafts
            ]
            super().append(cut, heads, positions)

    within = Within


class IgnoresPositions(Broken):
    class Within(BrokenTransaction):
        def append(self, drafts: Any, heads: Any, positions: Any = None) -> None:  # noqa: ARG002
            super().append(drafts, heads)

    within = Within


class RemembersHeads(Broken):
    """It never finds out that another store has moved a cursor."""

    def __init__(self, file: str) -> None:
        super().__init__(file)
        self.heads: dict[CursorKey, Head] = {}

    def within(self, transaction: Transaction) -> Any:
        store = self

        class Within(BrokenTransaction):
            def head(self, key: CursorKey) -> Head | None:
                return store.heads.get(key) or self.transaction.head(key)

            def append(self, drafts: Any, heads: Any, positions: Any = None) -> None:
                super().append(drafts, heads, positions)
                store.heads |= {h.cursor.key: h for h in heads if h.cursor_id is not None}

        return Within(transaction)


class ForgetsOneEntry(Broken):
    """A cursor with one entry is taken for one that is not there yet."""

    class Within(BrokenTransaction):
        def head(self, key: CursorKey) -> Head | None:
            head = self.transaction.head(key)
            return head if head and head.cursor.version > 1 else None

    within = Within


class RemembersWhatWasRolledBack(Broken):
    def __init__(self, file: str) -> None:
        super().__init__(file)
        self.heads: dict[CursorKey, Head] = {}

    def write(self, work: Callable[[Transaction], T], deadline: Deadline | None = None) -> T:
        result = super().write(work, deadline)
        self.heads.clear()
        return result

    within = RemembersHeads.within


class RestoresNothing(Broken):
    class Within(BrokenTransaction):
        @contextmanager
        def everything(self) -> Iterator[Any]:
            with self.transaction.everything() as log:
                log.restore = lambda *_: None  # type: ignore[method-assign]
                yield log

    within = Within


# --- around a transaction ---


class CommitsHalf(Broken):
    """What its work has appended before it raised is kept."""

    def write(self, work: Callable[[Transaction], T], deadline: Deadline | None = None) -> T:
        raised: list[Exception] = []

        def caught(transaction: Transaction) -> Any:
            try:
                return work(transaction)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is raised below
                raised.append(error)

        result = self.store.write(caught, deadline)
        if raised:
            raise raised[0]
        return result  # type: ignore[no-any-return]


class WaitsForEver(Broken):
    def write(self, work: Callable[[Transaction], T], deadline: Deadline | None = None) -> T:  # noqa: ARG002
        return self.store.write(work, Deadline.after(60))


class StaysOpen(Broken):
    def close(self) -> None:
        """Do nothing."""


# --- reading ---


class IsBehind(Broken):
    """A cursor is read as it was when it was first read."""

    def __init__(self, file: str) -> None:
        super().__init__(file)
        self.read: dict[CursorKey, Cursor | None] = {}

    def cursor(self, key: CursorKey) -> Cursor | None:
        return self.read.setdefault(key, self.store.cursor(key))


class ReversesEntries(Broken):
    def entries(self, query: EntryQuery) -> Iterator[Entry]:
        return reversed(list(self.store.entries(query)))


class IgnoresLimits(Broken):
    def entries(self, query: EntryQuery) -> Iterator[Entry]:
        return self.store.entries(attrs.evolve(query, limit=0))


class ReadsOnePage(Broken):
    def entries(self, query: EntryQuery) -> Iterator[Entry]:
        return self.store.entries(attrs.evolve(query, limit=query.limit or 128))


class HasNoEnd(Broken):
    """Its iterators return what was appended since they began."""

    def entries(self, query: EntryQuery) -> Iterator[Entry]:
        if query.newest_first or query.limit:
            yield from self.store.entries(query)
            return
        after = 0
        while page := list(
            self.store.entries(attrs.evolve(query, position_from=after + 1, limit=9))
        ):
            yield from page
            after = page[-1].position


class HoldsUpWriters(Broken):
    """An iterator holds a snapshot, and with it whoever wants to write."""

    reading = 0

    def cursors(self, query: CursorQuery) -> Iterator[Cursor]:
        type(self).reading += 1
        yield from self.store.cursors(query)
        type(self).reading -= 1

    def write(self, work: Callable[[Transaction], T], deadline: Deadline | None = None) -> T:
        if self.reading:
            raise LedgerBusyError("somebody reads")
        return super().write(work, deadline)


class IsNeverSettled(Broken):
    def horizon(self) -> Horizon:
        settled = self.store.horizon()
        return attrs.evolve(settled, position=max(0, settled.position - 1))


class MovesUnderASnapshot(Broken):
    @contextmanager
    def snapshot(self) -> Iterator[Any]:
        store = self.store

        class Moving:
            def __getattr__(self, name: str) -> Any:
                def read(*arguments: Any) -> Any:
                    with store.snapshot() as log:
                        found = getattr(log, name)(*arguments)
                        return found if isinstance(found, int) else iter(list(found))

                return read

        yield Moving()


class IsEverybody(Broken):
    def identity(self) -> str:
        return "the ledger"


class IsSomebodyElse(Broken):
    def identity(self) -> str:
        return f"ledger {id(self)}"


class HasABeginning(Broken):
    def __init__(self, file: str) -> None:
        super().__init__(file)
        Ledger(Committer(self.store, "x", utc_now)).record_error(CursorKey("a", "b"), "born")


class MixesUpKeys(Broken):
    def cursor(self, key: CursorKey) -> Cursor | None:
        return self.store.cursor(
            CursorKey(key.consumer_id.lower(), key.stream_name, key.subject_id)
        )


class LosesAnswers(Broken):
    def write(self, work: Callable[[Transaction], T], deadline: Deadline | None = None) -> T | None:  # type: ignore[override]
        before = self.store.horizon()
        result = self.store.write(work, deadline)
        return None if self.store.horizon() == before else result


class HoldsNothingFree(Broken):
    class Within(BrokenTransaction):
        def hold_free(self, keys: Iterable[CursorKey]) -> Collection[CursorKey]:
            self.transaction.hold(keys)
            return list(keys)

    within = Within


class KnowsNoPolicies(Broken):
    class Within(BrokenTransaction):
        def policies(self) -> list[Entry]:
            return []

    within = Within


class TakesAdvancesForPolicies(Broken):
    def within(self, transaction: Transaction) -> Any:
        store = self.store

        class Within(BrokenTransaction):
            def policies(self) -> list[Entry]:
                last = {entry.key: entry for entry in store.entries(EntryQuery())}
                return [entry for key, entry in last.items() if key.consumer_id == POLICY]

        return Within(transaction)


class RemembersHeadsByThread(Broken):
    def __init__(self, file: str) -> None:
        super().__init__(file)
        self.own = threading.local()

    def within(self, transaction: Transaction) -> Any:
        self.heads = vars(self.own).setdefault("heads", {})
        return RemembersHeads.within(self, transaction)  # type: ignore[arg-type]


class ForgetsWhenItIsClosed(Broken):
    def __init__(self, file: str) -> None:
        super().__init__(file)
        self.file = Path(file)

    def close(self) -> None:
        self.store.close()
        self.file.unlink(missing_ok=True)


class SkipsTheEndOfAPart(Broken):
    @contextmanager
    def snapshot(self) -> Iterator[Any]:
        with self.store.snapshot() as log:
            part = log.rows_between  # type: ignore[attr-defined]
            log.rows_between = lambda after, until: part(after, until - 1)  # type: ignore[attr-defined]
            yield log


class SkipsALeaf(Broken):
    @contextmanager
    def snapshot(self) -> Iterator[Any]:
        with self.store.snapshot() as log:
            leaves = log.leaves
            log.leaves = lambda: islice(leaves(), 1, None)  # type: ignore[method-assign]
            yield log


BROKEN: dict[type[Broken], str] = {
    LosesTheLastEntry: "long log|together",
    LosesMetadata: "every field",
    CutsTimes: "every field",
    IgnoresPositions: "same positions",
    RemembersHeads: "what another store appended|two stores",
    RemembersHeadsByThread: "threads",
    ForgetsOneEntry: "only the first entry",
    RemembersWhatWasRolledBack: "has changed nothing",
    RestoresNothing: "stored anew",
    CommitsHalf: "has changed nothing",
    LosesAnswers: "appends nothing",
    HoldsNothingFree: "without waiting",
    KnowsNoPolicies: "of each policy",
    TakesAdvancesForPolicies: "of each policy",
    WaitsForEver: "until its deadline",
    StaysOpen: "is closed",
    ForgetsWhenItIsClosed: "opened again",
    HasABeginning: "empty log",
    IsBehind: "at once",
    MixesUpKeys: "keys that differ",
    ReversesEntries: "in order, up to its limit",
    OrdersCursorsAsALanguage: "code-point order",
    OrdersCursorsByUTF16: "code-point order",
    KnowsNoCase: "query for cursors",
    ShowsTheReserved: "the ledger's own consumers",
    CountsErrorsAsMoves: "last move",
    IgnoresLimits: "query for entries",
    ReadsOnePage: "long log",
    HasNoEnd: "ends at what was there",
    HoldsUpWriters: "holds up no writer",
    IsNeverSettled: "the horizon",
    SkipsALeaf: "check reads",
    SkipsTheEndOfAPart: "a part of a log",
    MovesUnderASnapshot: "stands still",
    IsEverybody: "identity",
    IsSomebodyElse: "identity",
}
