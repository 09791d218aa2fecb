"""A ledger of the version before starts, on a server: used as it is, until the first start."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import ledger
from ledger import CursorKey, SchemaVersionError
from ledger.stores.postgres import migrations
from support.cursors import JOBS, ORDERS
from support.roles import dispatching_role
from support.servers import connect

NEW = CursorKey("new", "orders")
WHY: dict[str, Any] = {"source": "kafka group mailer", "reason": "moved here"}


@pytest.fixture
def older(target: str) -> str:
    """Take away what came with starts: no more than these two rows."""
    with ledger.open(target, actor="tester") as book:
        book.advance(ORDERS, to=41)
        book.reset(ORDERS, to=7, reason="again")
        book.record_error(JOBS, "HTTP 503")
    with connect(target) as owner:
        owner.execute("DELETE FROM ledger_tags WHERE id = 4")
        owner.execute("DELETE FROM ledger_migrations WHERE name = %s", (migrations.STARTS,))
    return target


def applied(target: str) -> tuple[list[str], int]:
    with connect(target) as owner:
        names = owner.execute("SELECT name FROM ledger_migrations ORDER BY name").fetchall()
        [(tags,)] = owner.execute("SELECT count(*) FROM ledger_tags").fetchall()
    return [name for (name,) in names], tags


AS_IT_WAS = ([*migrations.SCHEMAS, migrations.SESSIONS], 3)
WITH_STARTS = ([*migrations.SCHEMAS, migrations.STARTS, migrations.SESSIONS], 4)


def test_it_is_used_as_it_is_until_the_first_start(older: str) -> None:
    with ledger.open(older, actor="ines") as book:
        kept = book.checkpoint()
        assert book.verify(kept).ok
        book.advance(ORDERS, to=50)
        book.consumer(ORDERS, take_over="deploy")
        assert applied(older) == AS_IT_WAS
        assert book.start(NEW, at=41, **WHY).version == 1
        assert applied(older) == WITH_STARTS
        assert book.start(CursorKey("newer", "orders"), at=7, **WHY).version == 1
        assert book.verify(kept).ok
    with connect(older) as owner:
        shown = owner.execute("SELECT tag, sequence, reason, message FROM ledger_log").fetchall()
    assert ("cursor.started.v1", 41, "moved here", "kafka group mailer") in shown


@pytest.mark.parametrize("many", [1, 40])
def test_a_callers_transaction_takes_it_along_or_back(older: str, many: int) -> None:
    requests = [ledger.StartCursor(CursorKey("new", "orders", str(n)), n, "x") for n in range(many)]
    with ledger.open(older, actor="ines") as book, connect(older, autocommit=False) as caller:
        # Nothing is looked for along the caller's path.
        caller.execute("SET search_path = pg_temp")
        caller.execute("CREATE TEMPORARY TABLE ledger_tags (id int, tag text)")
        caller.commit()
        book.using(caller).append(requests)
        caller.rollback()
        assert applied(older) == AS_IT_WAS
        book.using(caller).append(requests)
        caller.commit()
        assert applied(older) == WITH_STARTS
        assert book.find(requests[-1].key) is not None
        assert book.verify().ok


def test_sessions_that_start_at_once_add_it_once(older: str) -> None:
    begin, answers = threading.Barrier(4), []

    def run(nth: int) -> None:
        with ledger.open(older, actor="ines") as book:
            begin.wait()
            answers.append(book.start(CursorKey(f"new {nth}", "orders"), at=nth, **WHY).version)

    threads = [threading.Thread(target=run, args=(nth,)) for nth in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [1] * 4
    assert applied(older) == WITH_STARTS


def test_one_that_waits_for_another_to_add_it_has_a_busy_time_out(older: str) -> None:
    with (
        ledger.open(older, actor="ines") as book,
        ledger.open(older, actor="omar", busy_timeout_s=0.3) as other,
        connect(older, autocommit=False) as caller,
    ):
        book.using(caller).start(NEW, at=41, **WHY)
        with pytest.raises(ledger.LedgerBusyError):
            other.start(CursorKey("newer", "orders"), at=7, **WHY)
        caller.rollback()
        assert other.start(CursorKey("newer", "orders"), at=7, **WHY).version == 1
        assert book.verify().ok


@pytest.fixture
def as_role(older: str) -> Iterator[str]:
    """The URL of the ledger for a role that was granted what the page says, and no more."""
    with dispatching_role(older) as url:
        yield url


def test_a_role_that_may_not_add_it_is_told_who_may(older: str, as_role: str) -> None:
    with ledger.open(as_role, actor="dispatcher") as book:
        with pytest.raises(SchemaVersionError, match="Start one cursor as the owner of the tables"):
            book.start(NEW, at=41, **WHY)
        assert book.advance(ORDERS, to=50).last_sequence == 50
        with connect(as_role, autocommit=False) as caller:
            with pytest.raises(SchemaVersionError):
                book.using(caller).start(NEW, at=41, **WHY)
            # Only that is undone.
            book.using(caller).advance(ORDERS, to=51)
            caller.commit()
        assert book.verify().ok
        with ledger.open(older, actor="ines") as owners:
            owners.start(NEW, at=41, **WHY)
        assert book.start(CursorKey("newer", "orders"), at=7, **WHY).version == 1
        assert book.get(ORDERS).last_sequence == 51


def test_a_session_that_is_killed_in_the_middle_leaves_it_as_it_was(older: str) -> None:
    with ledger.open(older, actor="ines") as book:
        caller = connect(older, autocommit=False)
        book.using(caller).start(NEW, at=41, **WHY)
        with connect(older) as owner:
            owner.execute("SELECT pg_terminate_backend(%s)", (caller.info.backend_pid,))
        with pytest.raises(psycopg.OperationalError):
            caller.execute("SELECT 1")
        assert applied(older) == AS_IT_WAS
        assert book.find(NEW) is None
        assert book.start(NEW, at=41, **WHY).version == 1
        assert book.verify().ok
