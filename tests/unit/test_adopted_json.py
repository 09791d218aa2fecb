"""Records in JSON, wherever a path says they are; and the templates that name cursors by them."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

from ledger import CursorKey, InvalidCursorError
from ledger.exchange import json_values
from ledger.exchange.naming import Names
from ledger.exchange.sources import Format, reading
from ledger.exchange.staging import Staged, staging


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cursors.json"


def staged(file: Path, text: str | bytes, /, **options: Any) -> list[Staged]:
    """Return what a file has, with the templates among the options."""
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    fields = {field.name for field in attrs.fields(Names)}
    templates = {name: options.pop(name) for name in list(options) if name in fields}
    with staging() as found:
        with reading(str(file), **options) as source:
            found.read(source, source.names.but(**templates), lambda _: None)
        return [row for page in found.rows() for row in page]


RECORD = {"consumer_id": "mailer", "stream_name": "orders", "sequence": 41}
KEY = CursorKey("mailer", "orders")


def test_lines_and_documents_are_told_apart_by_their_first_line(file: Path) -> None:
    line = json.dumps(RECORD)
    for text in (
        f"{line}\n{line}\n",
        f"\n\n  {line}\r\n{line}",
        f"[{line}, {line}]",
        json.dumps([RECORD, RECORD], indent=1),
        "\ufeff" + json.dumps([RECORD, RECORD], indent=1),
    ):
        first, second = staged(file, text)
        assert (first.key, first.sequence, first.problem) == (KEY, 41, ""), text
        assert second.same_as == first.line


def test_a_path_leads_to_the_records(file: Path) -> None:
    deep = {"data": {"cursors": [RECORD]}, "more": 1}
    [found] = staged(file, json.dumps(deep, indent=1), path="data.cursors")
    assert (found.key, found.sequence) == (KEY, 41)
    [found] = staged(file, json.dumps(deep), path="data.cursors")
    assert (found.key, found.sequence) == (KEY, 41)


def test_the_names_that_a_star_stands_for_are_columns(file: Path) -> None:
    text = json.dumps({"mailer": {"orders.eu": 41, "orders.us": 7}, "search": {"jobs": 0}})
    found = staged(file, text, path="*.*", consumer_id="{1}", stream_name="{2}")
    assert [(str(row.key), row.sequence) for row in found] == [
        ("mailer/orders.eu", 41),
        ("mailer/orders.us", 7),
        ("search/jobs", 0),
    ]


def test_templates_may_reach_into_objects_and_have_braces(file: Path) -> None:
    record = {"key": {"group": "mailer", "topic": "orders", "partition": 3}, "at": {"offset": 9}}
    [found] = staged(
        file,
        json.dumps(record),
        consumer_id="kafka-{key.group}-{{x}}",
        stream_name="{key.topic}",
        subject_id="{key.partition}",
        sequence="{at.offset}",
    )
    assert (found.key, found.sequence) == (CursorKey("kafka-mailer-{x}", "orders", "3"), 9)


@pytest.mark.parametrize(
    ("sequence", "said"),
    [
        (-1, "must be from 0"),
        (2**63, "must be from 0 to 9223372036854775807"),
        (10**30, "must be from 0"),
        (41.0, "not the float 41.0"),
        (float("nan"), "not the float nan"),
        (float("inf"), "not the float inf"),
        (True, "not a bool"),
        ("41.0", "not '41.0'"),
        ("+41", "not '+41'"),
        ("4_1", "not '4_1'"),
        ("٣", "not '٣'"),
        ("", "not ''"),
        ([], "not a list"),
    ],
)
def test_a_sequence_that_is_not_an_integer_is_refused(
    file: Path, sequence: object, said: str
) -> None:
    [found] = staged(file, json.dumps(RECORD | {"sequence": sequence}))
    assert said in found.problem


def test_a_sequence_may_be_text_in_digits(file: Path) -> None:
    assert staged(file, json.dumps(RECORD | {"sequence": "9223372036854775807"})) == [
        Staged(line=1, key=KEY, sequence=2**63 - 1, origin=f"file {file}")
    ]


def test_a_record_without_a_position_is_not_an_error(file: Path) -> None:
    [found] = staged(file, json.dumps(RECORD | {"sequence": None}))
    assert (found.key, found.sequence, found.problem) == (KEY, None, "")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[]]", "not JSON"),
        ("41", "must be an object, not a int"),
        ('[["a"]]', "must be an object, not a list"),
        ('{"sequence": 1, "sequence": 2}', "'sequence' is in it twice"),
        ('{"consumer_id": "a", "stream_name": "b"}', "it has no 'sequence'"),
        ('{"consumer_id": null, "stream_name": "b", "sequence": 1}', "'consumer_id' is null"),
        ('{"consumer_id": 1.5, "stream_name": "b", "sequence": 1}', "not a float"),
        ('{"consumer_id": " ", "stream_name": "b", "sequence": 1}', "must not be blank"),
        ('{"consumer_id": "\\ud800", "stream_name": "b", "sequence": 1}', "lone surrogate"),
        ('{"consumer_id": "a\\u0000", "stream_name": "b", "sequence": 1}', "NUL"),
        ("[" * 100_000, "not JSON"),
        ("9" * 10_000, "not JSON"),
    ],
)
def test_a_line_that_names_no_cursor_is_refused_and_others_are_read(
    file: Path, line: str, said: str
) -> None:
    first, bad, last = staged(
        file, f"{json.dumps(RECORD)}\n{line}\n{json.dumps(RECORD)}\n", form=Format.JSONL
    )
    assert (first.problem, last.problem) == ("", "")
    assert said in bad.problem


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("data.other", "leads to no 'other'; there is 'cursors'"),
        ("data.cursors.x", "leads to a list, which has no 'x'"),
        ("data..cursors", "has an empty name"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(file: Path, path: str, said: str) -> None:
    with pytest.raises(InvalidCursorError, match=said):
        staged(file, json.dumps({"data": {"cursors": [RECORD]}}, indent=1), path=path)


def test_a_document_is_bounded_and_lines_are_not(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert json_values.DOCUMENT_BYTES_MAX == 64 * 2**20
    monkeypatch.setattr(json_values, "DOCUMENT_BYTES_MAX", 100_000)
    line = json.dumps(RECORD | {"padding": "x" * 1_000}) + "\n"
    many = 1 + 100_000 // len(line)
    with pytest.raises(InvalidCursorError, match="jq -c"):
        staged(file, "[" + ",".join([line] * many) + "]")
    assert len(staged(file, line * many)) == many


@pytest.mark.parametrize("text", ["{", "}", "a{b", "{}", "a}b"])
def test_a_template_with_a_lone_brace_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursorError, match="belongs to no column"):
        Names.of(consumer_id=text)


MOMENT = datetime(2026, 5, 5, 16, 0, 1, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-05-05T16:00:01.5Z", MOMENT),
        ("2026-05-05 18:00:01.5+02:00", MOMENT),
        ("2026-05-05 16:00:01.5 +0000 UTC", MOMENT),
        ("2026-05-05 18:00:01.5 +0200 CEST m=+0.1", MOMENT),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01 00:00:00 +0000 UTC", None),
        ("", None),
        (None, None),
    ],
)
def test_the_time_of_a_delivery_is_read_as_programs_write_it(
    file: Path, value: object, moment: datetime | None
) -> None:
    [found] = staged(file, json.dumps(RECORD | {"delivered_at": value, "delivery_id": "d"}))
    assert (found.delivered_at, found.delivery_id, found.problem) == (moment, "d", "")


@pytest.mark.parametrize("value", ["2026-05-05T16:00:01", "yesterday", 1_777_777_777, 1.5, True])
def test_a_time_without_its_zone_or_its_unit_is_refused(file: Path, value: object) -> None:
    [found] = staged(file, json.dumps(RECORD | {"delivered_at": value}))
    assert "delivered_at must be a time" in found.problem


def test_the_same_cursor_with_two_positions_is_refused_wherever_it_stands(file: Path) -> None:
    lines = [json.dumps(RECORD | {"sequence": sequence}) for sequence in (41, 41, 41, 44)]
    other = json.dumps(RECORD | {"stream_name": "jobs"})
    found = staged(file, "\n".join([*lines[:2], other, *lines[2:]]))
    assert [bool(row.problem) for row in found] == [True, True, False, True, True]
    assert found[0].problem == found[-1].problem
    assert "line 1 and line 5 have different values for this cursor: 41 and 44." in found[0].problem


def test_standard_input_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.TextIOWrapper(io.BytesIO(json.dumps(RECORD).encode()))
    monkeypatch.setattr(sys, "stdin", text)
    with reading("-") as source, staging() as found:
        found.read(source, source.names, lambda _: None)
        [[row]] = found.rows()
    assert (row.key, row.origin) == (KEY, "standard input")
