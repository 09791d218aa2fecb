"""What a ledger on PostgreSQL logs: losses, retries, other servers, and calls that wait."""

from __future__ import annotations

import time

from psycopg.conninfo import conninfo_to_dict

import ledger
from ledger import AdvanceCursor
from support.campaign.proxy import Proxy
from support.cursors import JOBS, ORDERS
from support.records import recorded
from support.servers import connect


def facts(record: object, *names: str) -> list[object]:
    return [getattr(record, name) for name in ("event", *names)]


def test_a_lost_connection_and_the_one_after_it_are_logged(target: str) -> None:
    with (
        ledger.open(target + "&application_name=logged", actor="me") as book,
        connect(target) as raw,
    ):
        book.advance(ORDERS, to=1)
        with recorded() as records:
            raw.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'logged'"
            )
            assert book.advance(ORDERS, to=2).version == 2
    events = [facts(record)[0] for record in records]
    assert "connection_lost" in events
    assert events.index("connection_lost") < events.index("connected")
    assert "failed_over" not in events
    [place, cause] = facts(records[events.index("connection_lost")], "place", "cause")[1:]
    assert str(place).startswith("postgresql://")
    assert cause


def test_a_transaction_that_is_retried_is_logged(target: str) -> None:
    with ledger.open(target, actor="me") as book, connect(target) as raw:
        raw.execute("CREATE SEQUENCE tried")
        raw.execute(
            "CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF nextval(quote_ident(TG_TABLE_SCHEMA) || '.tried') = 1 THEN"
            " RAISE 'not yet' USING ERRCODE = '40001'; END IF;"
            " RETURN NEW; END $$"
        )
        raw.execute(
            "CREATE TRIGGER fail_once BEFORE INSERT ON ledger_events"
            " FOR EACH ROW EXECUTE FUNCTION fail_once()"
        )
        with recorded() as records:
            assert book.advance(ORDERS, to=1).version == 1
    [retried] = [each for each in records if facts(each) == ["transaction_retried"]]
    assert "not yet" in str(facts(retried, "cause")[1])


def test_a_call_that_is_put_off_is_logged(target: str) -> None:
    with ledger.open(target, actor="me") as book, connect(target, autocommit=False) as caller:
        book.advance(JOBS, to=1)
        book.using(caller).advance(JOBS, to=2)
        with recorded() as records:
            waiting = book.submit(AdvanceCursor(JOBS, 3))
            until = time.monotonic() + 10
            while not any(facts(each) == ["calls_put_off"] for each in records):
                assert time.monotonic() < until
                time.sleep(0.01)
            caller.commit()
            assert waiting.result(10).version == 3
    assert ["calls_put_off", 1] in [
        facts(each, "calls") for each in records if facts(each) == ["calls_put_off"]
    ]


def test_another_server_is_logged_with_both(target: str) -> None:
    with connect(target) as raw:
        info = raw.info
        host, port, options = info.host, info.port, conninfo_to_dict(target.partition("?")[0])
    if host.startswith("/"):
        host = "127.0.0.1"
    proxy = Proxy(host, port)
    user, database = options["user"], options["dbname"]
    query = target.partition("?")[2]
    url = f"postgresql://{user}@127.0.0.1:{proxy.port},localhost:{port}/{database}?{query}"
    try:
        with ledger.open(url, actor="me") as book, recorded() as records:
            book.advance(ORDERS, to=1)
            proxy.close()
            assert book.advance(ORDERS, to=2).version == 2
    finally:
        proxy.close()
    over = [each for each in records if facts(each) == ["failed_over"]]
    assert facts(over[0], "server", "before")[1:] == [
        f"localhost:{port}",
        f"127.0.0.1:{proxy.port}",
    ]
