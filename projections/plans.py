"""Resets, planned: looked at, kept in a file, and made only if nothing has changed since."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

import attrs

from ledger import (
    Cursor,
    CursorKey,
    CursorNotFoundError,
    CursorReset,
    Entry,
    EntryQuery,
    InvalidCursorError,
    Ledger,
    LedgerError,
    ResetCursor,
    VersionConflictError,
    codec,
    fields,
)
from projections.cursors import Moment, as_of, as_of_version
from projections.ranges import Range
from projections.resets import Direction

__all__ = ["ImpossiblePlanError", "PlannedReset", "ResetPlan"]

BATCH = "batch"
UNDOES = "undoes"


@attrs.frozen(kw_only=True)
class PlannedReset:
    """A reset of one cursor, planned when it was at `version` and `previous_sequence`.

    `version` is 0 if there was no cursor. The other names are those of the entry that it becomes.

    Raises InvalidCursorError, ResetReasonRequiredError.
    """

    key: CursorKey
    version: int
    previous_sequence: int
    sequence: int
    reason: str
    delivery_id: str = ""
    delivered_at: datetime | None = None
    occurred_at: datetime | None = None
    metadata: Mapping[str, str] = attrs.field(factory=dict, hash=False)

    def __attrs_post_init__(self) -> None:
        fields.set_field(self, "version", fields.sequence(self.version, "version", least=0))
        fields.set_field(
            self,
            "previous_sequence",
            fields.sequence(self.previous_sequence, "previous_sequence", least=0),
        )
        # What the request would refuse is refused now, and kept as the request has it.
        request = self.request
        fields.set_field(self, "sequence", request.last_sequence)
        fields.set_field(self, "reason", request.reason)
        fields.set_field(self, "delivery_id", request.last_delivery_id)
        fields.set_field(self, "delivered_at", request.last_delivered_at)
        fields.set_field(self, "occurred_at", request.now)
        fields.set_field(self, "metadata", request.metadata)

    @property
    def request(self) -> ResetCursor:
        """What is asked of the ledger: the reset, if the cursor is still at `version`."""
        return ResetCursor(
            self.key,
            self.sequence,
            self.reason,
            last_delivery_id=self.delivery_id,
            last_delivered_at=self.delivered_at,
            now=self.occurred_at,
            expected_version=self.version,
            metadata=self.metadata,
        )

    @property
    def delivered_again(self) -> Range | None:
        """The sequences that will be delivered again; None unless it goes back."""
        return self._crossed(Direction.BACK)

    @property
    def passed_over(self) -> Range | None:
        """The sequences that will be passed over; None unless it goes forward."""
        return self._crossed(Direction.FORWARD)

    def _crossed(self, towards: Direction) -> Range | None:
        start, end = self.previous_sequence, self.sequence
        return Range.between(start, end) if Direction.between(start, end) is towards else None


@attrs.frozen
class ResetPlan:
    """Resets of several cursors, to be made together or not at all.

    Where there are several, their entries share a `batch` in their metadata.
    """

    resets: tuple[PlannedReset, ...]

    def __attrs_post_init__(self) -> None:
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
    ) -> ResetPlan:
        """Plan to reset the cursors of `keys`; nothing is changed yet.

        Where to is said by one of four: `to`, a sequence; `by`, so many sequences further or back;
        `as_of`, where each cursor stood at a moment, under the delivery id that it had; `like`,
        where another cursor stands. With `to`, a cursor that does not exist would be made.

        Raises InvalidCursorError, ResetReasonRequiredError, CursorNotFoundError,
        ImpossiblePlanError.
        """
        goal = _goal(book, to=to, by=by, moment=as_of, like=like)

        def planned(key: CursorKey, current: Cursor | None) -> PlannedReset:
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
            )

        return cls._of(book, keys, planned)

    @classmethod
    def undo(
        cls,
        book: Ledger,
        keys: Iterable[CursorKey],
        *,
        reason: str = "",
        now: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ResetPlan:
        """Plan to compensate the last reset of each cursor: back to where it was before.

        The reason names the reset that is undone, and `undoes` in the metadata its position. The
        undone reset stays in the log, as everything does.

        Raises InvalidCursorError, CursorNotFoundError, ImpossiblePlanError if a cursor was never
        reset, or has been back where it was since.
        """

        def planned(key: CursorKey, current: Cursor | None) -> PlannedReset:
            if current is None:
                raise CursorNotFoundError(key)
            entry, event = _last_reset(book, key)
            there = event.previous_sequence
            if event.sequence < there <= current.last_sequence:
                raise ImpossiblePlanError(
                    f"{key} was reset from {there} to {event.sequence} at position "
                    f"{entry.position}, and has been back since: it is at {current.last_sequence}. "
                    "There is nothing left to undo."
                )
            before = as_of_version(book, key, entry.version - 1)
            named = f"undoes the reset at position {entry.position} by {entry.actor}"
            return PlannedReset(
                key=key,
                version=current.version,
                previous_sequence=current.last_sequence,
                sequence=there,
                reason=f"{reason} ({named})" if reason.strip() else named,
                delivery_id=before.last_delivery_id if before else "",
                delivered_at=before.last_delivered_at if before else None,
                occurred_at=now,
                metadata={**(metadata or {}), UNDOES: str(entry.position)},
            )

        return cls._of(book, keys, planned)

    @classmethod
    def _of(
        cls,
        book: Ledger,
        keys: Iterable[CursorKey],
        planned: Callable[[CursorKey, Cursor | None], PlannedReset],
    ) -> ResetPlan:
        resets = [planned(key, _current(book, key)) for key in keys]
        if len(resets) > 1:
            batch = uuid.uuid4().hex
            resets = [
                attrs.evolve(reset, metadata={BATCH: batch, **reset.metadata}) for reset in resets
            ]
        return cls(tuple(resets))

    # --- keeping it ---

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan to a file, one JSON object a reset; what is there is replaced.

        Raises OSError.
        """
        Path(path).write_text("".join(f"{line}\n" for line in self.lines()), "utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ResetPlan:
        """Read a plan that was saved.

        Raises InvalidCursorError, which names the line, ResetReasonRequiredError, OSError.
        """
        with Path(path).open("rb") as file:
            return cls.of_lines(file)

    def lines(self) -> Iterator[str]:
        """Give the plan as JSON, an object for each reset."""
        return (codec.dumps(_plain(reset)) for reset in self.resets)

    @classmethod
    def of_lines(cls, lines: Iterable[str | bytes]) -> ResetPlan:
        """Give the plan that JSON lines hold; blank ones are passed over.

        Raises InvalidCursorError, which names the line, ResetReasonRequiredError.
        """
        resets = []
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    resets.append(_planned(codec.loads(line)))
                except InvalidCursorError as error:
                    raise InvalidCursorError(
                        f"line {number} is no planned reset: {error}"
                    ) from None
        return cls(tuple(resets))

    # --- doing it ---

    def check(self, book: Ledger) -> None:
        """See that every cursor is still at the version that it was planned at.

        Raises VersionConflictError at the first that is not.
        """
        for reset in self.resets:
            current = _current(book, reset.key)
            if reset.version != (current.version if current else 0):
                raise VersionConflictError(current, reset.request)

    def apply(self, book: Ledger, *, actor: str = "") -> list[Cursor]:
        """Make all resets in one transaction, and give the cursors; or none of them.

        Raises VersionConflictError if anything was appended to one of the cursors since it was
        planned, ActorRequiredError.
        """
        return book.append(attrs.evolve(reset.request, actor=actor) for reset in self.resets)


class ImpossiblePlanError(LedgerError):
    """What the log says of a cursor leaves nowhere to reset it to."""


@attrs.frozen
class _Place:
    """Where a cursor is to stand, and under which delivery."""

    sequence: int
    delivery_id: str = ""
    delivered_at: datetime | None = None

    @classmethod
    def of(cls, cursor: Cursor) -> _Place:
        return cls(cursor.last_sequence, cursor.last_delivery_id, cursor.last_delivered_at)


def _goal(
    book: Ledger,
    *,
    to: int | None,
    by: int | None,
    moment: Moment | None,
    like: CursorKey | None,
) -> Callable[[CursorKey, Cursor | None], _Place]:
    """Give the function that says where a cursor is to go."""
    if [to, by, moment, like].count(None) != 3:
        raise InvalidCursorError("say where to by exactly one of to, by, as_of and like.")
    if by is not None:
        step = fields.sequence(by, "by", least=-fields.SEQUENCE_MAX)

        def by_step(key: CursorKey, current: Cursor | None) -> _Place:
            start = current.last_sequence if current else 0
            if not 0 <= start + step <= fields.SEQUENCE_MAX:
                raise ImpossiblePlanError(
                    f"{key} is at {start}; by {step:+} it would be at {start + step}, which is "
                    f"outside 0 to {fields.SEQUENCE_MAX}."
                )
            return _Place(start + step)

        return by_step
    if moment is not None:

        def as_it_stood(key: CursorKey, _: Cursor | None) -> _Place:
            then = as_of(book, key, moment)
            if then is None:
                raise ImpossiblePlanError(
                    f"{key} had no entry yet at {_shown(moment)}; choose a later moment."
                )
            return _Place.of(then)

        return as_it_stood
    if like is not None:
        there = _Place(book.get(like).last_sequence)
    else:
        there = _Place(fields.sequence(to, "to", least=0))
    return lambda _, __: there


def _current(book: Ledger, key: CursorKey) -> Cursor | None:
    try:
        return book.get(key)
    except CursorNotFoundError:
        return None


def _last_reset(book: Ledger, key: CursorKey) -> tuple[Entry, CursorReset]:
    query = EntryQuery(key=key, kinds=(CursorReset,), newest_first=True, limit=1)
    for entry in book.entries(query):
        if isinstance(entry.event, CursorReset):
            return entry, entry.event
    raise ImpossiblePlanError(f"{key} was never reset; there is nothing to undo.")


def _shown(moment: Moment) -> str:
    return codec.show_time(moment) if isinstance(moment, datetime) else f"position {moment}"


# --- as JSON ---

# What follows from the rest is written for whoever looks at the file, and not read again.
_DERIVED = ("delivered_again", "passed_over")


def _plain(reset: PlannedReset) -> dict[str, object]:
    plain: dict[str, object] = codec.unstructure(reset)
    return {**plain, **{name: codec.unstructure(getattr(reset, name)) for name in _DERIVED}}


def _planned(plain: object) -> PlannedReset:
    if not isinstance(plain, dict):
        raise InvalidCursorError(f"it must be an object, not {fields.kind(plain)}.")
    given = {name: value for name, value in plain.items() if name not in _DERIVED}
    known = {field.name: field for field in attrs.fields(PlannedReset)}
    if unknown := sorted(given.keys() - known.keys()):
        raise InvalidCursorError(
            f"{unknown[0]!r:.80} is not known here; it has {', '.join(known)}."
        )
    for name, field in known.items():
        if field.default is attrs.NOTHING and name not in given:
            raise InvalidCursorError(f"{name} is missing.")
    given["key"] = codec.structure(given["key"], CursorKey)
    for name in ("delivered_at", "occurred_at"):
        if given.get(name) is not None:
            given[name] = codec.parse_time(fields.storable(given[name], name), name)
    return PlannedReset(**given)
