"""Cursors in a table of somebody else's SQLite file, which is only read."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ledger import CursorKey, InvalidCursorError, LedgerBusyError, StorageError
from ledger.exchange.sources import Format, reading
from ledger.exchange.staging import Staged, staging
from support.commands import COMMAND

TABLE = """
CREATE TABLE notification_cursors (
    consumer_id TEXT NOT NULL, stream_name TEXT NOT NULL, subject_id TEXT NOT NULL DEFAULT '',
    last_sequence INTEGER NOT NULL, last_delivery_id TEXT, last_delivered_at DATETIME,
    last_error TEXT, updated_at DATETIME NOT NULL,
    PRIMARY KEY (consumer_id, stream_name, subject_id)
);
INSERT INTO notification_cursors VALUES
    ('webhooks', 'orders', '', 44, 'msg-44', '2026-05-05 16:00:01.5 +0000 UTC', '', '2026-05-05'),
    ('mailer', 'orders', 'eu', 0, '', '0001-01-01T00:00:00Z', 'HTTP 503', '2026-05-05'),
    (' mailer ', 'jobs', '', 7, NULL, NULL, NULL, '2026-05-05');
"""
SELECT = "SELECT 'mailer' AS consumer_id, 'orders' AS stream_name, 41 AS sequence"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "service.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(TABLE)
    before = hashlib.sha256(path.read_bytes()).digest()
    yield path
    assert hashlib.sha256(path.read_bytes()).digest() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def staged(path: Path, query: str | None = None) -> list[Staged]:
    with staging() as found:
        with reading(str(path), query=query) as source:
            found.read(source, source.names, lambda _: None)
        return [row for page in found.rows() for row in page]


def test_the_table_of_cursors_is_read_without_a_query(database: Path) -> None:
    origin = f"table notification_cursors of file {database}"
    assert staged(database) == [
        Staged(line=1, key=CursorKey("mailer", "jobs"), sequence=7, origin=origin),
        Staged(
            line=2,
            key=CursorKey("webhooks", "orders"),
            sequence=44,
            delivery_id="msg-44",
            delivered_at=datetime(2026, 5, 5, 16, 0, 1, 500_000, tzinfo=UTC),
            origin=origin,
        ),
        Staged(line=3, key=CursorKey("mailer", "orders", "eu"), sequence=0, origin=origin),
    ]


def test_a_query_names_its_columns(database: Path) -> None:
    [found] = staged(database, f"{SELECT}, 'd-1' AS delivery_id, 'x%y' AS more;  ")
    assert (found.sequence, found.delivery_id) == (41, "d-1")
    assert found.origin == f"query on file {database}"
    many = staged(
        database,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) "
        "SELECT 'c' AS consumer_id, json_extract('{\"a\": \"s\"}', '$.a') AS stream_name, "
        "i AS subject_id, i AS sequence FROM n",
    )
    assert (len(many), many[-1].key, many[-1].line) == (2500, CursorKey("c", "s", "2500"), 2500)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("DELETE FROM notification_cursors", "does more than to read"),
        ("INSERT INTO notification_cursors SELECT * FROM notification_cursors", "does more than"),
        ("UPDATE notification_cursors SET last_sequence = 1 RETURNING *", "does more than"),
        ("ATTACH 'other.db' AS other", "does more than to read"),
        ("PRAGMA journal_mode = DELETE", "does more than to read"),
        ("VACUUM INTO 'other.db'", "does more than to read"),
        ("CREATE TEMP TABLE x AS SELECT 1", "does more than to read"),
        ("BEGIN", "does more than to read"),
        (f"{SELECT}, 1 AS sequence", "two columns 'sequence'"),
        ("SELECT 1 AS consumer_id", "needs a column 'stream_name'; there are consumer_id"),
        ("", "selects nothing"),
        ("-- nothing", "selects nothing"),
    ],
)
def test_a_query_that_is_not_one_select_is_refused(database: Path, query: str, said: str) -> None:
    with pytest.raises(InvalidCursorError, match=said):
        staged(database, query)


@pytest.mark.parametrize(
    "query",
    ["SELECT nothing", "SELEKT", f"{SELECT}; DELETE FROM notification_cursors", "SELECT * FROM x"],
)
def test_a_query_that_fails_says_so(database: Path, query: str) -> None:
    with pytest.raises(StorageError, match="could not be read"):
        staged(database, query)


def test_values_that_are_not_integers_or_text_are_refused_with_their_row(database: Path) -> None:
    found = staged(
        database,
        " UNION ALL ".join(
            f"SELECT 'mailer' AS consumer_id, 'orders' AS stream_name, {value} AS sequence"
            for value in ("9e99", "X'00'", "9223372036854775808", "-1", "' 41 '", "NULL", "''")
        ),
    )
    said = [row.problem or row.sequence for row in found]
    assert said == [
        "sequence must be an integer, not the float 9e+99.",
        "sequence must be an integer, not a bytes.",
        "sequence must be an integer, not the float 9.223372036854776e+18.",
        "sequence must be from 0 to 9223372036854775807, not -1.",
        41,
        None,
        "sequence must be an integer, not ''.",
    ]


def test_text_that_is_not_utf_8_is_refused_with_its_row(database: Path) -> None:
    bad, good = staged(
        database,
        "SELECT CAST(X'ff' AS TEXT) AS consumer_id, 'orders' AS stream_name, 1 AS sequence "
        f"UNION ALL {SELECT}",
    )
    assert "lone surrogate" in bad.problem
    assert good.sequence == 41


def test_a_file_without_the_table_and_a_file_that_is_damaged_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE x (y)")
    with pytest.raises(StorageError, match=r"no such table: notification_cursors.*Without --sql"):
        staged(path)
    path.write_bytes(path.read_bytes()[:4_000])
    with pytest.raises(StorageError, match="could not be read"):
        staged(path)


def test_a_database_has_no_format_and_a_text_no_query(database: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(InvalidCursorError, match="the source is a database"),
        reading(str(database), form=Format.JSON),
    ):
        pass
    with (
        pytest.raises(InvalidCursorError, match="the source is a database"),
        reading(str(database), path="data"),
    ):
        pass
    text = tmp_path / "offsets.csv"
    text.write_text("mailer,orders,0,41\n")
    with pytest.raises(InvalidCursorError, match="the source is text"):
        staged(text, SELECT)
    text.unlink()


def test_what_others_write_meanwhile_is_neither_blocked_nor_seen(tmp_path: Path) -> None:
    path = tmp_path / "service.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript("PRAGMA journal_mode = WAL;" + TABLE)
        with reading(str(path)) as source:
            first = next(source.rows)
            connection.execute("UPDATE notification_cursors SET last_sequence = 99")
            rest = list(source.rows)
    assert [row.values["last_sequence"] for row in (first, *rest)] == [7, 44, 0]  # type: ignore[union-attr]


def test_a_file_that_is_locked_is_waited_for_and_then_said_to_be_busy(tmp_path: Path) -> None:
    path = tmp_path / "service.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(TABLE)
        connection.execute("BEGIN EXCLUSIVE")
        with (
            pytest.raises(LedgerBusyError, match="locked by another program"),
            reading(str(path), busy_timeout_s=0.1) as source,
        ):
            list(source.rows)
        # To look at it has not dropped the lock, either.
        busy = [str(COMMAND), "--busy-timeout", "0.1", "adopt", str(path)]
        assert subprocess.run(busy, capture_output=True, check=False).returncode == 75


def wait_until_open(process: int, file: Path) -> None:
    """Wait until a process has a file open, however long its imports take beside other things."""
    descriptors = Path(f"/proc/{process}/fd")
    if not descriptors.exists():
        time.sleep(2)
        return
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            if any(each.resolve() == file.resolve() for each in descriptors.iterdir()):
                return
        time.sleep(0.05)
    raise TimeoutError(f"{file} was not opened")


def test_the_command_is_interrupted_while_it_reads(database: Path) -> None:
    with subprocess.Popen(
        [COMMAND, "--db", database.with_name("none"), "adopt", database, "--sql", ENDLESS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        wait_until_open(process.pid, database)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        try:
            printed, said = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, printed, said) == (130, b"", b"")


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


def test_a_query_that_never_ends_is_interrupted(database: Path) -> None:
    script = (
        "import sys\n"
        "from ledger.exchange.sources import reading\n"
        "print('ready', flush=True)\n"
        f"with reading(sys.argv[1], query={ENDLESS!r}): pass\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, database],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        try:
            _, said = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGINT
    assert said.splitlines()[-1] == b"KeyboardInterrupt"
