"""Values as plain JSON values: what is written by hand is what cattrs would write."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import attrs
import pytest
from cattrs import Converter

import ledger
from ledger.log.ops import OPS
from ledger.log.plain import unstructure
from ledger.log.rows import TAGS
from ledger.log.text import dumps, show_time

KEY = ledger.CursorKey("webhooks", "orders/eu", "customer-7")
MORNING = datetime(2026, 3, 8, 6, 30, 0, 12, tzinfo=UTC)


def by_cattrs(value: object) -> object:
    """Return what cattrs makes of a value: the model, which knows nothing of how we write it."""
    converter = Converter()
    converter.register_unstructure_hook(datetime, show_time)
    converter.register_unstructure_hook(bytes, bytes.hex)
    converter.register_unstructure_hook(
        ledger.Event,
        lambda event: {
            "tag": TAGS[type(event)],
            **converter.unstructure(event, unstructure_as=type(event)),
        },
    )
    plain = converter.unstructure(value)
    for op, kind in OPS.items():
        if type(value) is kind:
            return {"op": op, op: plain}
    return plain


@attrs.frozen
class Nested:
    """What views have: values in lists, in mappings, none, and a field that is worked out."""

    keys: tuple[ledger.CursorKey, ...] = (KEY, ledger.CursorKey("a", "b"))
    at: datetime | None = MORNING
    never: datetime | None = None
    ratio: float = 0.5
    outcome: ledger.Outcome = ledger.Outcome.SKIPPED
    digest: bytes = b"\0\xff"
    pairs: Mapping[str, str] = attrs.field(factory=lambda: {"ü": "\N{SNOWMAN}"})
    worked_out: int = attrs.field(init=False, default=7)


def values() -> list[object]:
    with ledger.open(":memory:", actor="ines", clock=lambda: MORNING) as book:
        book.start(KEY, at=3, reason="began elsewhere")
        book.advance(KEY, to=44, delivery_id="msg-44", metadata={"b": "2", "a": "1"})
        book.reset(KEY, to=0, reason="lost 42")
        cursor = book.record_error(KEY, "HTTP 503")
        entries = list(book.history(KEY))
        seen: list[object] = [cursor, book.horizon(), book.verify(), book.checkpoint(), *entries]
    return [
        *seen,
        *(entry.event for entry in entries),
        ledger.AdvanceCursor(KEY, 44, now=MORNING, metadata={"a": "1"}),
        ledger.ConfirmToken(KEY, "msg-44", after="msg-43"),
        ledger.ResetCursor(KEY, 41, "why", actor="ines"),
        ledger.RecordError(KEY, "broken"),
        ledger.StartCursor(KEY, 3, "began"),
        KEY,
        Nested(),
        [KEY, None, 1.5, True, "text"],
        {"key": KEY},
        MORNING,
        None,
        2**63 - 1,
    ]


@pytest.mark.parametrize("value", values(), ids=lambda value: type(value).__name__)
def test_a_value_is_written_as_cattrs_would_write_it(value: object) -> None:
    assert dumps(unstructure(value)) == dumps(by_cattrs(value))


def test_a_request_of_a_subclass_is_written_as_its_request() -> None:
    @attrs.frozen
    class Mine(ledger.RecordError):
        """A request with a field of its own."""

        more: str = "mine"

    assert unstructure(Mine(KEY, "broken"))["op"] == "error"
