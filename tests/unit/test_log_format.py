"""The log format, frozen: tags, digests and the Merkle root, computed here by definition."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ledger
from ledger import (
    Checkpoint,
    CursorAdvanced,
    CursorKey,
    CursorReset,
    CursorStarted,
    ErrorRecorded,
    Ledger,
)
from ledger.evidence.digests import digest_of
from ledger.evidence.merkle import checkpoint_over
from ledger.law.fields import SEQUENCE_MAX
from ledger.log import flat as encoders
from ledger.log.json import unstructure
from ledger.log.rows import TAGS
from support.clock import Clock
from support.cursors import ORDERS
from support.places import GOLDEN

ODD = CursorKey("消费者", 'a "quoted" \\ name\twith\x01controls', "émile \U0001f600\x7f")
BEFORE_1970 = datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


@pytest.fixture(params=["orjson", "our own encoder"], autouse=True)
def encoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run everything with each encoder: the format must not depend on what is installed."""
    assert encoders._fast is not None
    if request.param == "our own encoder":
        monkeypatch.setattr(encoders, "_fast", None)


def write_everything(book: Ledger, clock: Clock) -> None:
    """Append every kind of entry there is, with the values that are easy to write differently."""
    book.advance(ORDERS, to=41, delivery_id="msg-41")
    clock.tick(0.000_001)
    book.advance(
        ORDERS,
        to=SEQUENCE_MAX,
        delivered_at=BEFORE_1970,
        now=datetime(1, 1, 1, tzinfo=UTC),
        outcome=ledger.Outcome.SUPPRESSED,
        actor="Ünïcode\u2028",
        metadata={"z": "1", "a": "é\n", "Ω": "</script>", "\U0001f600": "", "\ufffd": "2"},
    )
    book.record_error(ORDERS, "line\r\nbreak\u0085 \x1b[31m \b\f/")
    book.reset(ORDERS, to=0, reason="again, “please”", actor="ines")
    book.reset(
        ODD,
        to=7,
        reason="start",
        delivery_id="d-7",
        delivered_at=datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        metadata={"ticket": "OPS-12"},
    )
    book.record_error(ODD, "x", actor="ines")
    book.advance(ODD, to=7, delivery_id="d-7", outcome=ledger.Outcome.SKIPPED)


def write_starts(book: Ledger, clock: Clock) -> None:
    """Append the kind of entry that came later, with all that it can have and with nothing."""
    book.start(ORDERS, at=41, source="kafka group mailer", reason="moved from Kafka", actor="ines")
    clock.tick(0.000_001)
    book.start(
        ODD,
        at=SEQUENCE_MAX,
        source='消费者 "\\\u2028',
        reason="line\nbreak \x7f",
        delivery_id="d-9",
        delivered_at=BEFORE_1970,
        now=datetime(1, 1, 1, tzinfo=UTC),
        actor="Ünïcode\u2028",
        metadata={"z": "1", "a": "é\n"},
    )
    book.start(CursorKey("new", "orders"), at=0, reason="new", actor="ines")
    book.advance(ORDERS, to=42, actor="ines")


def frozen(name: str = "entries.jsonl") -> list[str]:
    # Not by splitlines: the text in the entries has line breaks of its own kinds.
    return (GOLDEN / name).read_text("utf-8").split("\n")[:-1]


def micros(value: str | None) -> int | None:
    if value is None:
        return None
    return (datetime.fromisoformat(value) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )


def digest_by_definition(previous: str, entry: dict[str, Any]) -> str:
    key, event = entry["key"], entry["event"]
    said = [
        "cursor-ledger/1",
        *(key[part] for part in ("consumer_id", "stream_name", "subject_id")),
        *(entry["version"], entry["epoch"], micros(entry["recorded_at"]), entry["actor"]),
        dict(sorted(entry["metadata"].items())) or None,
        *(event.get(name) for name in ("tag", "previous_sequence", "sequence", "delivery_id")),
        micros(event.get("delivered_at")),
        *(event.get(name) for name in ("outcome", "reason")),
        event.get("message", event.get("source")),
        micros(event["occurred_at"]),
    ]
    text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(bytes.fromhex(previous) + text.encode()).hexdigest()


def test_entries_are_written_as_they_were_when_the_format_was_frozen(
    book: Ledger, clock: Clock
) -> None:
    write_everything(book, clock)
    written = [json.dumps(unstructure(entry), ensure_ascii=False) for entry in book.entries()]
    assert written == frozen()


def test_starts_are_written_as_they_were_when_they_came(book: Ledger, clock: Clock) -> None:
    write_starts(book, clock)
    written = [json.dumps(unstructure(entry), ensure_ascii=False) for entry in book.entries()]
    assert written == frozen("starts.jsonl")


@pytest.mark.parametrize(("name", "lines"), [("entries.jsonl", 7), ("starts.jsonl", 4)])
def test_the_frozen_digests_follow_from_the_definition_alone(name: str, lines: int) -> None:
    heads: dict[str, str] = {}
    assert len(frozen(name)) == lines
    for line in frozen(name):
        entry = json.loads(line)
        key = json.dumps(entry["key"])
        assert entry["digest"] == digest_by_definition(heads.get(key, "00" * 32), entry)
        heads[key] = entry["digest"]


def test_a_frozen_entry_has_this_very_digest() -> None:
    said = ("webhooks", "orders", "", 1, 0, 0, "", None, "cursor.error.v1")
    nothing = (None, None, None, None, None, None)
    text = (
        '["cursor-ledger/1","webhooks","orders","",1,0,0,"",null,"cursor.error.v1",'
        'null,null,null,null,null,null,"boom",0]'
    )
    assert (
        digest_of(bytes(32), (*said, *nothing, "boom", 0))
        == hashlib.sha256(bytes(32) + text.encode()).digest()
    )


def test_a_frozen_start_has_this_very_digest() -> None:
    text = (
        '["cursor-ledger/1","mailer","orders","",1,0,7,"ines",null,"cursor.started.v1",'
        'null,41,"",null,null,"moved","kafka group mailer",9]'
    )
    said = ("mailer", "orders", "", 1, 0, 7, "ines", None, "cursor.started.v1")
    event = (None, 41, "", None, None, "moved", "kafka group mailer", 9)
    assert digest_of(bytes(32), (*said, *event)) == (
        hashlib.sha256(bytes(32) + text.encode()).digest()
    )


def test_the_tags_are_frozen() -> None:
    assert {
        CursorAdvanced: "cursor.advanced.v1",
        CursorReset: "cursor.reset.v1",
        ErrorRecorded: "cursor.error.v1",
        CursorStarted: "cursor.started.v1",
    } == TAGS


def root_by_definition(leaves: list[bytes]) -> bytes:
    """Return the Merkle tree hash of RFC 6962, section 2.1, as it is defined there."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    left, right = root_by_definition(leaves[:split]), root_by_definition(leaves[split:])
    return hashlib.sha256(b"\1" + left + right).digest()


@given(st.integers(0, 70), st.integers(0, 75))
def test_the_root_is_that_of_rfc_6962(size: int, first: int) -> None:
    leaves = [(n * 3, hashlib.sha256(bytes([n])).digest()) for n in range(1, size + 1)]
    whole = checkpoint_over(leaves)
    assert whole.root == root_by_definition([leaf for _, leaf in leaves])
    assert (whole.entries, whole.position) == (size, size * 3)
    part = checkpoint_over(leaves, entries=first)
    assert part == checkpoint_over(leaves[:first])


@pytest.mark.parametrize(
    "wrong",
    [{"entries": -1}, {"entries": True}, {"position": 1.0}, {"root": "00" * 32}, {"root": b"x"}],
)
def test_a_checkpoint_is_valid_or_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ledger.InvalidCursorError):
        Checkpoint(**{"entries": 1, "position": 1, "root": bytes(32), **wrong})
