"""A file of targets is read as it says, or refused by its line."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import CursorKey, InvalidCursorError
from projections.resets import targets

# With all that CSV has to quote, except what is trimmed.
NAMES = st.text(st.characters(categories=["L", "N"]) | st.sampled_from("\",;= \n'")).map(
    "a{}z".format
)
SEQUENCES = st.integers(0, 2**63 - 1)


def key(subject: str, consumer: str = "mailer", stream: str = "orders") -> CursorKey:
    return CursorKey(consumer, stream, subject)


READ: dict[str, tuple[bytes, dict[CursorKey, int]]] = {
    "a heading": (
        b"consumer,stream,subject,to\nmailer,orders,7,120\nmailer,orders,,8\n",
        {key("7"): 120, key(""): 8},
    ),
    "another order, and white space": (
        b" to , subject\r\n 5 , 7 \r\n\r\n",
        {key("7"): 5},
    ),
    "the names of our own CSV": (
        b"consumer_id,stream_name,subject_id,to\nmailer,orders,7,120\n",
        {key("7"): 120},
    ),
    "no subject": (b"to\n5\n", {key(""): 5}),
    "Kafka": (b"orders,0,120\norders,11,0\n", {key("0"): 120, key("11"): 0}),
    "Kafka, quoted": (b'"orders",0,120', {key("0"): 120}),
    "Kafka with its group": (b"mailer,orders,0,120\n", {key("0"): 120}),
    "Kafka with a heading": (b"topic,partition,offset\norders,0,120\n", {key("0"): 120}),
    "JSON lines": (
        b'{"consumer": "mailer", "stream": "orders", "subject": "7", "to": 120}\n\n{"to": 9}\n',
        {key("7"): 120, key(""): 9},
    ),
    "a byte order mark": (b"\xef\xbb\xbfsubject,to\n7,120\n", {key("7"): 120}),
    "a comma and a line break in a name": (
        b'subject,to\n"a,\nb",1\nc,2',
        {key("a,\nb"): 1, key("c"): 2},
    ),
    "the largest": (b"subject,to\n7,9223372036854775807", {key("7"): 2**63 - 1}),
}


@pytest.mark.parametrize(("data", "found"), READ.values(), ids=READ)
def test_it_is_read(data: bytes, found: dict[CursorKey, int]) -> None:
    assert targets.read(data, consumer="mailer", stream="orders") == found


def test_a_topic_that_is_called_like_a_column_is_still_kafkas() -> None:
    assert targets.read(b"to,0,120", consumer="mailer") == {CursorKey("mailer", "to", "0"): 120}


REFUSED = {
    b"": "is empty",
    b"\n \n": "is empty",
    b"subject,to\n": "is empty",
    b"7,120\n": "line 1 of the targets: '7' is not known here",
    b"subject,sequence\n7,120\n": "line 1 .* 'sequence' is not known here",
    b"subject,stream\n7,orders\n": "line 1 .* no column to",
    b"subject,to,to\n7,1,2\n": "line 1 .* two names for to",
    b"subject,partition,to\n7,7,2\n": "line 1 .* two names for subject",
    b"subject,to\n7,12o\n": "line 2 .* '12o' is not a sequence",
    b"subject,to\n7,\n": "line 2 .* '' is not a sequence",
    b"subject,to\n7,1.0\n": "line 2 .* '1.0' is not a sequence",
    "subject,to\n7,٣\n".encode(): "line 2 .* is not a sequence",
    b"subject,to\n7,-1\n": "line 2 .* to must be from 0 to 9223372036854775807, not -1",
    b"subject,to\n7,9223372036854775808\n": "line 2 .* to must be from 0",
    b"subject,to\n7," + b"9" * 5_000: "line 2 .* is not a sequence",
    b"subject,to\n7,1\n\n7,2\n": "line 4 .* mailer/orders/7 has a target already",
    b"subject,to\n7,1\n 7 ,1\n": "line 3 .* has a target already",
    b"subject,to\n7\n": "line 2 .* 1 cells, not 2",
    b"orders,0,1\norders,1,2,3\n": "line 2 .* 4 cells, not 3",
    b'subject,to\n"7,1\n': "line 2 of the targets: ",
    b"stream,subject,to\ninvoices,7,1\n": "line 2 .* its stream is 'invoices', and not 'orders'",
    b"search,orders,0,1\n": "line 1 .* its consumer is 'search', and not 'mailer'",
    b"subject,to\n" + b"x" * 513 + b",1\n": "line 2 .* subject_id has 513",
    b'{"subject": 7, "to": 1}': "line 1 .* subject must be text, not a int",
    b'{"subject": "7", "to": "1"}': "line 1 .* to must be an integer, not a str",
    b'{"subject": "7", "to": true}': "line 1 .* to must be an integer, not a bool",
    b'{"subject": "7", "to": 1.0}': "line 1 .* to must be an integer, not a float",
    b'{"subject": "7"}': "line 1 .* to is missing",
    b'{"subject": "7", "to": 1, "why": ""}': "line 1 .* 'why' is not known here",
    b'{"to": 1}\n[]': "line 2 .* must be an object",
    b'{"to": 1}\n{"to"': "line 2 .* not JSON",
    b'{"to": 1, "to": 2}': "line 1 of the targets",
    b"\xff\xfes\0u\0": "not UTF-8",
    b"subject,to\na\0b,1\n": "line 2",
}


@pytest.mark.parametrize(("data", "said"), REFUSED.items(), ids=lambda case: repr(case)[:50])
def test_it_is_refused_by_its_line(data: bytes, said: str) -> None:
    with pytest.raises(InvalidCursorError, match=said):
        targets.read(data, consumer="mailer", stream="orders")


@pytest.mark.parametrize(
    ("consumer", "stream", "data", "said"),
    [
        (
            "",
            "orders",
            b"subject,to\n7,1\n",
            "consumer is missing: name it there, or with --consumer",
        ),
        ("mailer", "", b"subject,to\n7,1\n", "stream is missing"),
        ("", "", b"orders,0,1\n", "consumer is missing"),
        ("mailer", "", b'{"to": 1}', "stream is missing"),
    ],
)
def test_a_line_without_a_name_says_where_to_name_it(
    consumer: str, stream: str, data: bytes, said: str
) -> None:
    with pytest.raises(InvalidCursorError, match=said):
        targets.read(data, consumer=consumer, stream=stream)


@given(wanted=st.dictionaries(st.builds(CursorKey, NAMES, NAMES, NAMES), SEQUENCES, min_size=1))
def test_what_is_written_is_what_is_read(wanted: dict[CursorKey, int]) -> None:
    written = io.StringIO(newline="")
    rows = csv.writer(written)
    rows.writerow(["to", "subject", "stream", "consumer"])
    lines = []
    for at, to in wanted.items():
        rows.writerow([to, at.subject_id, at.stream_name, at.consumer_id])
        plain = {"consumer": at.consumer_id, "stream": at.stream_name, "subject": at.subject_id}
        lines.append(json.dumps({**plain, "to": to}))
    assert targets.read(written.getvalue().encode()) == wanted
    assert targets.read("\n".join(lines).encode()) == wanted


@given(
    data=st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode(errors="replace"))
)
def test_whatever_it_holds_it_is_read_or_refused(data: bytes) -> None:
    try:
        found = targets.read(data, consumer="mailer", stream="orders")
    except InvalidCursorError:
        return
    assert found
