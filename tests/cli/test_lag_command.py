"""The commands `heads` and `lag`: words, forms, bounds for alerts, and exits."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

import ledger
from ledger import AdvanceCursor, CursorKey, RecordError
from ledger.law.reserved import HEAD
from support.clock import Clock
from support.commands import Run, records

STORES = "every"


@pytest.fixture
def behind(run: Run, target: str, clock: Clock) -> Run:
    """Return the command on a ledger of two partitions, written by a clock that stopped in May."""
    with ledger.open(target, actor="tester", clock=clock) as book:
        for partition, head in (("0", 44), ("1", 12)):
            book.heads.record("orders", partition, head)
        book.append(
            [
                AdvanceCursor(CursorKey("mailer", "orders", "0"), 41),
                AdvanceCursor(CursorKey("mailer", "orders", "1"), 12),
                AdvanceCursor(CursorKey("webhooks", "orders", "0"), 44),
                AdvanceCursor(CursorKey("webhooks", "orders", "2"), 7),
                RecordError(CursorKey("webhooks", "orders", "1"), "HTTP 503"),
            ]
        )
    return run


def states(run: Run, *arguments: object) -> list[tuple[str, str, str]]:
    result = run("lag", *arguments)
    return [
        (each["key"]["consumer_id"], each["key"]["subject_id"], each["state"])
        for each in records(result)
    ]


def test_heads_are_recorded_and_listed(run: Run) -> None:
    assert records(run("heads", "orders", "--to", 41, "--meta", "batch=7"))[0]["version"] == 1
    late = run("heads", "orders", "--to", 40)
    assert (late.exit_code, records(late)[0]["last_sequence"]) == (0, 41)
    assert "at 41 already; nothing was recorded" in late.stderr
    run("heads", "orders", "eu", "--to", 3)
    run("heads", "faxes", "--to", 9)
    assert [
        (each["key"]["subject_id"], each["last_sequence"])
        for each in records(run("heads", "orders"))
    ] == [
        ("", 41),
        ("eu", 3),
    ]
    assert [each["last_sequence"] for each in records(run("heads"))] == [9, 41, 3]
    assert run("heads", "--table").stdout.splitlines()[0].split()[:3] == [
        "stream",
        "subject",
        "head",
    ]
    [entry] = records(run("history", HEAD, "orders"))
    assert (entry["actor"], entry["metadata"]) == ("ops@desk", {"batch": "7"})


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--to", 4], 2),
        (["orders", "--to", 0], 2),
        (["orders", "--to", "x"], 2),
        (["orders", "--actor", "ines"], 2),
        (["orders", "--meta", "a=b"], 2),
    ],
)
def test_what_cannot_be_recorded_is_refused(run: Run, arguments: list[object], code: int) -> None:
    run("heads", "orders", "--to", 1)
    assert run("heads", *arguments).exit_code == code
    assert records(run("heads"))[0]["version"] == 1


def test_lists_leave_the_ledgers_own_out_unless_asked(behind: Run) -> None:
    consumers = {each["key"]["consumer_id"] for each in records(behind("list"))}
    assert consumers == {"mailer", "webhooks"}
    assert len(records(behind("list", "--reserved"))) == 7
    assert len(records(behind("list", "--consumer", HEAD))) == 2


def test_each_cursor_is_listed_with_its_head(behind: Run) -> None:
    first = records(behind("lag"))[0]
    assert first.pop("age_s") > 0
    assert first == {
        "key": {"consumer_id": "mailer", "stream_name": "orders", "subject_id": "0"},
        "last_sequence": 41,
        "head": 44,
        "behind": 3,
        "since": "2026-05-05T16:00:00Z",
        "state": "stalled",
        "errors": 0,
        "last_error": "",
        "ahead": 0,
    }
    assert states(behind) == [
        ("mailer", "0", "stalled"),
        ("webhooks", "0", "ok"),
        ("mailer", "1", "ok"),
        ("webhooks", "1", "failing"),
        ("webhooks", "2", "no-head"),
    ]
    table = behind("lag", "--table").stdout
    assert "failing 1×" in table
    assert "no head" in table
    rows = list(csv.DictReader(io.StringIO(behind("lag", "--csv").stdout)))
    assert (rows[0]["consumer_id"], rows[0]["behind"], rows[4]["head"]) == ("mailer", "3", "")


@pytest.mark.parametrize("fails", [False, True])
def test_a_list_and_the_lag_say_the_same_of_a_cursor_that_is_ahead(run: Run, fails: bool) -> None:
    run("heads", "orders", "--to", 1_200)
    run("advance", "mailer", "orders", "--to", 3_000)
    if fails:
        run("error", "mailer", "orders", "-m", "HTTP 503")
    for form in ("--table", "--wide"):
        for command in ("list", "lag"):
            heading, _, row = run(command, "--columns", "behind", form).stdout.splitlines()
            assert (heading.strip(), row.strip()) == ("behind", "+1,800"), command
    listed, lag = records(run("list"))[0], records(run("lag"))[0]
    for record in (listed, lag):
        assert (record["behind"], record["ahead"]) == (0, 1_800)
    assert listed["state"] == lag["state"] == ("failing" if fails else "ahead")


def test_they_are_chosen_and_sorted(behind: Run) -> None:
    assert states(behind, "--consumer", "mailer", "--state", "stalled") == [
        ("mailer", "0", "stalled")
    ]
    assert states(behind, "--subject", "1") == [("mailer", "1", "ok"), ("webhooks", "1", "failing")]
    assert states(behind, "--sort", "behind", "-n", 2) == [
        ("webhooks", "1", "failing"),
        ("mailer", "0", "stalled"),
    ]
    worst = [state for *_, state in states(behind, "--sort", "state")]
    assert worst == ["failing", "stalled", "no-head", "ok", "ok"]
    oldest = [state for *_, state in states(behind, "--sort", "age")]
    assert set(oldest[:2]) == {"failing", "stalled"}


def test_a_group_is_one_line(behind: Run) -> None:
    mailer, webhooks = records(behind("lag", "--group"))
    assert mailer.pop("age_s") > 0
    assert mailer == {
        "consumer_id": "mailer",
        "stream_name": "orders",
        "cursors": 2,
        "behind": 3,
        "since": "2026-05-05T16:00:00Z",
        "state": "stalled",
        "in_state": 1,
        "without_head": 0,
    }
    assert (webhooks["behind"], webhooks["state"], webhooks["without_head"]) == (12, "failing", 1)
    assert "stalled (1 of 2)" in behind("lag", "--group", "--table").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "lines"),
    [
        (["--max-behind", 3], 6, 1),
        (["--max-behind", 2], 6, 2),
        (["--max-behind", 12], 0, 0),
        (["--max-age", "1h"], 6, 2),
        (["--max-age", "9000w"], 0, 0),
        (["--max-behind", 12, "--max-age", "1h"], 6, 2),
        (["--max-behind", 12, "--group"], 0, 0),
        (["--max-behind", 11, "--group"], 6, 1),
        (["--max-behind", 2, "--consumer", "mailer", "--state", "ok"], 0, 0),
        (["--max-behind", 0, "--consumer", "nobody"], 4, 0),
        (["--max-behind", 0, "--subject", "2"], 1, 0),
        (["--max-behind", -1], 2, 0),
        (["--max-age", "90"], 2, 0),
    ],
)
def test_a_bound_shows_what_is_beyond_it_and_tells_by_the_exit(
    behind: Run, arguments: list[object], code: int, lines: int
) -> None:
    result = behind("lag", *arguments)
    assert (result.exit_code, len(result.stdout.splitlines())) == (code, lines), result.output


def test_a_cursor_may_never_be_stalled(behind: Run) -> None:
    assert ("mailer", "0", "stalled") in states(behind)
    for long in ("999999d", "999999999d"):
        assert ("mailer", "0", "behind") in states(behind, "--stalled-after", long)


def test_what_a_bound_cannot_judge_is_said(behind: Run) -> None:
    assert "they have no head: 1 of 5" in behind("lag", "--max-behind", 99).stderr
    assert "none was judged" in behind("lag", "--max-behind", 99, "--subject", "2").stderr


CSV = "stream,subject,sequence\norders,2,9\n orders ,0, 50 \n\n"
JSON = """{"stream": "orders", "subject": "2", "sequence": 9}

{"stream":"orders","subject":"0","sequence":50}"""


@pytest.mark.parametrize("text", [CSV, "\ufeff" + CSV, JSON, CSV.replace("\n", "\r\n")])
def test_heads_come_out_of_a_file(behind: Run, tmp_path: Path, text: str) -> None:
    file = tmp_path / "heads"
    file.write_bytes(text.encode())
    found = {
        (each["key"]["consumer_id"], each["key"]["subject_id"]): (each["head"], each["since"])
        for each in records(behind("lag", "--heads", file))
    }
    assert found["webhooks", "2"] == (9, None)
    assert found["mailer", "0"] == (50, None)
    assert found["webhooks", "1"] == (12, "2026-05-05T16:00:00Z")
    assert behind("lag", "--heads", file, "--max-behind", 12).exit_code == 0
    assert behind("lag", "--heads", file, "--max-age", "1h").exit_code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"orders,2,9\n", "Begin it with a heading"),
        (b"stream,sequence\norders,9\norders,8\n", "line 3: orders is in it twice"),
        (b"stream,sequence\norders,-9\n", "line 2: sequence must be an integer"),
        (b"stream,sequence\norders,\xc2\xb2\n", "line 2: sequence must be an integer"),
        (b"stream,sequence\n,9\n", "line 2: stream"),
        (b"stream,sequence,lag\norders,9,1\n", "'lag' is not known here"),
        (b'{"stream": "orders", "sequence": 9.5}', "line 1: sequence must be an integer"),
        (b'{"stream": "orders", "sequence": true}', "line 1: sequence"),
        (b'{"stream": "orders"}\n', "line 1: sequence"),
        (b'{"stream": "orders", "sequence": 9}\n[]', "line 2: it must be an object"),
        (b"{", "line 1: not JSON"),
        (b"\xff", "is not UTF-8"),
        (b"stream,sequence\norders," + b"9" * 60, "line 2: sequence must be"),
        (b"stream,sequence\norders,1,044\n", "line 2: it has 3 cells, not 2"),
        (b"stream,subject,sequence\norders,9\n", "line 2: it has 2 cells, not 3"),
        (b"stream,sequence\norders," + b"0" * 38 + b"100\n", "line 2: sequence must be"),
        (b"stream,sequence\norders,+9\n", "line 2: sequence must be"),
        (b"stream,sequence\n" + b"x" * 140_000 + b",4\n", "line 2: it is not CSV: field larger"),
        (b'stream,sequence\n"orders,4\n', "line 2: it is not CSV"),
        (b'stream,sequence\n"orders"x,4\n', "line 2: it is not CSV"),
        (b"stream,stream,sequence\na,b,4\n", "line 1: it names a column twice"),
        (b'{"stream": "orders", "sequence": "9"}', "line 1: sequence must be an integer"),
        (b'{"stream": "a", "stream": "b", "sequence": 9}', "line 1: "),
        (b'{"stream": "\xe2\x80\xa8", "sequence": []}', "line 1: "),
        (b"", "has no heads in it"),
        (b"stream,sequence\n\n", "has no heads in it"),
    ],
)
def test_a_file_that_is_none_of_heads_is_refused(
    behind: Run, tmp_path: Path, text: bytes, said: str
) -> None:
    file = tmp_path / "heads"
    file.write_bytes(text)
    result = behind("lag", "--heads", file)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_a_subject_may_be_compared_with_its_stream(run: Run) -> None:
    run("heads", "orders", "--to", 9)
    run("advance", "mailer", "orders", "eu", "--to", 7)
    assert states(run) == [("mailer", "eu", "no-head")]
    assert states(run, "--stream-heads") == [("mailer", "eu", "behind")]


def test_stalls_say_how_far_the_stream_goes(behind: Run, target: str) -> None:
    with ledger.open(target, actor="tester") as book:
        book.record_error(book.heads.get("orders", "0").key, "the clock of today")
        book.record_error(book.heads.get("orders", "0").key, "and twice")
    found = records(behind("stalls"))
    assert [each["key"]["consumer_id"] for each in found] == ["mailer", "webhooks"]
    assert "the stream goes up to 44" in behind("stalls", "--table").stdout
    assert json.dumps(found[0]["front_consumer"]) == f'"{HEAD}"'
    asked = records(behind("stalls", "--consumer", HEAD))
    assert [each["count"] for each in asked] == [2]


def test_what_is_asked_of_all_cursors_leaves_heads_alone(behind: Run) -> None:
    planned = records(behind("reset", "--all", "--to", 0, "--reason", "x"))
    assert HEAD not in {each["key"]["consumer_id"] for each in planned}
    done = behind("reset", "--stream", "orders", "--to", 1, "--reason", "x", "--execute", "--yes")
    assert done.exit_code == 0
    assert [each["epoch"] for each in records(behind("heads"))] == [0, 0]
    for command in (["gaps"], ["repeats"], ["as-of", "1s"], ["diff", 1]):
        result = behind(*command)
        assert result.exit_code == 0
        assert HEAD not in result.stdout
    assert HEAD in behind("entries").stdout


def test_siblings_are_compared_if_that_is_asked(run: Run, target: str, clock: Clock) -> None:
    with ledger.open(target, actor="tester", clock=clock) as book:
        book.advance(CursorKey("mailer", "orders", "slow"), to=5)
        for to in (6, 7):
            book.advance(CursorKey("mailer", "orders", "quick"), to=to)
            clock.tick(15 * 60)
    assert records(run("stalls")) == []
    [stall] = records(run("stalls", "--siblings"))
    assert (stall["key"]["subject_id"], stall["front"]) == ("slow", 7)
