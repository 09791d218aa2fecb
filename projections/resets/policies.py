"""The policies over time, and which of them a reset did not meet that was made all the same.

A ledger refuses such a reset. An older version of this program does not, nor does somebody who
writes to the tables. Policies change in the order of positions, because all who append are kept out
while one does: what was in force for a reset is what the entries before its position say.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from operator import attrgetter

import attrs

from ledger import (
    ArchivedError,
    CursorKey,
    CursorQuery,
    Entry,
    EntryQuery,
    ErrorRecorded,
    Ledger,
    Policy,
    PolicyChange,
)
from ledger.law.policies import change_by, unmet
from ledger.law.reserved import POLICY, POLICY_STREAMS, RULES
from ledger.law.takeovers import MARK
from projections.coroutines import blocking
from projections.resets.views import Direction, RecordedReset

__all__ = ["PolicyHistory", "policy_changes"]


def policy_changes(book: Ledger) -> Iterator[PolicyChange]:
    """Return each change of a policy, by position, lazily.

    `book` is the ledger. Raises InvalidCursorError if it is one of coroutines.

    >>> import ledger
    >>> from projections import policy_changes
    >>> ticket = ledger.Policy("require-meta", "ticket")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     change = book.policies.set(ticket, reason="audit")
    ...     change = book.policies.drop(ticket, reason="the tracker is down", actor="omar")
    ...     [(change.actor, change.in_force) for change in policy_changes(book)]
    [('ines', True), ('omar', False)]
    """
    blocking(book, "await book.run(lambda book: list(policy_changes(book)))")
    each = (
        _changes(book, cursor.key)
        for stream in POLICY_STREAMS
        for cursor in book.cursors(CursorQuery(consumer_id=POLICY, stream_name=stream))
    )
    return heapq.merge(*each, key=attrgetter("position"))


@attrs.define
class PolicyHistory:
    """All changes of policies in a ledger, by position, which say what was in force when.

    `book` is the ledger, and `changes` are the changes: some hundred bytes each are kept.

    >>> import ledger
    >>> from projections import PolicyHistory, resets
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> ticket = ledger.Policy("require-meta", "ticket")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     cursor = book.reset(key, to=41, reason="receiver lost 42")
    ...     change = book.policies.set(ticket, reason="audit")
    ...     history = PolicyHistory.of(book)
    ...     [len(history.at(position)) for position in (1, 2, 3)]
    ...     [history.unmet(reset) for reset in resets(book)]
    [0, 0, 1]
    [(), ()]
    """

    book: Ledger
    changes: Sequence[PolicyChange]
    _positions: list[int] = attrs.field(init=False)
    _last: tuple[int, tuple[PolicyChange, ...]] = attrs.field(default=(0, ()), init=False)

    def __attrs_post_init__(self) -> None:
        self._positions = [change.position for change in self.changes]

    @classmethod
    def of(cls, book: Ledger) -> PolicyHistory:
        """Return the history of the policies of `book`."""
        return cls(book, tuple(policy_changes(book)))

    def at(self, position: int) -> tuple[PolicyChange, ...]:
        """Return the policies that were in force for an entry at `position`, each as it was set."""
        count = bisect_left(self._positions, position)
        if count != self._last[0]:
            standing: dict[Policy, PolicyChange] = {}
            for change in self.changes[:count]:
                if change.in_force:
                    # Set again, it has been in force since the first time.
                    standing.setdefault(change.policy, change)
                else:
                    standing.pop(change.policy, None)
            self._last = count, tuple(standing.values())
        return self._last[1]

    def unmet(self, reset: RecordedReset) -> tuple[PolicyChange, ...]:
        """Return the policies that were in force for `reset`, and that it does not meet."""
        if reset.key.consumer_id in RULES:
            return ()
        missing = unmet(self.at(reset.position), reset.metadata)
        return () if missing and _takes_over(self.book, reset) else missing


def _changes(book: Ledger, key: CursorKey) -> Iterator[PolicyChange]:
    for entry in book.history(key):
        if (change := change_by(entry)) is not None:
            yield change


def _takes_over(book: Ledger, reset: RecordedReset) -> bool:
    """Return whether a reset takes its cursor over, and leaves it where it stood.

    Where what it follows was archived and removed, its delivery id cannot be compared.
    """
    marked = reset.metadata.get(MARK) == str(reset.epoch - 1)
    if reset.direction is not Direction.NOWHERE or not marked:
        return False
    query = EntryQuery(key=reset.key, version_until=reset.version, newest_first=True)
    entries = (e for e in book.entries(query) if not isinstance(e.event, ErrorRecorded))
    try:
        own, before = next(entries, None), next(entries, None)
    except ArchivedError:
        return True
    return _delivery_id(own) == _delivery_id(before)


def _delivery_id(entry: Entry | None) -> str:
    if entry is None or isinstance(entry.event, ErrorRecorded):
        return ""
    return entry.event.delivery_id
