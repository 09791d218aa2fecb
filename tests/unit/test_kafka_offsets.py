"""What Kafka's own tool writes is read, in either form; and what it reads is written."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import Cursor, CursorKey, InvalidCursorError
from ledger.exchange.kafka import csv_line
from ledger.exchange.kafka_table import rows
from ledger.exchange.lines import LINE_BYTES_MAX, lines
from ledger.exchange.rows import Misread, Read, Row


def read(text: str | bytes) -> list[Read]:
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return list(rows(lines(io.BytesIO(data))))


def values(text: str | bytes) -> list[tuple[object, ...]]:
    found = read(text)
    assert all(isinstance(row, Row) for row in found), found
    return [tuple(row.values.values()) for row in found if isinstance(row, Row)]


def problem(text: str | bytes) -> str:
    [row] = read(text)
    assert isinstance(row, Misread), row
    return row.problem


def cursor(consumer: str, stream: str, subject: str, sequence: int) -> Cursor:
    return Cursor(
        key=CursorKey(consumer, stream, subject),
        last_sequence=sequence,
        last_delivery_id="",
        last_delivered_at=None,
        last_error="",
        updated_at=datetime(2026, 5, 5, tzinfo=UTC),
        version=1,
        epoch=0,
    )


# --- the CSV ---


def test_the_csv_of_several_groups_and_of_one_is_read() -> None:
    assert values("mailer,orders,0,41\nsearch,orders,1,7\n") == [
        ("mailer", "orders", "0", "41"),
        ("search", "orders", "1", "7"),
    ]
    assert values("orders,0,41\norders,1,7\n") == [("orders", "0", "41"), ("orders", "1", "7")]


def test_marks_line_ends_blank_lines_and_a_heading_are_left_out() -> None:
    text = b"\xef\xbb\xbfgroup,topic,partition,offset\r\n\r\nmailer,orders,0,41\r\n\n"
    [row] = read(text)
    assert row == Row(3, {"group": "mailer", "topic": "orders", "partition": "0", "offset": "41"})


def test_quoted_names_are_read_as_they_are() -> None:
    assert values('"a,""b"" / c",orders,0,41\n"ünï, 😀",orders,0,1') == [
        ('a,"b" / c', "orders", "0", "41"),
        ("ünï, 😀", "orders", "0", "1"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mailer\n", "has 1 column"),
        ("a,b,c,d,e\n", "has 5 columns"),
        ('"mailer,orders,0,41\n', "not CSV"),
        ("mailer,or ders,0,41\n", "cannot be a topic"),
        ("mailer,..,0,41\n", "cannot be a topic"),
        ("mailer,orders,-1,41\n", "cannot be a partition"),
        ("mailer,orders,01,41\n", "cannot be a partition"),
        ("mailer,orders,٣,41\n", "cannot be a partition"),
        ("mailer,orders,2147483648,41\n", "cannot be a partition"),
        (b"mailer,orders,0,41\xff\n", "not UTF-8 (at its byte 19)"),
        (b"a" * (LINE_BYTES_MAX + 1), "longer than 1,048,576 bytes"),
    ],
)
def test_a_line_that_is_not_of_the_csv_is_refused_with_its_reason(
    text: str | bytes, said: str
) -> None:
    assert said in problem(text)


def test_a_bad_line_does_not_hide_the_lines_around_it() -> None:
    before, bad, after = read(b"a,t,0,1\n" + b"x" * (3 * LINE_BYTES_MAX) + b"\nb,t,0,2\n")
    assert (before.line, bad.line, after.line) == (1, 2, 3)
    assert isinstance(before, Row) and isinstance(bad, Misread) and isinstance(after, Row)  # noqa: PT018


def test_a_file_in_utf_16_is_refused_as_a_whole() -> None:
    with pytest.raises(InvalidCursorError, match="iconv"):
        read("mailer,orders,0,41\n".encode("utf-16"))


# --- the table ---

TABLE = """
Consumer group 'mailer' has no active members.

GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID     HOST            CLIENT-ID
mailer          orders          0          41              50              9               -               -               -
mailer          orders          1          -               50              -               -               -               -

[2026-05-05 16:00:01,123] WARN [AdminClient clientId=adminclient-1] Connection lost (org.apache.kafka.clients.NetworkClient)
Warning: Consumer group 'my group' is rebalancing.

GROUP               TOPIC           PARTITION  LEADER-EPOCH    CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID     HOST            CLIENT-ID
my group 😀 of mine orders          10         3               9223372036854775807 9223372036854775807 0               a b c           /127.0.0.1      a client
my group 😀 of mine -               -          -               -               -               -               d               /127.0.0.1      a client
"""  # noqa: E501 - as the tool prints it


def test_tables_of_several_groups_are_read_with_what_stands_between_them() -> None:
    assert values(TABLE) == [
        ("mailer", "orders", "0", "41"),
        ("mailer", "orders", "1", None),
        ("my group 😀 of mine", "orders", "10", "9223372036854775807"),
        ("my group 😀 of mine", None, None, None),
    ]


def test_a_group_that_is_called_like_a_warning_is_a_group() -> None:
    heading = "GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG"
    for group in ("Warning: late", "Error: late", "Consumer group"):
        line = f"{group:15} orders          0          41              50              9"
        assert values(f"{heading}\n{line}\n") == [(group, "orders", "0", "41")]


def test_the_table_without_groups_of_old_versions_is_read() -> None:
    text = (
        "Note: This will only show information about consumers that use the Java consumer API.\n"
        "\nTOPIC      PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG    CONSUMER-ID\n"
        "my-topic   0          16577           33154           16577  consumer1\n"
    )
    assert values(text) == [("my-topic", "0", "16577")]


def test_a_table_whose_spaces_were_changed_is_read_by_its_words() -> None:
    text = (
        "GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID\n"
        "mailer orders 0 41 50 9 - - -\n"
        "m\tinvoices-of-the-year\t12\t7\t50\t9\t-\t-\t-\n"
    )
    assert values(text) == [
        ("mailer", "orders", "0", "41"),
        ("m", "invoices-of-the-year", "12", "7"),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("my group orders 0 41 50 9 - - -", "does not fit the heading"),
        ("mailer orders 0", "does not fit the heading"),
        ("Error: Consumer group 'x' does not exist.", "Kafka's tool failed: Consumer group 'x'"),
        ("mailer or/ders 0 41 50 9 - - -", "cannot be a topic"),
    ],
)
def test_a_line_that_is_not_of_the_table_is_refused_and_never_guessed(line: str, said: str) -> None:
    heading = "GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID"
    assert said in problem(f"{heading}\n{line}\n")


NAMES = st.text(st.characters(exclude_categories=["Cs", "Zl", "Zp", "Cc"]), min_size=1).filter(
    lambda name: name == name.strip() and "\x85" not in name
)
OFFSETS = st.integers(0, 2**63 - 1)


@given(st.lists(st.tuples(NAMES, st.integers(0, 2**31 - 1), st.none() | OFFSETS), max_size=5))
def test_whatever_the_tool_prints_is_read_back(found: list[tuple[str, int, int | None]]) -> None:
    """The widths are those of ConsumerGroupCommand.java, in units of UTF-16."""

    def cell(text: object, width: int) -> str:
        units = len(str(text).encode("utf-16-le")) // 2
        return str(text) + " " * max(width - units, 0)

    width = max([15, *(len(group.encode("utf-16-le")) // 2 for group, _, _ in found)])
    printed = [("GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "HOST")]
    printed += [
        (group, "t.x", str(partition), "-" if offset is None else str(offset), "50", "-", "a b")
        for group, partition, offset in found
    ]
    text = "\n".join(" ".join(map(cell, line, (width, 15, 10, 15, 15, 15, 0))) for line in printed)
    assert values(text) == [
        (group, "t.x", str(partition), None if offset is None else str(offset))
        for group, partition, offset in found
    ]


# --- what is written ---


def test_a_cursor_is_written_as_kafkas_tool_writes_it() -> None:
    assert csv_line(cursor("mailer", "orders", "0", 41)) == "mailer,orders,0,41"
    assert csv_line(cursor("mailer", "orders", "0", 41), group=False) == "orders,0,41"
    # Jackson quotes a text of more than 24 units, and one with a character up to the comma.
    assert csv_line(cursor("m" * 24, "t" * 25, "7", 0)) == f'{"m" * 24},"{"t" * 25}",7,0'
    assert csv_line(cursor("a b", "t", "7", 0)) == '"a b",t,7,0'
    assert csv_line(cursor('a"b', "t", "7", 0)) == '"a""b",t,7,0'
    assert csv_line(cursor("😀" * 12, "t", "7", 0)) == f"{'😀' * 12},t,7,0"
    assert csv_line(cursor("😀" * 13, "t", "7", 0)) == f'"{"😀" * 13}",t,7,0'


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (("mailer", "orders", ""), "cannot be a partition"),
        (("mailer", "orders", "eu"), "cannot be a partition"),
        (("mailer", "orders", "1.0"), "cannot be a partition"),
        (("mailer", "orders", "2147483648"), "cannot be a partition"),
        (("mailer", "orders/eu", "0"), "cannot be a topic"),
        (("mailer", "t" * 250, "0"), "cannot be a topic"),
        (("mail\ner", "orders", "0"), "line break"),
    ],
)
def test_what_cannot_be_a_partition_of_kafka_is_refused(
    key: tuple[str, str, str], said: str
) -> None:
    with pytest.raises(InvalidCursorError, match=said):
        csv_line(cursor(*key, 1))


@given(NAMES, st.from_regex(r"[a-zA-Z0-9_-]{1,30}", fullmatch=True), OFFSETS)
def test_what_is_written_is_read_back(group: str, topic: str, offset: int) -> None:
    line = csv_line(cursor(f"g{group}", topic, "3", offset))
    [found] = values(line)
    assert found == (f"g{group}", topic, "3", str(offset))
