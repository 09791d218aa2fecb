"""Cursors are started where another system has them: planned first, and never changed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest

import ledger
from ledger import CursorKey, CursorStarted, EntryQuery, Ledger, StartCursor
from ledger.exchange.adopting import Adoption, State
from ledger.exchange.sources import reading
from ledger.exchange.staging import staging
from ledger.writing.commit import Answer, Group
from ledger.writing.committer import Appender
from projections.cli import main
from support.commands import Run, records

STORES = "every"

OFFSETS = 'mailer,orders,0,41\nmailer,orders,1,0\n"a, b/c",orders,0,9223372036854775807\n'
MAILER = CursorKey("mailer", "orders", "0")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "offsets.csv"
    path.write_text(OFFSETS)
    return path


def states(found: list[Any]) -> list[str]:
    return [record["state"] for record in found]


def test_a_plan_says_what_would_be_started_and_changes_nothing(run: Run, file: Path) -> None:
    done = run("adopt", file)
    assert done.exit_code == 0, done.stderr
    first, second, third = records(done)
    assert first == {
        "line": 1,
        "key": {"consumer_id": "mailer", "stream_name": "orders", "subject_id": "0"},
        "sequence": 41,
        "delivery_id": "",
        "delivered_at": None,
        "source": "kafka group mailer",
        "state": "new",
        "current_sequence": None,
        "detail": "",
    }
    assert (second["sequence"], third["sequence"]) == (0, 2**63 - 1)
    assert third["key"]["consumer_id"] == "a, b/c"
    assert "3 new. Nothing was changed." in done.stderr
    assert records(run("entries")) == []


@pytest.mark.makes_ledgers
def test_a_plan_needs_no_ledger_and_makes_none(run: Run, file: Path, path: Path, kind: str) -> None:
    planned = run("adopt", file)
    assert states(records(planned)) == ["new"] * 3
    assert "holds no ledger yet; --execute makes one." in planned.stderr
    assert run("list").exit_code == 1
    assert not path.exists()
    assert run("adopt", file, "--execute").exit_code == 0
    assert len(records(run("list"))) == 3
    del kind


def test_what_was_planned_is_started_with_its_source_reason_and_actor(
    run: Run, book: Ledger, file: Path
) -> None:
    done = run(
        "adopt", file, "--execute", "--reason", "moved off Kafka", "--actor", "ines",
        "--meta", "ticket=OPS-7",
    )  # fmt: skip
    assert (done.exit_code, done.stderr) == (0, "3 started\n")
    assert states(records(done)) == ["started"] * 3
    [entry] = book.history(MAILER)
    assert isinstance(entry.event, CursorStarted)
    assert (entry.event.sequence, entry.event.source) == (41, "kafka group mailer")
    assert (entry.event.reason, entry.actor, entry.epoch) == ("moved off Kafka", "ines", 0)
    assert dict(entry.metadata) == {"ticket": "OPS-7"}
    assert book.verify().ok


def test_by_default_the_reason_says_where_they_were_adopted_from(
    run: Run, book: Ledger, file: Path
) -> None:
    run("adopt", file, "--execute")
    [entry] = book.history(MAILER)
    assert isinstance(entry.event, CursorStarted)
    assert entry.event.reason == f"adopted from Kafka's offsets in file {file}"
    assert entry.actor == "ops@desk"


def test_the_same_twice_is_no_error_and_appends_nothing(run: Run, book: Ledger, file: Path) -> None:
    run("adopt", file, "--execute")
    for more in (["--execute"], []):
        again = run("adopt", file, *more)
        assert again.exit_code == 0
        assert states(records(again)) == ["there"] * 3
        assert "3 there already" in again.stderr
    book.advance(MAILER, to=50)
    again = run("adopt", file, "--execute")
    assert (again.exit_code, states(records(again))) == (0, ["moved_on", "there", "there"])
    assert "is at 50 now" in records(again)[0]["detail"]
    assert len(list(book.entries())) == 4


def test_a_cursor_that_stands_somewhere_else_stays_there(
    run: Run, book: Ledger, file: Path
) -> None:
    book.advance(MAILER, to=7, delivery_id="d-7")
    book.advance(CursorKey("mailer", "orders", "1"), to=3)
    book.reset(CursorKey("mailer", "orders", "1"), to=0, reason="again", actor="omar")
    for more in ([], ["--execute"], ["--execute"]):
        done = run("adopt", file, *more)
        assert done.exit_code == 3
        first, second, _ = records(done)
        assert (first["state"], first["current_sequence"]) == ("differs", 7)
        assert first["detail"] == (
            "is at 7 (d-7). To move it: cursor-ledger reset mailer orders 0 --to 41 --reason …"
        )
        assert second["state"] == "there"
    assert book.get(MAILER).last_sequence == 7
    assert len(list(book.entries())) == 4


def test_another_delivery_at_the_same_sequence_differs(
    run: Run, book: Ledger, tmp_path: Path
) -> None:
    book.advance(CursorKey("mailer", "orders"), to=7, delivery_id="d-7")
    file = tmp_path / "cursors.jsonl"
    for delivery_id, state in (("d-7", "there"), ("", "there"), ("d-8", "differs")):
        record = {"consumer_id": "mailer", "stream_name": "orders", "sequence": 7}
        file.write_text(json.dumps(record | {"delivery_id": delivery_id}))
        assert states(records(run("adopt", file))) == [state]


def test_refused_lines_are_listed_and_the_others_are_started(
    run: Run, book: Ledger, tmp_path: Path
) -> None:
    file = tmp_path / "offsets.csv"
    file.write_text(
        "mailer,orders,0,41\nmailer,orders,0,41\nmailer,orders,1,5\nnonsense\n"
        "mailer,orders,1,6\n ,orders,3,1\nmailer,orders,4,-1\n"
    )
    planned, done = run("adopt", file), run("adopt", file, "--execute")
    assert (planned.exit_code, done.exit_code) == (3, 3)
    refused = ["refused"] * 5
    assert states(records(planned)) == ["new", "repeated", *refused]
    assert states(records(done)) == ["started", "repeated", *refused]
    assert "1 started, 1 repeated, 5 refused" in done.stderr
    assert [record["detail"] for record in records(planned)] == [
        record["detail"] for record in records(done)
    ]
    assert [str(cursor.key) for cursor in book.cursors()] == ["mailer/orders/0"]


def test_what_was_looked_at_is_what_is_started_or_nothing_is(
    run: Run, book: Ledger, file: Path
) -> None:
    digest = run("adopt", file).stderr.split()[-1]
    file.write_text("\n".join(reversed(OFFSETS.splitlines())))
    assert run("adopt", file).stderr.split()[-1] == digest
    for text in (OFFSETS + "mailer,orders,2,1\n", OFFSETS.replace(",41", ",42"), ""):
        file.write_text(text)
        refused = run("adopt", file, "--execute", "--expect-digest", digest)
        assert (refused.exit_code, refused.stdout) == (3, "")
        assert "has changed since it was looked at" in refused.stderr
    file.write_text(OFFSETS)
    other = ("--execute", "--expect-digest", digest, "--reason", "another")
    assert run("adopt", file, *other).exit_code == 3
    assert list(book.entries()) == []
    assert run("adopt", file, "--execute", "--expect-digest", digest).exit_code == 0
    assert len(list(book.entries())) == 3


def test_the_ledgers_own_consumers_are_neither_adopted_nor_exported(run: Run, book: Ledger) -> None:
    refused = run("adopt", "-", "--execute", text="cursor-ledger/head,orders,0,41\n")
    assert (refused.exit_code, states(records(refused))) == (3, ["refused"])
    assert "belongs to the ledger itself" in records(refused)[0]["detail"]
    book.heads.record("orders", "0", 50)
    run("adopt", "-", "--execute", text="mailer,orders,0,41\n")
    assert run("export", "--format", "kafka").stdout == "mailer,orders,0,41\n"


def test_names_are_formatted_from_columns(run: Run, file: Path, tmp_path: Path) -> None:
    done = run("adopt", file, "--consumer", "kafka-{group}", "--stream", "{topic}/{partition}",
               "--subject", "", "--sequence", "{offset}")  # fmt: skip
    assert records(done)[0]["key"] == {
        "consumer_id": "kafka-mailer",
        "stream_name": "orders/0",
        "subject_id": "",
    }
    single = tmp_path / "single.csv"
    single.write_text("orders,0,41\n")
    refused = run("adopt", single)
    assert refused.exit_code == 2
    assert refused.stderr.startswith("cursor-ledger: --consumer needs a column 'group'; there are")
    [found] = records(run("adopt", single, "--consumer", "mailer"))
    assert (found["key"]["consumer_id"], found["state"]) == ("mailer", "new")
    assert found["source"] == f"Kafka's offsets in file {single}"
    assert run("adopt", file, "--subject", "{nothing}").exit_code == 2
    assert run("adopt", file, "--subject", "{").exit_code == 2


def test_kafkas_offsets_go_round_byte_for_byte(run: Run, tmp_path: Path, path: Path) -> None:
    del path
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    lines = ['"a, ""b""",orders,0,41', f'"{"g" * 25}",orders,7,1', "ü,orders,2147483647,0"]
    first.write_text("\n".join(sorted(lines, key=lambda line: line.strip('"'))) + "\n")
    assert run("adopt", first, "--execute").exit_code == 0
    assert run("export", "--format", "kafka", "-o", second).exit_code == 0
    assert second.read_bytes() == first.read_bytes()
    with ledger.open(tmp_path / "other.db", actor="ines"):
        other = ("--db", tmp_path / "other.db")
        assert run("adopt", *other, second, "--execute").exit_code == 0
    done = run("export", *other, "--format", "kafka")
    assert done.stdout.encode() == first.read_bytes()


def test_a_group_that_begins_like_json_is_a_group(run: Run) -> None:
    for group in ("[x]", "{x"):
        [found] = records(run("adopt", "-", text=f"{group},orders,0,41\n"))
        assert (found["key"]["consumer_id"], found["state"]) == (group, "new")


def test_a_line_of_the_table_without_an_offset_is_left_out(run: Run, book: Ledger) -> None:
    table = (
        "\nConsumer group 'mailer' has no active members.\n\n"
        "GROUP  TOPIC  PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG\n"
        "mailer orders 0          41              50              9\n"
        "mailer orders 1          -               50              -\n"
        "mailer -      -          -               -               -\n"
    )
    done = run("adopt", "-", "--execute", text=table)
    assert (done.exit_code, states(records(done))) == (0, ["started", "nothing", "nothing"])
    assert "1 started, 2 without a position" in done.stderr
    assert [cursor.last_sequence for cursor in book.cursors()] == [41]


def test_a_table_by_sql_and_the_table_of_cursors_are_adopted(
    run: Run, book: Ledger, tmp_path: Path
) -> None:
    path = tmp_path / "service.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE notification_cursors (consumer_id, stream_name, subject_id,"
            " last_sequence INTEGER, last_delivery_id, last_delivered_at);"
            "INSERT INTO notification_cursors VALUES"
            " ('webhooks', 'orders', '', 44, 'msg-44', '2026-05-05T16:00:01.5Z');"
        )
    assert states(records(run("adopt", path, "--execute"))) == ["started"]
    cursor = book.get(CursorKey("webhooks", "orders"))
    assert (cursor.last_sequence, cursor.last_delivery_id) == (44, "msg-44")
    assert cursor.last_delivered_at is not None
    [entry] = book.history(cursor.key)
    assert isinstance(entry.event, CursorStarted)
    assert entry.event.source == f"table notification_cursors of file {path}"
    query = (
        "SELECT consumer_id, 'o-' || stream_name AS stream_name, last_sequence AS sequence"
        " FROM notification_cursors"
    )
    [found] = records(run("adopt", path, "--sql", query, "--subject", "{sequence}"))
    assert (found["key"]["stream_name"], found["key"]["subject_id"]) == ("o-orders", "44")
    assert run("adopt", path, "--sql", "DELETE FROM notification_cursors").exit_code == 2
    assert run("adopt", path, "--sql", "SELECT x").exit_code == 1


def test_a_ledger_may_adopt_from_its_own_database(
    run: Run, book: Ledger, target: str, path: Path, kind: str
) -> None:
    book.advance(CursorKey("mailer", "orders"), to=7)
    book.record_error(CursorKey("search", "orders"), "HTTP 503")
    query = (
        "SELECT consumer_id, stream_name, 'copy of ' || subject_id AS subject_id,"
        " last_sequence AS sequence FROM {}ledger_cursors"
    )
    schema = "" if kind == "sqlite" else f"{target.partition('schema=')[2].partition('&')[0]}."
    own = str(path) if kind == "sqlite" else target
    done = run("adopt", own, "--sql", query.format(schema), "--execute")
    assert (done.exit_code, states(records(done))) == (0, ["started", "started"]), done.stderr
    assert book.verify().ok
    assert len(list(book.cursors())) == 4
    if kind == "sqlite":
        # It is no text, and has no such table.
        assert run("adopt", own).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere.csv"], 2, "No such file"),
        ([""], 2, "SOURCE must be a path"),
        (["/"], 2, "Is a directory"),
        (["-", "--sql", "SELECT 1"], 2, "a query is for a database"),
        (["-", "--path", "data"], 2, "a path is for JSON"),
        (["-", "--path", "data..x"], 2, "has an empty name"),
        (["-", "--format", "xml"], 2, "'xml' is not one of"),
        (["mysql://me:geheim@h/x"], 2, "SOURCE looks like a URL"),
        (["postgresql://me:geheim@nowhere.invalid/x?connect_timeout=1"], 1, "could not be read"),
        (["postgresql://h/x", "--format", "json"], 2, "the source is a database"),
    ],
)
def test_a_source_that_cannot_be_read_is_refused(
    run: Run, arguments: list[str], code: int, said: str
) -> None:
    refused = run("adopt", *arguments, "--execute", text="mailer,orders,0,41\n")
    assert (refused.exit_code, refused.stdout) == (code, ""), refused.stderr
    assert said in refused.stderr
    assert "geheim" not in refused.stderr
    assert run("entries").stdout == ""


def test_an_empty_source_has_no_cursors(run: Run) -> None:
    done = run("adopt", "-", "--execute", text="\n\n")
    assert (done.exit_code, done.stderr) == (0, "the source has no cursors\n")


def test_every_form_has_the_same_rows(run: Run, file: Path) -> None:
    found = records(run("adopt", file, "--jsonl"))
    assert json.loads(run("adopt", file, "--json").stdout) == found
    table = run("adopt", file, "--table").stdout.splitlines()
    assert table[0].split() == [
        "line",
        "consumer",
        "stream",
        "subject",
        "sequence",
        "from",
        "state",
    ]
    assert len(table) == 2 + len(found)
    file.write_text(OFFSETS + "nonsense\n")
    heading, *rows = run("adopt", file, "--csv").stdout.splitlines()
    assert heading.startswith("line,consumer_id,stream_name,subject_id,sequence,delivery_id")
    assert len(rows) == 4


R = TypeVar("R")


@attrs.frozen
class Raced:
    """An appender that somebody else is always ahead of."""

    appender: Appender
    ahead: Callable[[], object]

    def append(self, groups: Sequence[Group], conclude: Callable[[list[Answer]], R]) -> R:
        self.ahead()
        return self.appender.append(groups, conclude)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.appender, name)


def test_a_start_is_judged_again_in_its_transaction(book: Ledger, target: str, file: Path) -> None:
    """Between the look and the append somebody starts one cursor equally, and another otherwise."""
    other = CursorKey("mailer", "orders", "1")
    with ledger.open(target, actor="omar") as theirs:

        def ahead() -> None:
            theirs.append([StartCursor(MAILER, 41, "first"), StartCursor(other, 9, "first")])

        raced = book.through(lambda appender: Raced(appender, ahead))
        with staging() as staged:
            with reading(str(file)) as source:
                staged.read(source, source.names, lambda _: None)
            [verdicts] = Adoption(staging=staged, reason="moved").execute(raced)
    assert [verdict.state for verdict in verdicts] == [State.THERE, State.DIFFERS, State.STARTED]
    assert [book.get(key).version for key in (MAILER, other)] == [1, 1]
    assert len(list(book.entries(EntryQuery(actor="tester")))) == 1


def test_the_command_is_there() -> None:
    assert "adopt" in main.commands
    assert "export" in main.commands
