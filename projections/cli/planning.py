"""What a reset is asked for by its options, and the plan that this makes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import attrs
import click
from click.core import ParameterSource

from ledger import CursorKey, CursorNotFoundError, Ledger
from ledger.cli.names import NewCursorError
from ledger.cli.sources import Position
from projections.cli.choosing import Choice
from projections.cli.destinations import the_sequence
from projections.cli.reset_values import Then
from projections.resets.plans import ImpossiblePlanError, ResetPlan

__all__ = ["Asked", "check_only_file"]


@attrs.frozen(kw_only=True)
class Asked:
    """Which cursors are to be reset, where to, and what is kept with it."""

    chosen: Choice
    every: bool
    new: bool
    to: int | Position | None
    by: int | None
    to_time: Then | None
    to_entry: int | None
    to_cursor: CursorKey | None
    undo: bool
    reason: str | None
    delivery_id: str
    delivered_at: datetime | None
    now: datetime | None
    metadata: Mapping[str, str]

    def check(self) -> None:
        """Refuse options that say too little, or contradict each other. Raises UsageError."""
        chosen = self.chosen
        selected = chosen.named or bool(chosen.consumer or chosen.stream or chosen.subject)
        goals = (self.to, self.by, self.to_time, self.to_entry, self.to_cursor, self.undo or None)
        if not (selected or self.every):
            raise click.UsageError(
                "Which cursors? Name one by CONSUMER STREAM [SUBJECT], choose some by --consumer, "
                "--stream or --subject, or add --all."
            )
        if self.new and not chosen.named:
            raise click.UsageError("--new makes one cursor: name it by CONSUMER STREAM [SUBJECT].")
        if self.every and selected:
            raise click.UsageError("--all means all cursors; leave it out to choose some.")
        if goals.count(None) != len(goals) - 1:
            raise click.UsageError(
                "Where to? Add exactly one of --to, --by, --to-time, --to-entry, --to-cursor, "
                "--undo."
            )
        if self.reason is None and not self.undo:
            raise click.UsageError(
                "--reason is required: say why, because the reason is kept for ever."
            )
        if self.undo and (self.delivery_id or self.delivered_at):
            raise click.UsageError(
                "--undo restores the delivery that was there before; leave out --delivery-id and "
                "--delivered-at."
            )

    def plan(self, book: Ledger, planner: str) -> ResetPlan:
        """Return the plan that this is for the cursors as they are now."""
        if self.chosen.key is not None:
            self._expect(book, self.chosen.key)
        keys: Iterable[CursorKey] = (
            [self.chosen.key]
            if self.chosen.key
            else (cursor.key for cursor in self.chosen.cursors(book))
        )
        to = self.to
        if isinstance(to, Position):
            keys = list(keys)
            to = the_sequence(book, keys, to)
        if self.undo:
            return ResetPlan.undo(
                book,
                keys,
                reason=self.reason or "",
                now=self.now,
                metadata=self.metadata,
                planned_by=planner,
            )
        return ResetPlan.make(
            book,
            keys,
            reason=self.reason or "",
            to=to,
            by=self.by,
            as_of=self.to_time.at if self.to_time is not None else self.to_entry,
            like=self.to_cursor,
            delivery_id=self.delivery_id,
            delivered_at=self.delivered_at,
            now=self.now,
            metadata=self.metadata,
            planned_by=planner,
        )

    def _expect(self, book: Ledger, key: CursorKey) -> None:
        """Refuse to make a cursor that is not said to be new, and to reset one that is."""
        try:
            current = book.get(key)
        except CursorNotFoundError:
            if self.new or self.undo:
                return
            raise NewCursorError(key) from None
        if self.new:
            raise ImpossiblePlanError(
                f"{key} is not new: it is at {current.last_sequence}, version {current.version}. "
                "Leave out --new to reset it."
            )


# With a plan in a file these have a say; all others would be passed over.
_BESIDE_A_FILE = {"actor", "execute", "form", "from_file", "metadata", "yes"}


def check_only_file(context: click.Context) -> None:
    """Refuse options beside --from-file that the plan in the file has already."""
    for option in context.command.params:
        name = option.name or ""
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE and (
            name not in _BESIDE_A_FILE and option.expose_value
        ):
            given = (
                option.opts[0] if isinstance(option, click.Option) else option.human_readable_name
            )
            raise click.UsageError(
                f"The plan of --from-file says which cursors, where to, and why. Leave out "
                f"{given}, or make another plan."
            )
