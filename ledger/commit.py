"""The one place where entries are born: the law is asked, the chain continued, both stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from ledger import chain, codec, fields, rules
from ledger.chain import GENESIS, Head
from ledger.cursor import Cursor, CursorKey
from ledger.errors import LedgerError
from ledger.requests import Request
from ledger.stores import Draft, Transaction

__all__ = ["commit"]


def commit(
    transaction: Transaction,
    requests: Iterable[Request],
    *,
    actor: str,
    clock: Callable[[], datetime],
    refused: Callable[[LedgerError], None] | None = None,
) -> list[Cursor | None]:
    """Append what `requests` ask for, in order; give the cursor after each.

    `actor` stands in where a request names none. The law's refusal of a request ends it all, unless
    `refused` is given: then it is told, the request has None for its cursor, and the others go on.
    """
    heads: dict[CursorKey, Head | None] = {}
    drafts: list[Draft] = []
    changed: dict[CursorKey, Head] = {}
    cursors: list[Cursor | None] = []
    for request in requests:
        key = request.key
        if key not in heads:
            heads[key] = transaction.head(key)
        try:
            draft, head = _entry(heads[key], request, actor=actor, now=clock())
        except LedgerError as error:
            if refused is None:
                raise
            refused(error)
            cursors.append(None)
            continue
        drafts.append(draft)
        heads[key] = changed[key] = head
        cursors.append(head.cursor)
    if drafts:
        transaction.append(drafts, list(changed.values()))
    return cursors


def _entry(head: Head | None, request: Request, *, actor: str, now: datetime) -> tuple[Draft, Head]:
    now = fields.moment(now, "the ledger's clock")
    before = head.cursor if head else None
    event = rules.decide(before, request, actor=actor, now=now)
    cursor = rules.evolve(before, request.key, event)
    # The system's clock may be set back; the ledger's own time does not go back within a cursor.
    recorded_at = max(codec.micros(now), head.recorded_at) if head else codec.micros(now)
    content = codec.content(
        request.key,
        cursor.version,
        cursor.epoch,
        recorded_at,
        request.actor or actor,
        request.metadata,
        event,
    )
    digest = chain.digest(head.digest if head else GENESIS, content)
    after = Head(
        cursor_id=head.cursor_id if head else None,
        cursor=cursor,
        recorded_at=recorded_at,
        digest=digest,
    )
    return Draft(request.key, content, digest), after
