"""What a caller is told of the answers to the groups of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.errors import LedgerError
from ledger.law.cursor import Cursor

if TYPE_CHECKING:
    from ledger.writing.commit import Answer

__all__ = ["each", "one", "whole"]


def one(answers: list[Answer]) -> Cursor:
    """Return the cursor after the only request of the only group, or raise its refusal."""
    [answer] = answers
    if isinstance(answer, LedgerError):
        raise answer
    return answer[0]


def whole(answers: list[Answer]) -> list[Cursor]:
    """Return the cursors after the requests of the only group, or raise its refusal."""
    [answer] = answers
    if isinstance(answer, LedgerError):
        raise answer
    return answer


def each(answers: list[Answer]) -> list[Cursor | LedgerError]:
    """Return the cursor or the refusal of each group, which has one request."""
    return [answer if isinstance(answer, LedgerError) else answer[0] for answer in answers]
