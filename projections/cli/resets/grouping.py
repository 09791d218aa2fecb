"""How groups of resets are shown: those that were made together as one line, or those of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ledger import Ledger
from ledger.cli.shown.columns import with_metadata
from ledger.cli.shown.forms import Form, show
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.tables import Column
from ledger.log.text import visible
from projections.resets.grouped import ResetGroup
from projections.resets.groups import group_at
from projections.resets.marks import BATCH, PLAN, PLANNED_AT, PLANNED_BY
from projections.resets.views import RecordedReset

__all__ = ["of_group", "show_groups"]

# The position names the group, and JSON has all of it.
_LEFT_OUT = {BATCH, PLAN, PLANNED_AT, PLANNED_BY}


def of_group(
    book: Ledger, position: int, found: Iterator[RecordedReset]
) -> Iterator[RecordedReset]:
    """Yield those of `found` that were made together with the reset at `position`."""
    group = group_at(book, position)
    together = set(group.positions.values()) if group else set()
    return (reset for reset in found if reset.position in together)


def show_groups(groups: Iterable[ResetGroup], form: Form | None) -> None:
    """Show a line for each group."""
    show(groups, _GROUPS, form, of=[ResetGroup])


def _outcome(group: ResetGroup) -> str:
    if group.undone:
        return "undone" if group.undone == group.resets else f"{group.undone:,} undone"
    return f"{group.back:,} of {group.rewound:,}" if group.rewound else ""


def _why(group: ResetGroup) -> str:
    pairs = {name: value for name, value in group.metadata.items() if name not in _LEFT_OUT}
    return with_metadata(group.reason, pairs)


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


_GROUPS = [
    Column("recorded", lambda group: group.recorded_at, kind=Kind.TIME),
    # What an undo names the group by is never left out.
    Column("position", lambda group: str(group.position), kind=Kind.NUMBER),
    Column(
        "consumer",
        lambda group: visible(group.consumer_id) or "several",
        kind=Kind.NAME,
        of_cursor=True,
    ),
    Column(
        "stream",
        lambda group: visible(group.stream_name) or "several",
        kind=Kind.NAME,
        of_cursor=True,
    ),
    Column("cursors", lambda group: f"{group.resets:,}", kind=Kind.NUMBER, field="resets"),
    Column(
        "again",
        lambda group: _count(group.delivered_again),
        kind=Kind.NUMBER,
        spared=2,
        field="delivered_again",
    ),
    Column(
        "skipped",
        lambda group: _count(group.passed_over),
        kind=Kind.NUMBER,
        spared=2,
        field="passed_over",
    ),
    Column("caught up", _outcome, kind=Kind.WORDS, spared=3),
    # The question is who it was: the reason is cut before the actor.
    Column("actor", lambda group: visible(group.actor), kind=Kind.NAME),
    Column("reason", _why),
]
