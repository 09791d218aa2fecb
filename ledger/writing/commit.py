"""The one place where entries are born: the law is asked, the chain continued, both stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from ledger import notices
from ledger.errors import InvalidCursorError, LedgerError
from ledger.evidence.digests import GENESIS, digest_of
from ledger.law import fields, rules
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.requests import Request, ResetCursor
from ledger.log.heads import Head, make_head
from ledger.log.rows import Content, content_of
from ledger.log.text import micros
from ledger.stores import Appending, AppendingFree, Draft, Governed

if TYPE_CHECKING:
    from ledger.law.policies import PolicyChange

__all__ = ["Answer", "Group", "commit", "commit_free", "draft_of", "keys_of", "note_refusal"]

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
    transaction: AppendingFree,
    calls: Sequence[Sequence[Group]],
    *,
    actor: str,
    clock: Callable[[], datetime],
    require_epoch: bool = False,
) -> list[list[Answer] | None]:
    """Append what `calls` ask for, each of them groups, but wait for no cursor that others hold.

    A call that needs such a cursor is left out, and has None for its answers. Calls behind it that
    need one of its cursors are left out as well, so that each cursor gets its entries in order.
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


def keys_of(groups: Sequence[Group]) -> list[CursorKey]:
    """Return the keys that `groups` ask for, each once.

    Raises InvalidCursorError if a request was changed after it was made.
    """
    try:
        return list(dict.fromkeys(request.key for group in groups for request in group))
    except _MISFITS as error:
        raise _unsound(error) from error


def _is_free(call: Sequence[Group], held: set[CursorKey]) -> bool:
    """Return whether none of the cursors of `call` is held; if one is, add all to `held`."""
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
            before = transaction.head(key)
            draft = draft_of(before, request, actor, now, require_epoch=require_epoch)
        except _MISFITS as error:
            raise _unsound(error) from error
        if type(request) is ResetCursor:
            _judge(_policies(transaction), before, request)
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
    policies: Sequence[PolicyChange] | None = None
    for group in groups:
        begun = len(drafts)
        try:
            now = fields.moment(clock(), "the ledger's clock")
            for request in group:
                key = request.key
                try:
                    before = heads.get(key) or transaction.head(key)
                    draft = draft_of(before, request, actor, now, require_epoch=require_epoch)
                except _MISFITS as error:
                    raise _unsound(error) from error
                if type(request) is ResetCursor:
                    if policies is None:
                        policies = _policies(transaction)
                    _judge(policies, before, request)
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


def _policies(transaction: Governed) -> Sequence[PolicyChange]:
    # Imported here, because only a reset is judged by policies.
    from ledger.law.policies import in_force

    return in_force(transaction.policies())


def _judge(policies: Sequence[PolicyChange], before: Head | None, request: ResetCursor) -> None:
    from ledger.law.policies import judge

    judge(policies, before.cursor if before else None, request)


def draft_of(
    head: Head | None, request: Request, actor: str, now: datetime, *, require_epoch: bool = False
) -> tuple[Head, Content]:
    """Return the entry that `request` makes behind `head`, and the head after it.

    Raises the refusal of the law.
    """
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


# What a request raises that was changed after it was made, which Python cannot prevent. Where it
# can be refused alone, the requests beside it are appended.
_MISFITS = (AttributeError, TypeError, ValueError, OverflowError)


def _unsound(error: Exception) -> InvalidCursorError:
    return InvalidCursorError(
        f"a request was changed after it was made, to what cannot be appended: {error!s:.200}. "
        "Make another one."
    )


def _notice(error: LedgerError, actor: str) -> None:
    """Log the refusal of a reset; an advance that is refused is everyday business."""
    request = getattr(error, "request", None)
    if isinstance(request, ResetCursor):
        note_refusal(error, request.key, request.last_sequence, request.actor or actor)


def note_refusal(error: LedgerError, key: CursorKey, to: int, actor: str) -> None:
    """Log that a reset of `key` was refused, by the error that says why."""
    notices.RESET_REFUSED.report(
        key=key, to=to, actor=actor, refusal=type(error).__name__, cause=error
    )
