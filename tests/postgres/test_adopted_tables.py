"""Cursors in a table of somebody else's PostgreSQL database, which is only read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from ledger import CursorKey, InvalidCursorError, LedgerBusyError, StorageError
from ledger.exchange.sources import reading
from ledger.exchange.staging import Staged, staging
from support.servers import own_database

TABLE = """
CREATE SCHEMA service;
CREATE TABLE service.notification_cursors (
    consumer_id text, stream_name text, subject_id text, last_sequence bigint,
    last_delivery_id text, last_delivered_at timestamptz, last_error text
);
INSERT INTO service.notification_cursors VALUES
    ('webhooks', 'orders', '', 44, 'msg-44', '2026-05-05 18:00:01.5+02', ''),
    ('mailer', 'orders', 'eu', 0, '', '0001-01-01 00:00:00+00', 'HTTP 503')
"""
SELECT = "SELECT 'mailer' AS consumer_id, 'orders' AS stream_name, 41::bigint AS sequence"


@pytest.fixture
def url(kind: str) -> Iterator[str]:
    with own_database(kind) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(TABLE)
        yield url


def staged(url: str, query: str | None = None) -> list[Staged]:
    with staging() as found:
        with reading(url, query=query) as source:
            found.read(source, source.names, lambda _: None)
        return [row for page in found.rows() for row in page]


def test_the_table_of_cursors_is_read_in_the_schema_that_the_url_names(url: str) -> None:
    webhooks, mailer = staged(f"{url}{'&' if '?' in url else '?'}schema=service")
    assert (webhooks.key, webhooks.sequence) == (CursorKey("webhooks", "orders"), 44)
    moment = datetime(2026, 5, 5, 16, 0, 1, 500_000, tzinfo=UTC)
    assert (webhooks.delivery_id, webhooks.delivered_at) == ("msg-44", moment)
    assert (mailer.key, mailer.sequence) == (CursorKey("mailer", "orders", "eu"), 0)
    assert (mailer.delivery_id, mailer.delivered_at) == ("", None)
    assert webhooks.origin.startswith("table notification_cursors of postgresql://")
    assert "@" not in webhooks.origin


def test_a_query_is_read_page_by_page(url: str) -> None:
    found = staged(
        url,
        "SELECT 'c' AS consumer_id, 's' AS stream_name, i::text AS subject_id, i AS sequence, "
        "'100%' AS more FROM generate_series(1, 2500) AS n(i) WHERE 'x' LIKE '%x%' ORDER BY i;",
    )
    assert (len(found), found[-1].key) == (2500, CursorKey("c", "s", "2500"))


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM service.notification_cursors RETURNING *",
        "WITH gone AS (DELETE FROM service.notification_cursors RETURNING *) SELECT * FROM gone",
        f"{SELECT}; COMMIT; DELETE FROM service.notification_cursors",
        "SELECT setval('service.numbers', 7)",
        "SELECT nothing",
        "",
    ],
)
def test_a_query_that_writes_or_fails_is_refused(url: str, query: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SEQUENCE service.numbers")
    with pytest.raises(StorageError, match="could not be read"):
        staged(url, query)
    with psycopg.connect(url, autocommit=True) as connection:
        left = connection.execute("SELECT count(*) FROM service.notification_cursors").fetchone()
    assert left == (2,)


def test_a_query_that_fails_on_its_second_page_says_so(url: str) -> None:
    with pytest.raises(StorageError, match="division by zero"):
        staged(
            url,
            "SELECT 'c' AS consumer_id, 's' AS stream_name, 1 / (1500 - i) AS sequence "
            "FROM generate_series(1, 2500) AS n(i)",
        )


def test_a_table_that_is_locked_is_waited_for_and_then_said_to_be_busy(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("LOCK TABLE service.notification_cursors")
        with (
            pytest.raises(LedgerBusyError, match="locked by another program"),
            reading(
                url,
                query="SELECT * FROM service.notification_cursors",
                busy_timeout_s=0.1,
            ) as source,
        ):
            list(source.rows)


def test_values_of_other_types_are_refused_with_their_row(url: str) -> None:
    [number] = staged(url, SELECT.replace("41::bigint", "41.5::numeric"))
    assert "must be an integer, not a Decimal" in number.problem
    [naive] = staged(url, f"{SELECT}, '2026-05-05 16:00'::timestamp AS delivered_at")
    assert "has no zone" in naive.problem


def test_a_url_that_cannot_be_read_does_not_show_its_password() -> None:
    for url in (
        "postgresql://me:geheim@127.0.0.1:1/x?connect_timeout=1",
        "postgresql://me:gehe@im@127.0.0.1:1/x",
        "postgresql://me:geheim@127.0.0.1:port/x",
    ):
        with pytest.raises((StorageError, InvalidCursorError)) as refused:
            staged(url)
        assert "gehe" not in str(refused.value)


def test_a_query_that_never_ends_is_interrupted_and_ends_on_the_server(url: str) -> None:
    script = (
        "import sys\n"
        "from ledger.exchange.sources import reading\n"
        "print('ready', flush=True)\n"
        "with reading(sys.argv[1], query='SELECT pg_sleep(3600)'): pass\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        with psycopg.connect(url, autocommit=True) as connection:
            sleeping = (
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DECLARE%' "
                "AND state = 'active' OR query LIKE 'FETCH%' AND state = 'active'"
            )
            _until(lambda: connection.execute(sleeping).fetchone() == (1,))
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=20)
            finally:
                process.kill()
            _until(lambda: connection.execute(sleeping).fetchone() == (0,))
    assert process.returncode == -signal.SIGINT


def _until(holds: object) -> None:
    assert callable(holds)
    for _ in range(200):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen within 10 seconds")
