"""The one place where entries are born: the law is asked, the chain continued, both stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import islice
from typing import TypeAlias

from ledger import notices
from ledger.errors import InvalidCursorError, LedgerError
from ledger.evidence.digests import GENESIS, digest_of
from ledger.law import fields, rules
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.refusals import ActorRequiredError, VersionConflictError
from ledger.law.requests import Request, ResetCursor
from ledger.log.heads import Head, make_head
from ledger.log.rows import Content, content_of
from ledger.log.text import micros
from ledger.stores import Appending, Draft

__all__ = ["Answer", "Group", "commit", "commit_free"]

Group: TypeAlias = Sequence[Request]
"""Requests that are appended together or not at all."""

Answer: TypeAlias = list[Cursor] | LedgerError
"""What a group is told: the cursor after each of its requests, or why none was appended."""


def commit(
    transaction: Appending,
    groups: Sequence[Group],
    *,
    actor: str,
    clock: Callable[[], datetime],
    require_epoch: bool = False,
) -> list[Answer]:
    """Append what `groups` ask for, in order; answer each on its own.

    A group is recorded at one moment. One that is refused leaves nothing behind, and the others go
    on. `actor` stands in where a request names none. With `require_epoch`, an advance needs one.
    """
    if len(groups) == 1 and len(groups[0]) == 1:
        return [_append_alone(transaction, groups[0][0], actor, clock, require_epoch=require_epoch)]
    try:
        transaction.hold(request.key for group in groups for request in group)
    except _MISFITS as error:
        raise _unsound(error) from error
    return _append(transaction, groups, actor, clock, require_epoch=require_epoch)


def commit_free(
    transaction: Appending,
    calls: Sequence[Sequence[Group]],
    *,
    actor: str,
    clock: Callable[[], datetime],
    require_epoch: bool = False,
) -> list[list[Answer] | None]:
    """Append what `calls` ask for, each of them groups, but wait for no cursor that others hold.

    A call that wants one is left out, and has None for its answers; so are those behind it that
    want one of its cursors, so that what is asked of a cursor is appended in that order.
    """
    keys = (request.key for call in calls for group in call for request in group)
    try:
        held = set(transaction.hold_free(keys))
    except _MISFITS as error:
        raise _unsound(error) from error
    if not held and all(len(call) == 1 for call in calls):
        # As it mostly is: nobody is in the way, and each call has one group.
        answered = _append(
            transaction, [call[0] for call in calls], actor, clock, require_epoch=require_epoch
        )
        return [[answer] for answer in answered]
    free = [_is_free(call, held) for call in calls]
    groups = [group for call, goes in zip(calls, free, strict=True) if goes for group in call]
    answers = iter(_append(transaction, groups, actor, clock, require_epoch=require_epoch))
    return [
        list(islice(answers, len(call))) if goes else None
        for call, goes in zip(calls, free, strict=True)
    ]


def _is_free(call: Sequence[Group], held: set[CursorKey]) -> bool:
    """Say whether none of the cursors of `call` is held; if one is, hold all of them."""
    keys = {request.key for group in call for request in group}
    if held.isdisjoint(keys):
        return True
    held |= keys
    return False


def _append_alone(
    transaction: Appending,
    request: Request,
    actor: str,
    clock: Callable[[], datetime],
    *,
    require_epoch: bool,
) -> Answer:
    """Append one request, which needs none of the bookkeeping of several."""
    try:
        key = request.key
        transaction.hold((key,))
    except _MISFITS as error:
        raise _unsound(error) from error
    try:
        now = fields.moment(clock(), "the ledger's clock")
        try:
            draft = _entry(transaction.head(key), request, actor, now, require_epoch=require_epoch)
        except _MISFITS as error:
            raise _unsound(error) from error
    except LedgerError as error:
        transaction.confirm()
        _notice(error, actor)
        return error
    head, _ = draft
    transaction.append((draft,), (head,))
    return [head.cursor]


def _append(
    transaction: Appending,
    groups: Sequence[Group],
    actor: str,
    clock: Callable[[], datetime],
    *,
    require_epoch: bool,
) -> list[Answer]:
    heads: dict[CursorKey, Head] = {}
    drafts: list[Draft] = []
    answers: list[Answer] = []
    for group in groups:
        begun = len(drafts)
        try:
            now = fields.moment(clock(), "the ledger's clock")
            for request in group:
                key = request.key
                try:
                    draft = _entry(
                        heads.get(key) or transaction.head(key),
                        request,
                        actor,
                        now,
                        require_epoch=require_epoch,
                    )
                except _MISFITS as error:
                    raise _unsound(error) from error
                heads[key] = draft[0]
                drafts.append(draft)
        except LedgerError as error:
            transaction.confirm()
            if len(drafts) > begun:
                # The group leaves nothing behind: the heads are again what the others made them.
                del drafts[begun:]
                heads.clear()
                heads.update((head.cursor.key, head) for head, _ in drafts)
            _notice(error, actor)
            answers.append(error)
        else:
            answers.append([head.cursor for head, _ in drafts[begun:]])
    if drafts:
        transaction.append(drafts, heads.values())
    return answers


def _entry(
    head: Head | None, request: Request, actor: str, now: datetime, *, require_epoch: bool
) -> tuple[Head, Content]:
    cursor_id, before, recorded_at, digest = None, None, micros(now), GENESIS
    if head is not None:
        cursor_id, before, digest = head.cursor_id, head.cursor, head.digest
        # The system's clock may be set back; the ledger's own time does not go back within a
        # cursor.
        recorded_at = max(recorded_at, head.recorded_at)
    event = rules.decide(before, request, actor=actor, now=now, require_epoch=require_epoch)
    cursor = rules.evolve(before, request.key, event)
    content = content_of(
        request.key,
        cursor.version,
        cursor.epoch,
        recorded_at,
        request.actor or actor,
        request.metadata,
        event,
    )
    head = make_head(
        cursor_id=cursor_id,
        cursor=cursor,
        recorded_at=recorded_at,
        digest=digest_of(digest, content),
    )
    return head, content


# What comes of a request that was changed after it was made, by ways that Python cannot close. It
# is refused alone where it can be; those beside it are appended.
_MISFITS = (AttributeError, TypeError, ValueError, OverflowError)


def _unsound(error: Exception) -> InvalidCursorError:
    return InvalidCursorError(
        f"a request was changed after it was made, to what cannot be appended: {error!s:.200}. "
        "Make another one."
    )


def _notice(error: LedgerError, actor: str) -> None:
    """Log the refusal of a reset; an advance that is refused is everyday business."""
    if not isinstance(error, ActorRequiredError | VersionConflictError):
        return
    request = error.request
    if isinstance(request, ResetCursor):
        notices.RESET_REFUSED.report(
            key=request.key,
            to=request.last_sequence,
            actor=request.actor or actor,
            refusal=type(error).__name__,
            cause=error,
        )
