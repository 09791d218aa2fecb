"""How it is shown what becomes of the rows that are adopted."""

from __future__ import annotations

from typing import Any

from ledger.cli.process.hosts import command_name
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.tables import Column, colour
from ledger.cli.typed.names import words
from ledger.exchange.adopting import State, Verdict
from ledger.log.plain import unstructure
from ledger.log.text import visible

__all__ = ["COLUMNS", "FIELDS", "plain"]

FIELDS = (
    "line",
    "consumer_id",
    "stream_name",
    "subject_id",
    "sequence",
    "delivery_id",
    "delivered_at",
    "source",
    "state",
    "current_sequence",
    "detail",
)
"""The columns of the CSV."""


def plain(verdict: Verdict) -> dict[str, Any]:
    """Return what becomes of a row as JSON values."""
    row, current = verdict.row, verdict.current
    return {
        "line": row.line,
        "key": unstructure(row.key),
        "sequence": row.sequence,
        "delivery_id": row.delivery_id,
        "delivered_at": unstructure(row.delivered_at),
        "source": row.origin,
        "state": str(verdict.state),
        "current_sequence": None if current is None else current.last_sequence,
        "detail": _detail(verdict),
    }


def _detail(verdict: Verdict) -> str:
    row, current = verdict.row, verdict.current
    match verdict.state:
        case State.REFUSED:
            return row.problem or str(verdict.error)
        case State.REPEATED:
            return f"says the same as {row.same_as}"
        case State.MOVED_ON if current is not None:
            return f"was started there before, and is at {current.last_sequence} now"
        case State.DIFFERS if current is not None:
            at = f" ({current.last_delivery_id})" if current.last_delivery_id else ""
            return (
                f"is at {current.last_sequence}{at}. To move it: {command_name()} reset "
                f"{words(current.key)} --to {row.sequence} --reason …"
            )
        case State.NOTHING:
            return "has no position to start at"
        case _:
            return ""


def _key(name: str) -> Column:
    heading = name.partition("_")[0]
    return Column(
        heading,
        lambda verdict: "" if verdict.row.key is None else visible(getattr(verdict.row.key, name)),
        kind=Kind.NAME,
        of_cursor=True,
    )


def _state(verdict: Verdict) -> str:
    said = str(verdict.state).replace("_", " ")
    refused = verdict.state in (State.REFUSED, State.DIFFERS)
    return colour(said, "red") if refused else said


COLUMNS = [
    Column("line", lambda verdict: str(verdict.row.line), kind=Kind.NUMBER),
    _key("consumer_id"),
    _key("stream_name"),
    _key("subject_id"),
    Column(
        "sequence",
        lambda verdict: "" if verdict.row.sequence is None else str(verdict.row.sequence),
        kind=Kind.NUMBER,
    ),
    Column(
        "delivery",
        lambda verdict: visible(verdict.row.delivery_id),
        kind=Kind.NAME,
        spared=1,
        field="delivery_id",
    ),
    Column(
        "delivered",
        lambda verdict: verdict.row.delivered_at,
        kind=Kind.TIME,
        spared=1,
        field="delivered_at",
    ),
    Column("from", lambda verdict: visible(verdict.row.origin), spared=1, field="source"),
    Column("state", _state, kind=Kind.WORDS),
    Column("detail", lambda verdict: visible(_detail(verdict))),
]
