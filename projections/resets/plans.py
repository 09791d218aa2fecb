"""Resets, planned: looked at, kept in a file, and made only if nothing has changed since."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from ledger import (
    Cursor,
    CursorKey,
    InvalidCursorError,
    Ledger,
    VersionConflictError,
)
from ledger.law import fields
from ledger.log.json import unstructure
from ledger.opening import utc_now
from projections import files
from projections.coroutines import blocking
from projections.cursors import Moment
from projections.resets import goals, identity, marks, plan_files, planning
from projections.resets.goals import ImpossiblePlanError
from projections.resets.identity import LedgerMark
from projections.resets.planned import PlannedReset, read_time

__all__ = ["ImpossiblePlanError", "PlannedReset", "ResetPlan"]


@attrs.frozen
class ResetPlan:
    """Resets of several cursors, to be made together or not at all.

    Where there are several, their entries share a `batch` in their metadata. `planned_by` and
    `planned_at` say who made the plan and when, `ledger` what its ledger is known by. `digest` is
    that of the file that it was read from, if it was.

    `resets` are the ones that are planned.

    >>> import ledger
    >>> from projections import ResetPlan
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(key, to=44)
    ...     plan = ResetPlan.make(book, [key], to=41, reason="receiver lost 42 and 43")
    ...     print(plan.resets[0].delivered_again)
    ...     [cursor.last_sequence for cursor in plan.apply(book, actor="ines")]
    3 sequences, 42 to 44
    [41]
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
        blocking(book, "await book.run(ResetPlan.make, keys, …)")
        plan = planning.to_place(
            goals.goal(book, to=to, by=by, moment=as_of, like=like),
            reason=reason,
            delivery_id=delivery_id,
            delivered_at=delivered_at,
            now=now,
            metadata=metadata,
        )
        return cls._made(book, planning.planned(book, keys, plan), planned_by)

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
        blocking(book, "await book.run(ResetPlan.undo, keys, …)")
        plan = planning.undoing(book, reason=reason, now=now, metadata=metadata)
        return cls._made(book, planning.planned(book, keys, plan), planned_by)

    @classmethod
    def _made(cls, book: Ledger, resets: tuple[PlannedReset, ...], planned_by: str) -> ResetPlan:
        mark = LedgerMark.of(book)
        return cls(resets, planned_by=planned_by, planned_at=utc_now(), ledger=mark)

    def adding(self, metadata: Mapping[str, str]) -> ResetPlan:
        """Return the plan with `metadata` in each of its entries, beside what they have.

        Raises InvalidCursorError if they have one of its names already, or would have too much.
        """
        if not metadata:
            return self
        own = self._marks(self.digest)
        resets = (
            attrs.evolve(reset, metadata=marks.merged(reset, own, metadata))
            for reset in self.resets
        )
        return attrs.evolve(self, resets=tuple(resets))._with(self.digest)

    # --- keeping it ---

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan to a file: a header, and one JSON object a reset; an old one is replaced.

        Only its owner may read the file, and it is written whole or not at all. A database, and
        anything but a plain file, is never overwritten.

        The header has a digest over all of it, so that `load` notices what is changed. It
        is not a signature: anybody who can write the file can compute it again.

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
        """Return the plan as JSON: a header, and an object for each reset.

        Raises InvalidCursorError if the metadata has no room for what `apply` adds.
        """
        for reset in self.resets:
            marks.check_room(reset, self._marks("0" * 64))
        header = {
            "ledger": unstructure(self.ledger),
            "planned_by": self.planned_by,
            "planned_at": unstructure(self.planned_at),
        }
        return iter(plan_files.seal(header, [reset.plain for reset in self.resets]))

    @classmethod
    def of_lines(cls, lines: Iterable[str | bytes]) -> ResetPlan:
        """Return the plan that JSON lines hold.

        Raises InvalidCursorError if they were changed since it was planned.
        """
        header, resets, digest = plan_files.unseal(lines)
        made = []
        for number, plain in enumerate(resets, 2):
            try:
                made.append(PlannedReset.of_plain(plain))
            except InvalidCursorError as error:
                raise InvalidCursorError(f"line {number} is not a planned reset: {error}") from None
        return cls(tuple(made), **_said(header))._with(digest)

    # --- doing it ---

    def check(self, book: Ledger) -> None:
        """See that this is the ledger, and that every cursor is still as it was when planned.

        Raises VersionConflictError at the first that is not, DivergedError if the ledger or the
        history of a cursor is another one.
        """
        blocking(book, "await book.run(plan.check)")
        identity.check(book, self.ledger, self.resets)
        for reset in self.resets:
            current = goals.current(book, reset.key)
            if reset.version != (current.version if current else 0):
                raise VersionConflictError(current, reset.request)

    def apply(
        self, book: Ledger, *, actor: str = "", metadata: Mapping[str, str] | None = None
    ) -> list[Cursor]:
        """Make all resets in one transaction, or none of them; return the cursors.

        `metadata` is added to that of each entry. If the plan was read from a file, so are the
        file's digest as `plan`, and who planned it and when as `planned_by` and `planned_at`.

        Raises VersionConflictError if anything was appended to one of the cursors since it was
        planned, DivergedError if it was planned for another ledger, ActorRequiredError.
        """
        blocking(book, "await book.run(plan.apply, …)")
        plan = self.adding(metadata or {})
        identity.check(book, self.ledger, self.resets)
        own = self._marks(self.digest)
        return book.append(
            attrs.evolve(reset.request, actor=actor, metadata={**reset.metadata, **own})
            for reset in plan.resets
        )

    def _with(self, digest: str) -> ResetPlan:
        fields.set_field(self, "digest", digest)
        return self

    def _marks(self, digest: str) -> dict[str, str]:
        return marks.of_file(digest, planned_by=self.planned_by, planned_at=self.planned_at)


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
