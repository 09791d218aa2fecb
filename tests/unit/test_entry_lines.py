"""Lines that somebody hands over as an export are read as entries, or refused with their number."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ledger
from ledger import Entry, InvalidCursorError
from ledger.exchange.entry_lines import entries_of
from ledger.exchange.exporting import json_line
from ledger.exchange.lines import LINE_BYTES_MAX
from ledger.log.text import loads
from support.clock import Clock
from support.cursors import ORDERS, fill

with ledger.open(":memory:", actor="tester", clock=Clock()) as _book:
    fill(_book, Clock())
    _book.start(ledger.CursorKey("began", "orders"), at=41, reason="moved", source="kafka")
    ENTRIES = list(_book.entries())

LINES = [json_line(entry) for entry in ENTRIES]
PLAIN: dict[str, Any] = json.loads(LINES[0])


def read(text: str | bytes) -> list[Entry]:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return [entry for _, entry in entries_of(io.BytesIO(data))]


def refusal(text: str | bytes) -> str:
    with pytest.raises(InvalidCursorError) as error:
        read(text)
    return str(error.value)


def line(**values: object) -> str:
    return json.dumps({**PLAIN, **values}) + "\n"


def test_what_is_written_is_read_as_it_was() -> None:
    assert read("".join(LINES)) == ENTRIES


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"position": 1.0}, "position must be an integer"),
        ({"position": True}, "position must be an integer"),
        ({"position": "1"}, "position must be an integer"),
        ({"position": 2**63}, "position must be from"),
        ({"position": -(2**70)}, "position must be from"),
        ({"version": None}, "version must be an integer"),
        ({"epoch": float("nan")}, "epoch must be an integer"),
        ({"epoch": float("inf")}, "epoch must be an integer"),
        ({"actor": 7}, "actor must be text"),
        ({"actor": "\ud800"}, "actor"),
        ({"actor": "a\0"}, "actor"),
        ({"metadata": {"n": 1}}, "metadata"),
        ({"metadata": []}, "metadata"),
        ({"recorded_at": "yesterday"}, "recorded_at must be a time"),
        ({"recorded_at": 0}, "recorded_at"),
        ({"digest": "ab"}, "digest must be 64 hexadecimal digits"),
        ({"digest": "A" * 64}, "digest must be 64 hexadecimal digits"),
        ({"key": "webhooks/orders"}, "must be an object"),
        ({"key": {"consumer_id": "a"}}, "stream_name is missing"),
        ({"key": {**PLAIN["key"], "more": 1}}, "'more' is not known"),
        ({"event": None}, "must be an object"),
        ({"event": {}}, "a newer version may know it"),
        ({"event": {**PLAIN["event"], "tag": "cursor.moved.v9"}}, "a newer version may know it"),
        ({"event": {**PLAIN["event"], "sequence": 1e3}}, "sequence must be an integer"),
        ({"event": {**PLAIN["event"], "outcome": "lost"}}, "outcome"),
        ({"more": 1}, "'more' is not known here"),
        ({"specversion": "1.0"}, "it is a CloudEvent"),
    ],
)
def test_a_value_that_no_entry_has_is_refused(values: dict[str, object], said: str) -> None:
    told = refusal(LINES[0] + line(**values))
    assert told.startswith("line 2: ")
    assert said in told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("null", "must be an object"),
        ("7", "must be an object"),
        ('"x"', "must be an object"),
        ("[]", "must be an object"),
        ("{}", "position is missing"),
        ("nonsense", "not JSON"),
        ("{" * 100_000, "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"position":1,"position":2}', "'position' is in it twice"),
        (LINES[0].rstrip() + LINES[1], "not JSON"),
        ("9" * 5_000, "not JSON"),
        ("x" * (LINE_BYTES_MAX + 1), "the line is longer than 1,048,576 bytes"),
        (b"\xff\xff", "the line is not UTF-8"),
    ],
)
def test_a_line_that_is_no_entry_is_refused(text: str | bytes, said: str) -> None:
    data = text if isinstance(text, bytes) else text.encode()
    told = refusal(LINES[0].encode() + data + b"\n")
    assert told.startswith("line 2: ")
    assert said in told
    assert len(told) < 1_000
    assert "cut off" not in told


@pytest.mark.parametrize("length", [1, 2, 40, len(LINES[1].encode()) - 2])
def test_a_last_line_that_is_not_whole_is_said_to_be_cut(length: int) -> None:
    told = refusal(LINES[0].encode() + LINES[1].encode()[:length])
    assert told.startswith("line 2: ")
    assert "The file ends in the middle of this line" in told


def test_the_largest_entry_fits_a_line() -> None:
    # Each character is escaped to six, where it hides.
    wide = "\u202e"
    with ledger.open(":memory:", actor=wide + "a" * 511) as book:
        names = {f"{n:02d}": "" for n in range(16)}
        names["00"] = wide * 4_000
        key = ledger.CursorKey(wide * 511 + "a", wide * 511 + "a", wide * 511 + "a")
        book.reset(key, to=1, reason=wide * 4_095 + "a", metadata=names, delivery_id=wide * 512)
        [entry] = book.entries()
    text = json_line(entry)
    assert len(text) < LINE_BYTES_MAX
    assert read(text) == [entry]


@given(st.binary(max_size=300), st.integers(0, len(LINES[0])), st.integers(0, 40))
def test_whatever_bytes_stand_in_a_line_they_are_an_entry_or_refused(
    junk: bytes, at: int, left_out: int
) -> None:
    whole = LINES[0].encode()
    data = whole[:at] + junk + whole[at + left_out :]
    try:
        assert all(isinstance(entry, Entry) for entry in read(data))
    except InvalidCursorError as error:
        assert "line" in str(error) or "the file" in str(error) or "UTF-16" in str(error)


def test_a_name_twice_anywhere_in_a_line_is_refused() -> None:
    text = LINES[0].replace('"tag":', '"tag":"x","tag":')
    assert "'tag' is in it twice" in refusal(text)


def test_reading_takes_one_line_at_a_time() -> None:
    class Endless(io.RawIOBase):
        reads = 0

        def readline(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert 0 < size <= LINE_BYTES_MAX + 1
            self.reads += 1
            return LINES[0].encode()

    file = Endless()
    found = entries_of(file)
    assert next(found) == (1, ENTRIES[0])
    assert next(found)[0] == 2
    assert file.reads == 2
    assert ENTRIES[0].key == ORDERS


def test_very_many_names_are_looked_at_once_each() -> None:
    # To compare each with all others would take an hour, and this test would be ended.
    names = [f'"{n}":0' for n in range(400_000)]
    with pytest.raises(InvalidCursorError, match="'399999' is in it twice"):
        loads("{" + ",".join([*names, names[-1]]) + "}")
