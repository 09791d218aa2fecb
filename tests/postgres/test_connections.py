"""URLs, connections, and what becomes of a call when the server goes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import ledger
import ledger.aio
from ledger import (
    AdvanceCursor,
    InvalidCursorError,
    StorageError,
    UnknownOutcomeError,
)
from ledger.stores.postgres.address import Address
from ledger.stores.postgres.connections import Pool
from support.cursors import ORDERS
from support.lost_connections import Cut
from support.servers import (
    ELSEWHERE,
    Server,
    connect,
    own_database,
    wheel_binaries,
    with_schema,
)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me:geheim@nowhere.invalid:bad/x", "nowhere.invalid"),
        ("postgresql://me:geheim@h/x?nonsense=1", "cannot be read"),
        ("postgresql://me:ge@heim@127.0.0.1:1/x", "cannot be read"),
        ("postgresql://me:ge/heim@127.0.0.1:1/x", "cannot be read"),
        ("postgresql://me:ge?heim@127.0.0.1:1/x", "Connection refused"),
        ("postgresql://me:ge?heim@127.0.0.1:1/x?schema=s", "cannot be read"),
        ("postgresql://me:geheim@h/x?schema=", "schema must have"),
        (f"postgresql://me:geheim@h/x?schema={'s' * 64}", "schema must have"),
        ("postgresql://me:geheim@h/x?schema=%00", "NUL"),
        ("postgresql://me:geheim@h/x?pool_max_size=1", "pool_max_size must be from 2"),
        ("postgresql://me:geheim@h/x?pool_min_size=-1", "pool_min_size"),
        ("postgresql://me:geheim@h/x?pool_min_size=many", "pool_min_size"),
        ("postgresql://me:geheim@127.0.0.1:1/x", "Connection refused"),
        ("postgresql://me:geheim@nowhere.invalid/x", "nowhere.invalid"),
    ],
)
def test_what_is_wrong_with_a_url_is_said_without_its_password(url: str, said: str) -> None:
    with pytest.raises((InvalidCursorError, StorageError), match=said) as caught:
        ledger.open(url)
    for shown in (str(caught.value), repr(caught.value)):
        assert "geheim" not in shown
        assert "heim" not in shown


def test_the_place_is_shown_without_user_and_password() -> None:
    address = Address.parse("postgresql://me:geheim@a:5,b:6/x?schema=s&target_session_attrs=any")
    assert address.place == "postgresql://a:5,b:6/x?schema=s"
    assert "geheim" not in repr(address)
    assert "schema" not in address.conninfo
    assert "target_session_attrs=any" in address.conninfo


def test_sessions_are_named_and_bounded(kind: str) -> None:
    # A database of its own, because other tests have sessions on the server at the same time.
    with (
        own_database(kind) as url,
        ledger.open(
            with_schema(url, "own", pool_min_size=1, pool_max_size=3), actor="tester"
        ) as book,
        connect(url) as raw,
    ):
        threads = [
            threading.Thread(target=lambda: [book.record_error(ORDERS, "x") for _ in range(20)])
            for _ in range(12)
        ]
        for thread in threads:
            thread.start()
        most = 0
        while any(thread.is_alive() for thread in threads):
            [count] = raw.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cursor-ledger'"
                " AND datname = current_database()"
            ).fetchone()  # type: ignore[misc]
            most = max(most, count)
        assert book.get(ORDERS).version == 240
        assert 1 <= most <= 3


def test_a_server_that_never_answers_is_not_waited_for_for_ever() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        url = f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/x"
        began = time.monotonic()
        with pytest.raises(StorageError, match="timeout"):
            ledger.open(url + "?connect_timeout=2")
        assert time.monotonic() - began < 8
        assert Address.parse(url).options["connect_timeout"] == 10
        assert "connect_timeout" not in Address.parse(url + "?connect_timeout=2").options


@pytest.fixture
def own_server() -> Iterator[Server]:
    if ELSEWHERE:
        pytest.skip("a server of somebody else is not stopped")
    own = Server(wheel_binaries()).make()
    yield own
    own.remove()


def test_it_goes_on_after_the_server_was_restarted(own_server: Server) -> None:
    with ledger.open(own_server.url, actor="tester") as book:
        for to in range(1, 5):
            book.advance(ORDERS, to=to)
        own_server.stop("immediate")
        own_server.start()
        assert book.get(ORDERS).version == 4
        assert book.advance(ORDERS, to=5).version == 5
        own_server.stop()
        restarting = threading.Timer(1, own_server.start)
        restarting.start()
        assert book.advance(ORDERS, to=6).version == 6
        restarting.join()
        assert book.verify().ok


def test_a_server_that_does_not_come_back_is_said_to_be_gone(own_server: Server) -> None:
    with ledger.open(own_server.url, actor="tester", busy_timeout_s=0.5) as book:
        book.advance(ORDERS, to=1)
        own_server.stop("immediate")
        with pytest.raises(StorageError):
            book.get(ORDERS)
        for _ in range(6):
            with pytest.raises(StorageError):
                book.advance(ORDERS, to=2)
        # And when it is back, the next call finds it, however long it was gone.
        own_server.start()
        assert book.advance(ORDERS, to=2).version == 2


def test_a_loss_that_is_noticed_late_is_still_made_good(target: str) -> None:
    with (
        ledger.open(target + "&application_name=late", actor="tester", busy_timeout_s=1) as book,
        connect(target) as raw,
    ):
        book.advance(ORDERS, to=1)
        raw.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN PERFORM pg_sleep(1.5); RETURN NEW; END'"
        )
        raw.execute(
            "CREATE TRIGGER slow BEFORE INSERT ON ledger_events"
            " FOR EACH ROW EXECUTE FUNCTION slow()"
        )
        # By then the call has been on its way for longer than its time-out.
        killing = threading.Timer(
            1.2,
            lambda: raw.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'late'"
            ),
        )
        killing.start()
        began = time.monotonic()
        assert book.advance(ORDERS, to=2).version == 2
        assert time.monotonic() - began > 2.5
        killing.join()
        assert [entry.version for entry in book.history(ORDERS)] == [1, 2]


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("requests", [1, 2, 100])
@pytest.mark.parametrize("known", [True, False])
def test_a_commit_whose_answer_was_lost_is_applied_once(
    target: str, monkeypatch: pytest.MonkeyPatch, requests: int, before: bool, known: bool
) -> None:
    with ledger.open(target, actor="tester") as book:
        start = 0
        if known:
            start = 1
            book.advance(ORDERS, to=1)
        with monkeypatch.context() as patched:
            cut = Cut(patched, before=before)
            cursors = book.append(
                [AdvanceCursor(ORDERS, start + n) for n in range(1, requests + 1)]
            )
            assert cut.left == 0
        assert cursors[-1].version == start + requests
        assert [entry.version for entry in book.history(ORDERS)] == list(
            range(1, start + requests + 1)
        )
        assert book.get(ORDERS) == cursors[-1]
        assert book.verify().ok


def test_an_outcome_that_cannot_be_found_out_is_said_to_be_unknown(
    own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger.open(own_server.url, actor="tester", busy_timeout_s=1) as book:
        book.advance(ORDERS, to=1)
        with monkeypatch.context() as patched:
            Cut(patched, before=False)
            stopping = threading.Thread(target=own_server.stop, args=("immediate",))
            lend = Pool._lend

            def lend_once_more(pool: Pool, *args: Any) -> Any:
                if stopping.ident is None:
                    patched.setattr(Pool, "_go_on_or_raise", gone)
                return lend(pool, *args)

            going = Pool._go_on_or_raise

            def gone(*args: Any) -> None:
                stopping.start()
                stopping.join()
                patched.setattr(Pool, "_go_on_or_raise", going)
                going(*args)

            patched.setattr(Pool, "_lend", lend_once_more)
            with pytest.raises(UnknownOutcomeError, match="not known"):
                book.advance(ORDERS, to=2)
        own_server.start()
        assert book.get(ORDERS).version == 2


def test_an_outcome_that_somebody_keeps_locked_is_unknown_too(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger.open(target, actor="tester", busy_timeout_s=0.3) as book:
        book.advance(ORDERS, to=1)
        with connect(target, autocommit=False) as holder, monkeypatch.context() as patched:
            Cut(patched, before=True)
            going = Pool._go_on_or_raise

            def hold(*args: Any) -> None:
                # As the lost one may hold it still.
                holder.execute("SELECT 1 FROM ledger_cursors FOR UPDATE")
                patched.setattr(Pool, "_go_on_or_raise", going)
                going(*args)

            patched.setattr(Pool, "_go_on_or_raise", hold)
            with pytest.raises(UnknownOutcomeError, match="look at webhooks/orders"):
                book.advance(ORDERS, to=2)
        assert book.advance(ORDERS, to=2).version == 2
