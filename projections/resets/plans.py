"""Resets, planned: looked at, kept in a file, and made only if nothing has changed since."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

import attrs

# What few plans need is imported by those.
import ledger as books
import projections
from ledger import (
    CursorKey,
    InvalidCursorError,
    Ledger,
    files,
)
from ledger.law import fields
from ledger.opening import utc_now
from projections.coroutines import blocking
from projections.cursors import Moment
from projections.given import check_keys
from projections.resets import applying, goals, headers, marks, plan_files, planning
from projections.resets.goals import ImpossiblePlanError
from projections.resets.groups import group_at
from projections.resets.identity import LedgerMark
from projections.resets.missing import LeftOut, Missing
from projections.resets.missing import missing as checked_missing
from projections.resets.planned import PlannedReset

__all__ = ["ImpossiblePlanError", "PlannedReset", "ResetPlan"]


@attrs.frozen
class ResetPlan:
    """Resets of several cursors, to be made together or not at all.

    Where there are several, their entries share a `cursor-ledger/batch` in their metadata.
    `planned_by` and `planned_at` say who made the plan and when, `ledger` what its ledger is known
    by. `digest` is that of the file that it was read from, if it was. `expires_at` is until when it
    may be applied, None for ever. `signatures` are those that it has been given.

    `resets` are the ones that are planned, and `left_out` the cursors that were meant, and are not
    reset, each with the reason.

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
    left_out: tuple[LeftOut, ...] = attrs.field(default=(), kw_only=True)
    expires_at: datetime | None = attrs.field(default=None, kw_only=True)
    # Not for whoever makes another plan of this one: it would no longer be the plan in the file,
    # nor the one that was signed.
    digest: str = attrs.field(default="", init=False, eq=False)
    signatures: projections.Signatures | None = attrs.field(default=None, init=False, eq=False)

    def __attrs_post_init__(self) -> None:
        fields.set_field(self, "planned_by", fields.text(self.planned_by, "planned_by"))
        if self.expires_at is not None:
            fields.set_field(self, "expires_at", fields.moment(self.expires_at, "expires_at"))
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
        keys: Iterable[CursorKey] = (),
        *,
        reason: str,
        to: int | Mapping[CursorKey, int] | None = None,
        by: int | None = None,
        as_of: Moment | None = None,
        stream_as_of: Moment | None = None,
        like: CursorKey | None = None,
        missing: Missing | None = None,
        delivery_id: str = "",
        delivered_at: datetime | None = None,
        now: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
        planned_by: str = "",
    ) -> ResetPlan:
        """Plan to reset the cursors of `keys` in `book`; nothing is changed yet.

        `reason`, `delivery_id`, `delivered_at`, `now` and `metadata` are those of `Ledger.reset`,
        for each of the entries. `planned_by` says who plans it, for its file and its signature.

        Where to is said by one of five: `to`, a sequence for all; `by`, so many sequences further
        or back; `as_of`, where each cursor stood at a moment, under the delivery id that it had;
        `stream_as_of`, where the head of its stream and subject stood at a moment; `like`, where
        another cursor stands. Where each cursor has a sequence of its own, `to` is a mapping from
        key to sequence, and `keys` is left out.

        `missing` says what becomes of a cursor that does not exist, or when it, or the head, had no
        entry at that moment.
        If it is None, a cursor that does not exist would be made by a number for all, and anything
        else is refused.

        On a stream of tokens, each cursor numbers them for itself. There a place is named with the
        token that the cursor confirmed as that sequence, and refused if it confirmed none and
        `delivery_id` is empty; `like` looks for the other's token, and `stream_as_of` is refused.

        Raises InvalidCursorError, ResetReasonRequiredError, CursorNotFoundError,
        ImpossiblePlanError.

        >>> import ledger
        >>> from projections import ResetPlan
        >>> north, south = (ledger.CursorKey("mailer", "orders", name) for name in ("n", "s"))
        >>> with ledger.open(":memory:", actor="ines") as book:
        ...     cursors = [book.advance(key, to=44) for key in (north, south)]
        ...     plan = ResetPlan.make(book, to={north: 41, south: 12}, reason="mails bounced")
        ...     [cursor.last_sequence for cursor in plan.apply(book)]
        [41, 12]
        """
        blocking(book, "await book.run(ResetPlan.make, keys, …)")
        check_keys(keys)
        policy = checked_missing(missing)
        marks.check_given(metadata)
        if isinstance(to, Mapping):
            if tuple(keys):
                raise InvalidCursorError("to has the keys in it already; leave out keys.")
            keys = to
            policy = policy or Missing.REFUSE
        plan = planning.to_place(
            book,
            goals.goal(book, to=to, by=by, moment=as_of, stream_moment=stream_as_of, like=like),
            missing=policy,
            reason=reason,
            delivery_id=delivery_id,
            delivered_at=delivered_at,
            now=now,
            metadata=metadata,
        )
        return cls._made(book, planning.planned(book, keys, plan, policy), planned_by)

    @classmethod
    def undo(
        cls,
        book: Ledger,
        keys: Iterable[CursorKey] = (),
        *,
        group: int | None = None,
        missing: Missing | None = None,
        reason: str = "",
        now: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
        planned_by: str = "",
    ) -> ResetPlan:
        """Plan to compensate the last reset of each cursor of `keys`: back to where it was before.

        `group` is the position of a reset, and stands for all resets that were made together with
        it, instead of `keys`. A cursor that was reset again since is refused. `book`, `now`,
        `metadata` and `planned_by` are as for `make`.

        The reason names the reset that is undone, after `reason` if that is given, and `undoes` in
        the metadata its position. The undone reset stays in the log, as everything does.

        `missing` says what becomes of a cursor that has nothing to undo: with `"skip"`, it is left
        out; by default, the plan is refused. `"zero"` always is.

        Raises InvalidCursorError, CursorNotFoundError, ImpossiblePlanError if a cursor was never
        reset, or has been back where it was since; LedgerBusyError if on PostgreSQL a transaction
        holds up readers of the log, so that a part of the group might be missed.

        >>> import ledger
        >>> from projections import ResetPlan
        >>> north, south = (ledger.CursorKey("mailer", "orders", name) for name in ("n", "s"))
        >>> with ledger.open(":memory:", actor="ines") as book:
        ...     cursors = [book.advance(key, to=44) for key in (north, south)]
        ...     cursors = ResetPlan.make(book, [north, south], to=0, reason="mistake").apply(book)
        ...     plan = ResetPlan.undo(book, group=3)
        ...     [cursor.last_sequence for cursor in plan.apply(book)]
        [44, 44]
        """
        blocking(book, "await book.run(ResetPlan.undo, keys, …)")
        check_keys(keys)
        policy = checked_missing(missing)
        marks.check_given(metadata)
        together = None
        if group is not None:
            if tuple(keys):
                raise InvalidCursorError("name cursors by keys or by group, not by both.")
            together = group_at(book, group)
            if together is None:
                raise ImpossiblePlanError(f"no reset was made at position {group}.")
            keys = together.positions
        plan = planning.undoing(
            book, group=together, missing=policy, reason=reason, now=now, metadata=metadata
        )
        return cls._made(book, planning.planned(book, keys, plan, policy), planned_by)

    @classmethod
    def _made(cls, book: Ledger, planned: planning.Planned, planned_by: str) -> ResetPlan:
        resets, left_out = planned
        return cls(
            resets,
            left_out=left_out,
            planned_by=planned_by,
            planned_at=utc_now(),
            ledger=LedgerMark.of(book),
        )

    # --- keeping it ---

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan to the file `path`: a header, and one JSON object a reset.

        A plan that is there is replaced. Only its owner may read the file, and it is written whole
        or not at all. A database, and anything but a plain file, is never overwritten.

        The header has a digest over all of it, so that `load` notices what is changed. It
        is not a signature: anybody who can write the file can compute it again.

        Raises InvalidCursorError if the metadata has no room for what `apply` adds, OSError.

        >>> import ledger, tempfile
        >>> from projections import ResetPlan
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with tempfile.TemporaryDirectory() as folder, ledger.open(":memory:") as book:
        ...     plan = ResetPlan.make(book, [key], to=41, reason="receiver lost 42 and 43")
        ...     plan.save(f"{folder}/plan.jsonl")
        ...     ResetPlan.load(f"{folder}/plan.jsonl") == plan
        True
        """
        files.write(path, "".join(f"{line}\n" for line in self.lines()).encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ResetPlan:
        """Read a plan that was saved in the file `path`.

        Raises InvalidCursorError if it was changed since, OSError.

        >>> import ledger, pathlib, tempfile
        >>> from projections import ResetPlan
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with tempfile.TemporaryDirectory() as folder, ledger.open(":memory:") as book:
        ...     file = pathlib.Path(folder, "plan.jsonl")
        ...     ResetPlan.make(book, [key], to=41, reason="receiver lost 42").save(file)
        ...     edited = file.write_text(file.read_text().replace("lost 42", "lost 12"))
        ...     try:
        ...         ResetPlan.load(file)
        ...     except ledger.InvalidCursorError as error:
        ...         print(str(error).partition(":")[0])
        the plan was changed since it was planned
        """
        with Path(path).open("rb") as file:
            return cls.of_lines(iter(lambda: file.readline(plan_files.LINE_BYTES_MAX + 1), b""))

    def lines(self) -> Iterator[str]:
        """Return the plan as JSON: a header, and an object for each reset.

        Raises InvalidCursorError if the metadata has no room for what `apply` adds.

        >>> import json, ledger
        >>> from projections import ResetPlan
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:") as book:
        ...     header, line = ResetPlan.make(book, [key], to=41, reason="start at 42").lines()
        >>> json.loads(line)["sequence"]
        41
        """
        for reset in self.resets:
            marks.check_room(reset, self._marks("0" * 64))
        header = headers.header(
            ledger=self.ledger,
            planned_by=self.planned_by,
            planned_at=self.planned_at,
            left_out=self.left_out,
            expires_at=self.expires_at,
        )
        return iter(plan_files.seal(header, [reset.plain for reset in self.resets]))

    @classmethod
    def of_lines(cls, lines: Iterable[str | bytes]) -> ResetPlan:
        """Return the plan that the JSON `lines` hold: as text, or in UTF-8.

        Raises InvalidCursorError if they were changed since it was planned.

        >>> import ledger
        >>> from projections import ResetPlan
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:") as book:
        ...     plan = ResetPlan.make(book, [key], to=41, reason="start at 42", planned_by="ines")
        >>> ResetPlan.of_lines(plan.lines()).planned_by
        'ines'
        """
        header, resets, digest = plan_files.unseal(lines)
        made = []
        for number, plain in enumerate(resets, 2):
            try:
                made.append(PlannedReset.of_plain(plain))
            except InvalidCursorError as error:
                raise InvalidCursorError(f"line {number} is not a planned reset: {error}") from None
        return cls(tuple(made), **headers.read(header))._with(digest)

    # --- signing it ---

    @property
    def text(self) -> books.PlanText:
        """What is signed of the plan. Raises InvalidCursorError if it does not say enough."""
        from projections.resets import signing

        return signing.text_of(self._in_file())

    signed = applying.signed
    approved = applying.approved

    # --- doing it ---

    adding = applying.adding
    check = applying.check
    apply = applying.apply

    def _metadata(self, own: Mapping[str, str]) -> Iterable[Mapping[str, str]]:
        if self.signatures is None:
            return [{**reset.metadata, **own} for reset in self.resets]
        from projections.resets import signing

        return signing.metadata_of(self, self.signatures, own)

    def _in_file(self) -> ResetPlan:
        """Return the plan as it is in a file, whose digest is signed as well."""
        return self if self.digest else ResetPlan.of_lines(self.lines())

    def _having(self, signatures: projections.Signatures) -> ResetPlan:
        plan = attrs.evolve(self)._with(self.digest)
        fields.set_field(plan, "signatures", signatures)
        return plan

    def _with(self, digest: str) -> ResetPlan:
        fields.set_field(self, "digest", digest)
        return self

    def _marks(self, digest: str) -> dict[str, str]:
        return marks.of_file(digest, planned_by=self.planned_by, planned_at=self.planned_at)
