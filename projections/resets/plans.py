"""Resets, planned: looked at, kept in a file, and made only if nothing has changed since."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from ledger import (
    Cursor,
    CursorKey,
    CursorNotFoundError,
    InvalidCursorError,
    Ledger,
    VersionConflictError,
)
from ledger.law import fields
from ledger.log.json import unstructure
from ledger.log.text import show_time
from ledger.opening import utc_now
from projections import files, identity
from projections.cursors import Moment
from projections.identity import LedgerMark
from projections.resets import goals, plan_files
from projections.resets.goals import ImpossiblePlanError
from projections.resets.planned import PlannedReset, read_time

__all__ = ["ImpossiblePlanError", "PlannedReset", "ResetPlan"]

BATCH = "batch"
UNDOES = "undoes"
# What the entries of a plan that was kept in a file have in their metadata.
PLAN, PLANNED_AT, PLANNED_BY = "plan", "planned_at", "planned_by"


@attrs.frozen
class ResetPlan:
    """Resets of several cursors, to be made together or not at all.

    Where there are several, their entries share a `batch` in their metadata. `planned_by` and
    `planned_at` say who made the plan and when, `ledger` what its ledger is known by. `digest` is
    that of the file that it was read from, if it was.
    """

    resets: tuple[PlannedReset, ...]
    planned_by: str = attrs.field(default="", kw_only=True)
    planned_at: datetime | None = attrs.field(default=None, kw_only=True)
    ledger: LedgerMark | None = attrs.field(default=None, kw_only=True)
    # Not for whoever makes another plan of this one: it would no longer be the plan in the file.
    digest: str = attrs.field(default="", init=False, eq=False)

    def __attrs_post_init__(self) -> None:
        fields.set_field(self, "planned_by", fields.text(self.planned_by, "planned_by"))
        seen: set[CursorKey] = set()
        for reset in self.resets:
            if reset.key in seen:
                raise InvalidCursorError(f"the plan resets {reset.key} twice.")
            seen.add(reset.key)

    # --- making one ---

    @classmethod
    def make(
        cls,
        book: Ledger,
        keys: Iterable[CursorKey],
        *,
        reason: str,
        to: int | None = None,
        by: int | None = None,
        as_of: Moment | None = None,
        like: CursorKey | None = None,
        delivery_id: str = "",
        delivered_at: datetime | None = None,
        now: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
        planned_by: str = "",
    ) -> ResetPlan:
        """Plan to reset the cursors of `keys`; nothing is changed yet.

        Where to is said by one of four: `to`, a sequence; `by`, so many sequences further or back;
        `as_of`, where each cursor stood at a moment, under the delivery id that it had; `like`,
        where another cursor stands. With `to`, a cursor that does not exist would be made.

        Raises InvalidCursorError, ResetReasonRequiredError, CursorNotFoundError,
        ImpossiblePlanError.
        """
        goal = goals.goal(book, to=to, by=by, moment=as_of, like=like)

        def planned(key: CursorKey, current: Cursor | None, head: bytes | None) -> PlannedReset:
            place = goal(key, current)
            return PlannedReset(
                key=key,
                version=current.version if current else 0,
                previous_sequence=current.last_sequence if current else 0,
                sequence=place.sequence,
                reason=reason,
                delivery_id=delivery_id or place.delivery_id,
                delivered_at=delivered_at or place.delivered_at,
                occurred_at=now,
                metadata={} if metadata is None else metadata,
                head=head,
            )

        return cls._of(book, keys, planned, planned_by)

    @classmethod
    def undo(
        cls,
        book: Ledger,
        keys: Iterable[CursorKey],
        *,
        reason: str = "",
        now: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
        planned_by: str = "",
    ) -> ResetPlan:
        """Plan to compensate the last reset of each cursor: back to where it was before.

        The reason names the reset that is undone, and `undoes` in the metadata its position. The
        undone reset stays in the log, as everything does.

        Raises InvalidCursorError, CursorNotFoundError, ImpossiblePlanError if a cursor was never
        reset, or has been back where it was since.
        """

        def planned(key: CursorKey, current: Cursor | None, head: bytes | None) -> PlannedReset:
            if current is None:
                raise CursorNotFoundError(key)
            place, entry = goals.before_last_reset(book, key, current)
            named = f"undoes the reset at position {entry.position} by {entry.actor}"
            return PlannedReset(
                key=key,
                version=current.version,
                previous_sequence=current.last_sequence,
                sequence=place.sequence,
                reason=f"{reason} ({named})" if reason.strip() else named,
                delivery_id=place.delivery_id,
                delivered_at=place.delivered_at,
                occurred_at=now,
                metadata={**(metadata or {}), UNDOES: str(entry.position)},
                head=head,
            )

        return cls._of(book, keys, planned, planned_by)

    @classmethod
    def _of(
        cls,
        book: Ledger,
        keys: Iterable[CursorKey],
        planned: Callable[[CursorKey, Cursor | None, bytes | None], PlannedReset],
        planned_by: str,
    ) -> ResetPlan:
        resets = []
        for key in keys:
            current = goals.current(book, key)
            head = identity.head(book, key, current.version) if current else None
            resets.append(planned(key, current, head))
        if len(resets) > 1:
            batch = uuid.uuid4().hex
            resets = [
                attrs.evolve(reset, metadata={BATCH: batch, **reset.metadata}) for reset in resets
            ]
        return cls(
            tuple(resets),
            planned_by=planned_by,
            planned_at=utc_now(),
            ledger=LedgerMark.of(book),
        )

    def adding(self, metadata: Mapping[str, str]) -> ResetPlan:
        """Return the plan with `metadata` in each of its entries, beside what they have.

        Raises InvalidCursorError if they have one of its names already, or would have too much.
        """
        if not metadata:
            return self
        resets = []
        for reset in self.resets:
            taken = {**reset.metadata, **self._marks(self.digest)}
            if clash := sorted(taken.keys() & metadata.keys()):
                raise InvalidCursorError(
                    f"metadata {clash[0]!r:.80} is in the plan already; give it another name."
                )
            fields.metadata({**taken, **metadata})
            resets.append(attrs.evolve(reset, metadata={**reset.metadata, **metadata}))
        return attrs.evolve(self, resets=tuple(resets))._with(self.digest)

    # --- keeping it ---

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan to a file: a header, and one JSON object a reset; an old one is replaced.

        Only its owner may read the file, and it is written whole or not at all. What is no plain
        file, and a database, is never written over.

        The header has a digest over all of it, so that `load` notices what is changed. Whoever
        means to deceive can compute it anew: it is no signature.

        Raises InvalidCursorError if the metadata has no room for what `apply` adds, OSError.
        """
        files.write(path, "".join(f"{line}\n" for line in self.lines()).encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ResetPlan:
        """Read a plan that was saved.

        Raises InvalidCursorError if it was changed since, OSError.
        """
        with Path(path).open("rb") as file:
            return cls.of_lines(file)

    def lines(self) -> Iterator[str]:
        """Give the plan as JSON: a header, and an object for each reset.

        Raises InvalidCursorError if the metadata has no room for what `apply` adds.
        """
        for reset in self.resets:
            self._make_room(reset)
        header = {
            "ledger": unstructure(self.ledger),
            "planned_by": self.planned_by,
            "planned_at": unstructure(self.planned_at),
        }
        return iter(plan_files.seal(header, [reset.plain for reset in self.resets]))

    @classmethod
    def of_lines(cls, lines: Iterable[str | bytes]) -> ResetPlan:
        """Give the plan that JSON lines hold.

        Raises InvalidCursorError if they were changed since it was planned.
        """
        header, resets, digest = plan_files.unseal(lines)
        made = []
        for number, plain in enumerate(resets, 2):
            try:
                made.append(PlannedReset.of_plain(plain))
            except InvalidCursorError as error:
                raise InvalidCursorError(f"line {number} is no planned reset: {error}") from None
        return cls(tuple(made), **_said(header))._with(digest)

    # --- doing it ---

    def check(self, book: Ledger) -> None:
        """See that this is the ledger, and that every cursor is still as it was when planned.

        Raises VersionConflictError at the first that is not, DivergedError if the ledger or the
        history of a cursor is another one.
        """
        identity.check(book, self.ledger, self.resets)
        for reset in self.resets:
            current = goals.current(book, reset.key)
            if reset.version != (current.version if current else 0):
                raise VersionConflictError(current, reset.request)

    def apply(
        self, book: Ledger, *, actor: str = "", metadata: Mapping[str, str] | None = None
    ) -> list[Cursor]:
        """Make all resets in one transaction, and give the cursors; or none of them.

        `metadata` is added to that of each entry. If the plan was read from a file, so are the
        file's digest as `plan`, and who planned it and when as `planned_by` and `planned_at`.

        Raises VersionConflictError if anything was appended to one of the cursors since it was
        planned, DivergedError if it was planned for another ledger, ActorRequiredError.
        """
        plan = self.adding(metadata or {})
        identity.check(book, self.ledger, self.resets)
        marks = self._marks(self.digest)
        return book.append(
            attrs.evolve(reset.request, actor=actor, metadata={**reset.metadata, **marks})
            for reset in plan.resets
        )

    def _with(self, digest: str) -> ResetPlan:
        fields.set_field(self, "digest", digest)
        return self

    def _marks(self, digest: str) -> dict[str, str]:
        """Return what the entries of a plan with this digest are marked with; nothing without."""
        if not digest:
            return {}
        marks = {PLAN: digest}
        if self.planned_by:
            marks[PLANNED_BY] = self.planned_by
        if self.planned_at is not None:
            marks[PLANNED_AT] = show_time(self.planned_at)
        return marks

    def _make_room(self, reset: PlannedReset) -> None:
        marks = self._marks("0" * 64)
        if clash := sorted(marks.keys() & reset.metadata.keys()):
            raise InvalidCursorError(
                f"metadata {clash[0]!r:.80} is what the plan itself is recorded under; give it "
                "another name."
            )
        try:
            fields.metadata({**reset.metadata, **marks})
        except InvalidCursorError as error:
            raise InvalidCursorError(
                f"with {', '.join(marks)}, which the entries of a plan from a file have, {error}"
            ) from None


def _said(header: dict[str, Any]) -> dict[str, Any]:
    """Return what a header says of the plan, as its fields."""
    names = ("ledger", "planned_by", "planned_at")
    if header.keys() != set(names):
        raise InvalidCursorError(f"the header of a plan has {', '.join(names)}.")
    return {
        "ledger": LedgerMark.of_plain(header["ledger"]),
        "planned_by": header["planned_by"],
        "planned_at": read_time(header["planned_at"], "planned_at"),
    }
