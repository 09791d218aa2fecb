"""What the rules have in common: logs that are opened, and what must be in them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Self, TypeAlias

import attrs

from ledger.errors import LedgerError
from ledger.evidence.verification import verify
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.events import CursorReset, Entry
from ledger.law.policies import policy_of
from ledger.law.queries import EntryQuery
from ledger.law.requests import Request
from ledger.log.heads import Head
from ledger.log.rows import entry_from
from ledger.stores import Appending, Draft, Store
from ledger.writing.commit import commit

__all__ = [
    "ACTOR",
    "EVERY_ENTRY",
    "BrokenRuleError",
    "Log",
    "Logs",
    "OpenStore",
    "Rule",
    "committed",
    "expect",
    "expect_refusal",
    "moment",
]

OpenStore: TypeAlias = Callable[[str], Store]
"""What opens the store on the log of a name; a name that is new is that of an empty log.

>>> import pathlib, tempfile
>>> from ledger.conformance import RULES, OpenStore, violations
>>> from ledger.stores import sqlite
>>> with tempfile.TemporaryDirectory() as folder:
...     open_store: OpenStore = lambda name: sqlite.open_store(str(pathlib.Path(folder, name)))
...     violations(open_store, rules=RULES[:1])
()
"""

EVERY_ENTRY = EntryQuery()

ACTOR = "conformance"

_START = datetime(2026, 5, 5, 16, 0, 0, 1, tzinfo=UTC)


class BrokenRuleError(Exception):
    """A store does not keep a rule."""


@attrs.frozen
class Rule:
    """What a store must do, in a sentence, and the function that finds out whether it does.

    `says` is the sentence. `check` is called with the logs of the rule: their `new()` opens the
    store on an empty one. Whatever it raises is the violation. `needs_two`, False by default, says
    whether it opens a log that is open already, or was closed.

    >>> from ledger.conformance import Rule, violations
    >>> from ledger.stores import sqlite
    >>> def is_writable(logs):
    ...     assert not logs.new().store.immutable, "it is immutable"
    >>> rule = Rule("an empty log can be written", is_writable)
    >>> violations(lambda name: sqlite.open_store(":memory:"), rules=[rule])
    ()
    """

    says: str
    check: Callable[[Logs], None]
    needs_two: bool = False


def expect(found: object, expected: object, what: str) -> None:
    """Raise BrokenRuleError if `found` is not what a store must return."""
    if isinstance(found, list) and isinstance(expected, list):
        _expect_each(found, expected, what)
    elif found != expected:
        raise BrokenRuleError(f"{what} is {found!r:.300}, and must be {expected!r:.300}")


def _expect_each(found: Sequence[object], expected: Sequence[object], what: str) -> None:
    for nth, (one, other) in enumerate(zip(found, expected, strict=False), 1):
        expect(one, other, f"no. {nth} of {what}")
    expect(len(found), len(expected), f"the length of {what}")


def expect_refusal(kind: type[LedgerError], call: Callable[[], object], what: str) -> None:
    """Raise BrokenRuleError if `call` does not raise an error of `kind`."""
    try:
        result = call()
    except kind:
        return
    raise BrokenRuleError(f"{what} returns {result!r:.300}, and must raise {kind.__name__}")


def moment(nth: float) -> datetime:
    """Return the moment at which an append is recorded: `nth` seconds after a fixed one."""
    return _START + timedelta(seconds=nth)


def committed(
    transaction: Appending, requests: Sequence[Request], at: float
) -> list[Cursor | LedgerError]:
    """Append requests one by one, and return the answers."""
    groups = [[request] for request in requests]
    answers = commit(transaction, groups, actor=ACTOR, clock=lambda: moment(at))
    return [answer if isinstance(answer, LedgerError) else answer[0] for answer in answers]


# --- what must be there ---


@attrs.frozen
class Reference:
    """What a log must hold: kept in memory, and appended to by the same law."""

    entries: list[Entry] = attrs.field(factory=list)
    drafts: list[Draft] = attrs.field(factory=list)
    heads: dict[CursorKey, Head] = attrs.field(factory=dict)

    def hold(self, keys: Iterable[CursorKey]) -> None:
        """Do nothing: nobody else has it."""

    def hold_free(self, keys: Iterable[CursorKey]) -> Collection[CursorKey]:  # noqa: ARG002
        """Return none: nobody else holds one."""
        return ()

    def head(self, key: CursorKey) -> Head | None:
        """Return where the chain of `key` ends, or None if it has no entry."""
        return self.heads.get(key)

    def policies(self) -> list[Entry]:
        """Return the last reset of each policy."""
        last = {}
        for entry in self.entries:
            if policy_of(entry.key) is not None and isinstance(entry.event, CursorReset):
                last[entry.key] = entry
        return list(last.values())

    def confirm(self) -> None:
        """Do nothing: nobody else changes a head."""

    def append(
        self,
        drafts: Sequence[Draft],
        heads: Collection[Head],
        positions: Sequence[int] | None = None,  # noqa: ARG002 - each store has its own
    ) -> None:
        """Keep entries, and the heads that their cursors have after them."""
        for head, content in drafts:
            self.drafts.append((head, content))
            self.entries.append(entry_from((len(self.entries) + 1, *content, head.digest)))
        self.heads.update((head.cursor.key, head) for head in heads)


@attrs.frozen(kw_only=True)
class Log:
    """One log: a store on it, and what must be in it."""

    name: str
    store: Store
    expected: Reference = attrs.field(factory=Reference)

    def append(self, *requests: Request, at: float = 0) -> None:
        """Append requests, and expect them in the log from now on."""
        found = self.store.write(lambda transaction: committed(transaction, requests, at))
        expected = committed(self.expected, requests, at)
        # Two refusals are never equal.
        expect(list(map(_comparable, found)), list(map(_comparable, expected)), "the answers")

    def entries(self, query: EntryQuery = EVERY_ENTRY) -> list[Entry]:
        """Return the entries that the store returns for `query`."""
        return list(self.store.entries(query))

    def expect_all(self) -> None:
        """Expect the entries and the cursors that were appended, and that they are proven."""
        found, expected = self.entries(), self.expected.entries
        positions = [entry.position for entry in found]
        expect(positions, sorted(set(positions)), "the positions of the entries")
        expect(
            [attrs.evolve(entry, position=0) for entry in found],
            [attrs.evolve(entry, position=0) for entry in expected],
            "the entries",
        )
        for key, head in self.expected.heads.items():
            expect(self.store.cursor(key), head.cursor, f"the cursor of {key}")
        self.expect_proof()

    def expect_proof(self) -> None:
        """Expect that a check of the evidence finds no fault, and reads each entry."""
        with self.store.snapshot() as log:
            checked = verify(log)
        expect([str(fault) for fault in checked.faults], [], "what verify finds wrong")
        expect(checked.entries, len(self.entries()), "the number of entries that verify reads")


def _comparable(answer: Cursor | LedgerError) -> object:
    return f"{type(answer).__name__}: {answer}" if isinstance(answer, LedgerError) else answer


# --- how they are opened ---


class Logs:
    """The logs of one rule; their stores are closed at its end."""

    def __init__(self, open_store: OpenStore, names: Iterator[str]) -> None:
        self._open_store = open_store
        self._names = names
        self._opened = ExitStack()

    def new(self) -> Log:
        """Open a new log."""
        name = next(self._names)
        return Log(name=name, store=self._open(name))

    def again(self, log: Log) -> Log:
        """Open a log once more, as another process would; the same is expected of both."""
        return attrs.evolve(log, store=self._open(log.name))

    def _open(self, name: str) -> Store:
        store = self._open_store(name)
        self._opened.callback(store.close)
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()
