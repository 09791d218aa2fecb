"""The resets of the log by group: those that were made together are one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TypeAlias

import attrs

from ledger import CursorKey, CursorReset, EntryQuery, Ledger
from projections.coroutines import blocking
from projections.ranges import Range
from projections.resets.marks import UNDOES, Batch, batch_of
from projections.resets.views import Direction, RecordedReset, resets

__all__ = ["ResetGroup", "reset_groups"]


@attrs.frozen(kw_only=True)
class ResetGroup:
    """Resets that were made together, or one that was made alone, and what came of them.

    `resets` is how many they are. `position`, `recorded_at` and `actor` are those of the first,
    `last_position` is that of the last. `consumer_id`, `stream_name` and `reason` are those that
    all of them have, or "" if they differ; `metadata` has the pairs that all of them have.

    `delivered_again` and `passed_over` are sums, in sequences. `rewound` is how many went back, and
    `back` how many of these cursors have been where they were since, or further. `undone` is how
    many of the resets were undone, by a reset whose `undoes` in the metadata names their position.

    >>> import ledger
    >>> from projections import ResetPlan, reset_groups
    >>> keys = [ledger.CursorKey("mailer", "orders", partition) for partition in ("0", "1")]
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     cursors = [book.advance(key, to=44) for key in keys]
    ...     cursors = ResetPlan.make(book, keys, by=-4, reason="mails bounced").apply(book)
    ...     [group] = reset_groups(book)
    >>> group.resets, group.delivered_again, group.reason
    (2, 8, 'mails bounced')
    """

    position: int
    last_position: int
    recorded_at: datetime
    actor: str
    reason: str
    metadata: Mapping[str, str] = attrs.field(hash=False)
    consumer_id: str
    stream_name: str
    resets: int
    delivered_again: int
    passed_over: int
    rewound: int
    back: int
    undone: int


def reset_groups(
    book: Ledger,
    query: EntryQuery | None = None,
    *,
    reason: str = "",
    direction: Direction | None = None,
) -> Iterator[ResetGroup]:
    """Yield the groups of the resets that `query` chooses, by their first position.

    Resets are a group if one plan made them: they have the same `cursor-ledger/batch` in their
    metadata, and the same actor. Any other reset is a group of one. `reason` and `direction` choose
    resets, as `projections.resets` does; `limit` counts groups.

    `book` is the ledger. A group is held in memory for each line, because on PostgreSQL other
    entries may stand between those of one group.

    Raises InvalidCursorError.

    >>> import ledger
    >>> from projections import ResetPlan, reset_groups
    >>> keys = [ledger.CursorKey("mailer", "orders", partition) for partition in ("0", "1")]
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     cursors = ResetPlan.make(book, keys, to=7, reason="moved here").apply(book)
    ...     cursors = ResetPlan.undo(book, group=1).apply(book)
    ...     [(group.position, group.resets, group.reason) for group in reset_groups(book)]
    [(1, 2, 'moved here'), (3, 2, 'undoes the group of resets at position 1 by ines')]
    """
    blocking(book, "await book.run(lambda book: list(reset_groups(book)))")
    query = query or EntryQuery()
    found = resets(book, attrs.evolve(query, limit=0), reason=reason, direction=direction)
    return islice(_groups(found, partial(_undone, book, query)), query.limit or None)


def _undone(book: Ledger, query: EntryQuery) -> Undone:
    """Return what resets of these cursors undo, whoever made them, and when."""
    undoing = EntryQuery(
        key=query.key,
        consumer_id=query.consumer_id,
        stream_name=query.stream_name,
        subject_id=query.subject_id,
        kinds=(CursorReset,),
    )
    return frozenset((entry.key, entry.metadata.get(UNDOES, "")) for entry in book.entries(undoing))


Undone: TypeAlias = frozenset[tuple[CursorKey, str]]
"""Cursors, each with the position of a reset of it that was undone."""


def _groups(
    found: Iterator[RecordedReset], read_undone: Callable[[], Undone]
) -> Iterator[ResetGroup]:
    undone = read_undone()
    groups: dict[Batch | int, ResetGroup] = {}
    for reset in found:
        batch = batch_of(reset.metadata, reset.actor, reset.recorded_at)
        name = reset.position if batch is None else batch
        group = _alone(reset, undone=(reset.key, str(reset.position)) in undone)
        groups[name] = _joined(groups[name], group) if name in groups else group
    yield from groups.values()


def _alone(reset: RecordedReset, *, undone: bool) -> ResetGroup:
    """Return the group of one reset."""
    return ResetGroup(
        position=reset.position,
        last_position=reset.position,
        recorded_at=reset.recorded_at,
        actor=reset.actor,
        reason=reset.reason,
        metadata=reset.metadata,
        consumer_id=reset.key.consumer_id,
        stream_name=reset.key.stream_name,
        resets=1,
        delivered_again=_length(reset.delivered_again),
        passed_over=_length(reset.passed_over),
        rewound=int(reset.direction is Direction.BACK),
        back=int(reset.back_at is not None),
        undone=int(undone),
    )


def _joined(one: ResetGroup, other: ResetGroup) -> ResetGroup:
    """Return two groups as one."""
    first = min(one, other, key=lambda group: group.position)
    return ResetGroup(
        position=first.position,
        last_position=max(one.last_position, other.last_position),
        recorded_at=first.recorded_at,
        actor=first.actor,
        reason=_same(one.reason, other.reason),
        metadata=dict(pair for pair in one.metadata.items() if pair in other.metadata.items()),
        consumer_id=_same(one.consumer_id, other.consumer_id),
        stream_name=_same(one.stream_name, other.stream_name),
        resets=one.resets + other.resets,
        delivered_again=one.delivered_again + other.delivered_again,
        passed_over=one.passed_over + other.passed_over,
        rewound=one.rewound + other.rewound,
        back=one.back + other.back,
        undone=one.undone + other.undone,
    )


def _length(crossed: Range | None) -> int:
    return 0 if crossed is None else len(crossed)


def _same(one: str, other: str) -> str:
    return one if one == other else ""
