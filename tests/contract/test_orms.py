"""Inside the transactions of SQLAlchemy and Django, on the driver's connection that they have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import django
import django.conf
import django.db
import pytest
import sqlalchemy
import sqlalchemy.orm
from django.db import transaction

import ledger
from ledger import AdvanceCursor, InvalidCursorError, StorageError
from support.cursors import JOBS, ORDERS
from support.modules import with_django
from support.servers import own_database


@attrs.frozen
class Orm:
    """What a program does with one: a transaction, or one in another; and SQL of its own."""

    atomic: Callable[[], AbstractContextManager[object]]
    nested: Callable[[], AbstractContextManager[object]]
    execute: Callable[[str], Any]
    lend: Callable[[], Any]
    own: Callable[[], Any]
    """What is not the driver's connection, but may be taken for it."""


@contextmanager
def sqlalchemy_on(url: str) -> Iterator[Orm]:
    engine = sqlalchemy.create_engine(url)
    with sqlalchemy.orm.Session(engine) as session:
        yield Orm(
            atomic=session.begin,
            nested=session.begin_nested,
            execute=lambda statement: session.execute(sqlalchemy.text(statement)),
            lend=lambda: session.connection().connection.driver_connection,
            own=session.connection,
        )
    engine.dispose()


@contextmanager
def django_on(**settings: Any) -> Iterator[Orm]:
    with_django()
    databases = django.db.utils.ConnectionHandler({"default": settings})
    connection = databases["default"]

    def execute(statement: str) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else None

    def atomic() -> AbstractContextManager[object]:
        atomic: AbstractContextManager[object] = transaction.Atomic(
            using="default", savepoint=True, durable=False
        )
        return atomic

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transaction, "get_connection", lambda _: connection)
        yield Orm(atomic, atomic, execute, lambda: connection.connection, lambda: connection)
    connection.close()


@pytest.fixture(params=["sqlite", "postgres", "postgres-bound-by-server"])
def places(request: pytest.FixtureRequest, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a ledger's target, and what Django is told of the same database."""
    if request.param == "sqlite":
        yield str(path), {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}
        return
    with own_database("postgres") as url:
        parts = urlsplit(url)
        yield (
            url,
            {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": parts.path[1:],
                "HOST": parts.hostname,
                "PORT": parts.port,
                "USER": parts.username,
                "OPTIONS": {"server_side_binding": request.param != "postgres"},
            },
        )


@pytest.fixture(params=["SQLAlchemy", "Django"])
def orm(request: pytest.FixtureRequest, places: tuple[str, dict[str, Any]]) -> Iterator[Orm]:
    target, settings = places
    with ExitStack() as stack:
        if request.param == "Django":
            yield stack.enter_context(django_on(**settings))
        elif target.startswith("postgresql://"):
            url = target.replace("postgresql://", "postgresql+psycopg://")
            yield stack.enter_context(sqlalchemy_on(url))
        else:
            yield stack.enter_context(sqlalchemy_on(f"sqlite:///{target}"))


def test_the_ledger_goes_with_the_transaction_of_an_orm(
    orm: Orm, places: tuple[str, dict[str, Any]]
) -> None:
    with ledger.open(places[0], actor="orm") as book:
        with orm.atomic():
            orm.execute("CREATE TABLE mine (n INTEGER)")
            lent = book.using(orm.lend())
            lent.advance(ORDERS, to=1, delivery_id="100% 'é'", metadata={"a%s": "%(b)s"})
            lent.record_error(ORDERS, "100%s")
            lent.append([AdvanceCursor(JOBS, n) for n in range(1, 60)])
            assert len(list(lent.entries())) == 61
        assert book.get(ORDERS).version == 2
        with suppress(ZeroDivisionError), orm.atomic():
            orm.execute("INSERT INTO mine VALUES (1)")
            book.using(orm.lend()).advance(ORDERS, to=2)
            raise ZeroDivisionError
        with orm.atomic():
            with suppress(ZeroDivisionError), orm.nested():
                orm.execute("INSERT INTO mine VALUES (2)")
                book.using(orm.lend()).advance(ORDERS, to=3)
                raise ZeroDivisionError
            book.using(orm.lend()).advance(ORDERS, to=4)
            orm.execute("INSERT INTO mine VALUES (3)")
        with orm.atomic():
            assert [tuple(row) for row in orm.execute("SELECT n FROM mine")] == [(3,)]
        assert [entry.version for entry in book.history(ORDERS)] == [1, 2, 3]
        assert book.get(ORDERS).last_sequence == 4
        assert book.verify().ok


def test_what_django_has_around_the_connection_is_refused_with_where_to_look(
    places: tuple[str, dict[str, Any]],
) -> None:
    refused = pytest.raises(InvalidCursorError, match=r"has one at .*connection")
    with (
        ledger.open(places[0], actor="orm") as book,
        django_on(**places[1]) as orm,
        orm.atomic(),
        refused,
    ):
        book.using(orm.own())


def test_django_outside_of_a_transaction_is_refused(places: tuple[str, dict[str, Any]]) -> None:
    with ledger.open(places[0], actor="orm") as book, django_on(**places[1]) as orm:
        orm.execute("SELECT 1")
        with pytest.raises(StorageError, match="autocommit mode"):
            book.using(orm.lend()).advance(ORDERS, to=1)
