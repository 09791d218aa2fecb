"""What a reset is asked for by its options, and the plan that this makes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import product
from typing import BinaryIO

import attrs
import click
from click.core import ParameterSource

from ledger import CursorKey, CursorNotFoundError, Ledger
from ledger.cli.process.hosts import command_name
from ledger.cli.typed.names import NewCursorError
from ledger.cli.typed.sources import Position, sequence_of
from projections.cli.choosing import Choice
from projections.cli.resets.destinations import with_typed_tokens
from projections.cli.resets.reset_values import Goal, Then, read_targets
from projections.cli.resets.signing import OPTIONS
from projections.resets.goals import NoPlaceThenError, start_of
from projections.resets.groups import group_at
from projections.resets.missing import Missing
from projections.resets.plans import ImpossiblePlanError, ResetPlan

__all__ = ["Asked", "check_only_file"]


class MissingCursorError(CursorNotFoundError):
    """One cursor of several does not exist, and nothing was said about that."""

    def __init__(self, key: CursorKey | str) -> None:
        super().__init__(key)
        if not isinstance(key, str):
            self.args = (f"{self} Add --missing zero to make it, or --missing skip.",)


@attrs.frozen(kw_only=True)
class Asked:
    """Which cursors are to be reset, where to, and what is kept with it."""

    chosen: Choice
    every: bool
    new: bool
    to: tuple[Goal, ...]
    targets: BinaryIO | None
    by: int | None
    to_time: Then | None
    to_stream_time: Then | None
    to_entry: int | None
    to_cursor: CursorKey | None
    undo: bool
    group: int | None
    missing: Missing | None = attrs.field(converter=attrs.converters.optional(Missing))
    reason: str | None
    delivery_id: str
    delivered_at: datetime | None
    now: datetime | None
    metadata: Mapping[str, str]

    def check(self) -> None:
        """Refuse options that say too little, or contradict each other. Raises UsageError."""
        self._check_goal()
        self._check_choice()
        if self.reason is None and not self.undo:
            raise click.UsageError(
                "--reason is required: say why, because the reason is kept for ever."
            )
        if self.undo and (self.delivery_id or self.delivered_at):
            raise click.UsageError(
                "--undo restores the delivery that was there before; leave out --delivery-id and "
                "--delivered-at."
            )
        if self._of_each and (self.delivery_id or self.delivered_at):
            raise click.UsageError(
                "Each cursor has a sequence of its own; leave out --delivery-id and --delivered-at."
            )

    @property
    def _of_each(self) -> bool:
        """Whether each cursor has a sequence of its own."""
        return self.targets is not None or any(goal.subject is not None for goal in self.to)

    @property
    def holds_anyway(self) -> bool:
        """Whether the plan is the same wherever the cursors stand by the time that it is done.

        What goes by so many, or undoes, is planned from where they stand; a new cursor is new.
        """
        return self.by is None and not self.undo and not self.new

    @property
    def times(self) -> tuple[str, ...]:
        """What the times that were typed for a goal are."""
        given = (("--to-time", self.to_time), ("--to-stream-time", self.to_stream_time))
        return tuple(then.told(option) for option, then in given if then is not None)

    def _check_goal(self) -> None:
        goals = (
            *(self.to or None, self.targets, self.by, self.to_cursor, self.undo or None),
            *(self.to_time, self.to_stream_time, self.to_entry),
        )
        if goals.count(None) != len(goals) - 1:
            raise click.UsageError(
                "Where to? Add exactly one of --to, --targets, --by, --to-time, --to-stream-time, "
                "--to-entry, --to-cursor, --undo."
            )
        subjects = [goal.subject for goal in self.to]
        if len(subjects) > 1 and None in subjects:
            raise click.UsageError(
                "--to is one number for all cursors, or one --to SUBJECT=N for each subject."
            )
        if twice := [subject for subject in subjects if subjects.count(subject) > 1]:
            raise click.UsageError(f"--to names the subject {twice[0]!r:.80} twice.")
        if self.group is not None and not self.undo:
            raise click.UsageError("--group names what --undo undoes; add --undo.")
        if self.undo and self.missing is Missing.ZERO:
            raise click.UsageError(
                "--missing zero is not for --undo: what has nothing to undo can be skipped, or "
                "refused."
            )

    def _check_choice(self) -> None:
        chosen = self.chosen
        selected = not chosen.is_any
        if self.group is not None:
            if selected or self.every:
                raise click.UsageError("--group names the cursors; leave out all other choices.")
            return
        if self.targets is not None:
            several = max(len(chosen.consumers), len(chosen.streams)) > 1
            if chosen.named or self.every or chosen.subjects or several:
                raise click.UsageError(
                    "--targets names the cursors. Only one --consumer and one --stream go with it, "
                    "which its lines then need not name."
                )
            return
        if not (selected or self.every):
            raise click.UsageError(
                "Which cursors? Name one by CONSUMER STREAM [SUBJECT], choose some by --consumer, "
                "--stream or --subject, or add --all."
            )
        if self._of_each and (not (chosen.consumers and chosen.streams) or chosen.subjects):
            raise click.UsageError(
                "--to SUBJECT=N names the subjects; name CONSUMER STREAM before it, or --consumer "
                "and --stream, and no other subject."
            )
        if self.new and (not chosen.named or self._of_each):
            raise click.UsageError("--new makes one cursor: name it by CONSUMER STREAM [SUBJECT].")
        if self.every and selected:
            raise click.UsageError("--all means all cursors; leave it out to choose some.")

    def plan(self, book: Ledger, planner: str) -> ResetPlan:
        """Return the plan that this is for the cursors as they are now."""
        if self.undo:
            return self._undoing(book, planner)
        keys = () if self._of_each else tuple(self._keys(book))
        try:
            typed = self._typed(keys)
            to = self._goal(book, typed)
            plan = ResetPlan.make(
                book,
                () if isinstance(to, dict) else keys,
                reason=self.reason or "",
                to=to,
                by=self.by,
                as_of=self.to_time.at if self.to_time is not None else self.to_entry,
                stream_as_of=self.to_stream_time.at if self.to_stream_time is not None else None,
                like=self.to_cursor,
                missing=Missing.ZERO if self.new else self.missing or Missing.REFUSE,
                delivery_id=self.delivery_id,
                delivered_at=self.delivered_at,
                now=self.now,
                metadata=self.metadata,
                planned_by=planner,
            )
            return plan if self.delivery_id or typed is None else with_typed_tokens(plan, typed)
        except CursorNotFoundError as error:
            is_one = self.chosen.named and not self._of_each
            if error.key is None or is_one or error.key == self.to_cursor:
                raise
            raise MissingCursorError(error.key) from None
        except NoPlaceThenError as error:
            started = start_of(book, error.key) is not None
            way_on = _way_on(started=started, several=len(keys) > 1)
            raise ImpossiblePlanError(f"{error}{way_on}") from None

    def _undoing(self, book: Ledger, planner: str) -> ResetPlan:
        keys = () if self.group is not None else tuple(self._keys(book))
        try:
            return ResetPlan.undo(
                book,
                keys,
                group=self.group,
                missing=self.missing,
                reason=self.reason or "",
                now=self.now,
                metadata=self.metadata,
                planned_by=planner,
            )
        except ImpossiblePlanError as error:
            if self.group is None and len(keys) < 2:
                raise
            if self.group is not None and group_at(book, self.group) is None:
                raise ImpossiblePlanError(
                    f"{error} {command_name()} resets --groups shows the position of each group."
                ) from None
            raise ImpossiblePlanError(
                f"{error} To undo the others, add --missing skip: it leaves out what has nothing "
                "to undo."
            ) from None

    def _typed(self, keys: Iterable[CursorKey]) -> Mapping[CursorKey, int | Position] | None:
        """Return what was typed for each cursor; None if it was a number for all, or nothing."""
        if self._of_each:
            return self._targets()
        if not self.to or isinstance(place := self.to[0].place, int):
            return None
        # The word for a position may be another sequence on each stream.
        return dict.fromkeys(keys, place)

    def _goal(
        self, book: Ledger, typed: Mapping[CursorKey, int | Position] | None
    ) -> int | dict[CursorKey, int] | None:
        """Return the sequence for all cursors, or for each of them."""
        if typed is None:
            place = self.to[0].place if self.to else None
            return place if isinstance(place, int) else None
        return {key: sequence_of(book, key, place) for key, place in typed.items()}

    def _targets(self) -> dict[CursorKey, int | Position]:
        consumers, streams = self.chosen.consumers, self.chosen.streams
        if self.targets is not None:
            return read_targets(self.targets, "".join(consumers), "".join(streams))
        return {
            CursorKey(consumer, stream, goal.subject or ""): goal.place
            for consumer, stream, goal in product(consumers, streams, self.to)
        }

    def _keys(self, book: Ledger) -> Iterable[CursorKey]:
        chosen = self.chosen
        if chosen.key is not None:
            self._expect(book, chosen.key)
            return [chosen.key]
        if chosen.consumers and chosen.streams and chosen.subjects:
            # Each of them is named in full.
            named = product(chosen.consumers, chosen.streams, chosen.subjects)
            return dict.fromkeys(CursorKey(*names) for names in named)
        keys = [cursor.key for cursor in chosen.cursors(book)]
        if keys and self.missing is not Missing.SKIP:
            chosen.expect_each(keys)
        return keys

    def _expect(self, book: Ledger, key: CursorKey) -> None:
        """Refuse to make a cursor that is not said to be new, and to reset one that is."""
        try:
            current = book.get(key)
        except CursorNotFoundError:
            if self.new or self.undo or self.missing in {Missing.ZERO, Missing.SKIP}:
                return
            raise NewCursorError(key) from None
        if self.new:
            raise ImpossiblePlanError(
                f"{key} is not new: it is at {current.last_sequence}, version {current.version}. "
                "Leave out --new to reset it."
            )


def _way_on(*, started: bool, several: bool) -> str:
    """Return what to add where a cursor has no place at the moment that was typed.

    Of a cursor that was `started`, nobody knows where it stood before, so zero is refused.
    """
    skip = "--missing skip, which leaves out such cursors" if several else ""
    zero = "" if started else f"--missing zero, which resets {'them' if several else 'it'} to 0"
    ways = ", or ".join(filter(None, (skip, zero)))
    return f" To plan it all the same, add {ways}." if ways else ""


# With a plan in a file these have a say; all others would be passed over.
_BESIDE_A_FILE = {"actor", "execute", "form", "from_file", "metadata", "yes", *OPTIONS}


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
