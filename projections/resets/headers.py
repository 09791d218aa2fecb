"""What is said of a plan as a whole, in the first line of its file."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ledger import CursorKey, InvalidCursorError
from ledger.log.json import structure, unstructure
from projections.resets.identity import LedgerMark
from projections.resets.missing import LeftOut
from projections.resets.planned import read_time

__all__ = ["header", "read"]

_NAMES = ("ledger", "planned_by", "planned_at")
_LEFT_OUT, _EXPIRES_AT = "left_out", "expires_at"


def header(
    *,
    ledger: LedgerMark | None,
    planned_by: str,
    planned_at: datetime | None,
    left_out: Iterable[LeftOut],
    expires_at: datetime | None = None,
) -> dict[str, object]:
    """Return a header; what is left out stands in it only if anything is, as does an expiry."""
    said: dict[str, object] = {
        "ledger": unstructure(ledger),
        "planned_by": planned_by,
        "planned_at": unstructure(planned_at),
    }
    if expires_at is not None:
        said[_EXPIRES_AT] = unstructure(expires_at)
    left = [unstructure(each) for each in left_out]
    return {**said, _LEFT_OUT: left} if left else said


def read(header: dict[str, Any]) -> dict[str, Any]:
    """Return what a header says, as the fields of a plan. Raises InvalidCursorError."""
    left_out = header.get(_LEFT_OUT, [])
    if header.keys() - {_LEFT_OUT, _EXPIRES_AT} != set(_NAMES) or not isinstance(left_out, list):
        raise InvalidCursorError(f"the header of a plan has {', '.join(_NAMES)}.")
    return {
        "ledger": LedgerMark.of_plain(header["ledger"]),
        "planned_by": header["planned_by"],
        "planned_at": read_time(header["planned_at"], "planned_at"),
        "left_out": tuple(map(_left_out, left_out)),
        "expires_at": read_time(header.get(_EXPIRES_AT), _EXPIRES_AT),
    }


def _left_out(plain: object) -> LeftOut:
    if not isinstance(plain, dict) or plain.keys() != {"key", "why"}:
        raise InvalidCursorError("left_out, in a plan, is a list of objects of key and why.")
    return LeftOut(key=structure(plain["key"], CursorKey), why=plain["why"])
