"""What requests are called in JSON: `{"op": "advance", "advance": {…}}`."""

from __future__ import annotations

from collections.abc import Mapping

from ledger.law.requests import AdvanceCursor, RecordError, Request, ResetCursor, StartCursor
from ledger.law.tokens import ConfirmToken

__all__ = ["OPS"]

OPS: Mapping[str, type[Request]] = {
    "advance": AdvanceCursor,
    "confirm": ConfirmToken,
    "reset": ResetCursor,
    "error": RecordError,
    "start": StartCursor,
}
