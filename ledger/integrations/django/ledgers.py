"""The ledger in a database of Django: inside its transactions, and on connections of its own."""

from __future__ import annotations

import os
import threading
import weakref
from functools import partial
from typing import Any

import attrs
from django.db import connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

import ledger
from ledger import targets
from ledger.errors import InvalidCursorError, SchemaVersionError, StorageError
from ledger.integrations.django import destroying
from ledger.integrations.django.conf import VENDORS, Configuration, configuration, vendor
from ledger.integrations.django.places import MEMORY, target
from ledger.opening import open_on, postgres
from ledger.per_process import LazyLedger, PerProcess
from ledger.service import Ledger
from ledger.stores import Store, sqlite

__all__ = ["book", "close", "make", "make_missing", "using", "vendor"]

_LABEL = "cursor_ledger"


def using(alias: str = "") -> Ledger:
    """Return the ledger inside the transaction that this thread has open in Django's database.

    What is appended is committed or rolled back together with the rows of your models; savepoints,
    that is, blocks of `atomic` inside others, are followed. Ask for it where you use it: it belongs
    to this thread and to this transaction. `alias` is a database of `DATABASES`; by default that of
    the settings.

    Raises StorageError outside of `transaction.atomic`, SchemaVersionError if the database has no
    ledger, InvalidCursorError.

    >>> import ledger
    >>> from django.db import transaction
    >>> from ledger.integrations import django as cursors
    >>> def ship(order):
    ...     with transaction.atomic():
    ...         order.save()
    ...         cursors.using().advance(ledger.CursorKey("shipping", "orders"), to=order.pk)
    """
    said = _configuration(alias)
    vendor(said.database)
    wrapper = connections[said.database]
    if not wrapper.in_atomic_block:
        raise StorageError(
            f"there is no transaction in the database {said.database!r} to be part of. Write with "
            "transaction.atomic(): … around this call and the rows that belong to it, or set "
            "ATOMIC_REQUESTS. Outside of transactions, use book()."
        )
    if wrapper.needs_rollback:
        raise StorageError(
            "the transaction failed before, and Django rolls it back. Put what may fail into a "
            "block of its own, with transaction.atomic(): …, so that only this is rolled back."
        )
    wrapper.ensure_connection()
    return _root(said).using(wrapper.connection)


def book(alias: str = "") -> Ledger:
    """Return the ledger in Django's database, on connections of its own.

    For consumers and workers, and to wait, to verify and to read outside of transactions. All
    threads of a process share it; it is opened when it is first used, anew after a fork, and closed
    when the process exits: see `ledger.lazy`. It sees what was committed, and commits by itself,
    whatever transaction this thread has open: `using` is inside of that. `alias` is a database of
    `DATABASES`; by default that of the settings.

    In the database in memory of a test, there is one connection, which is Django's; so it sees what
    a transaction has done so far, and refuses to append beside one.

    Raises InvalidCursorError; and when it is used, SchemaVersionError if the database has no
    ledger, StorageError.

    >>> import ledger
    >>> from ledger.integrations import django as cursors
    >>> def deliver_orders(fetch, deliver):
    ...     with cursors.book().consumer(ledger.CursorKey("mailer", "orders")) as consumer:
    ...         consumer.run(fetch, deliver)
    """
    said = _configuration(alias)
    place = target(said.database, said.schema)
    if place == MEMORY:
        return _in_memory(said)
    destroying.told(said.database, close)
    with _one:
        key = (said, place)
        if key not in _books:
            opened = PerProcess(partial(_open, said, place), shared=True)
            _books[key] = LazyLedger(opened, partial(book, said.database))
        return _books[key]


def make(alias: str) -> None:
    """Make the tables in the database, or bring them up to date; else only look at them.

    Raises SchemaVersionError if a newer version has made them, StorageError.
    """
    said = _configuration(alias)
    place = target(said.database, said.schema)
    if place == MEMORY:
        _in_memory(said, make=True)
        return
    ledger.open(place, **said.options).close()


def make_missing(alias: str) -> None:
    """Make the tables if they are not there, and no migration of Django will make them.

    Either its record says that they are made, or the settings have switched migrations off, as
    tests do: in MIGRATION_MODULES, or by `--no-migrations` of pytest-django.
    """
    wrapper = connections[alias]
    if wrapper.vendor not in VENDORS or _has_tables(_configuration(alias), wrapper):
        return
    module, _ = MigrationLoader.migrations_module(_LABEL)
    if module is None or (_LABEL, "0001_tables") in MigrationRecorder(wrapper).applied_migrations():
        make(alias)


def close(alias: str) -> None:
    """Close what is open on the database, and forget it: it is about to go."""
    with _one:
        for kept in (_books, _roots):
            for said, place in [key for key in kept if key[0].database == alias]:
                kept.pop((said, place)).close()
        _stores.pop(connections[alias], None)


# --- what is kept in a process ---

_one = threading.RLock()


def _in_child() -> None:
    global _one  # noqa: PLW0603 - another thread of the parent may hold it
    _one = threading.RLock()


os.register_at_fork(after_in_child=_in_child)

_books: dict[tuple[Configuration, str], Ledger] = {}

# Closed, because nothing but `using` is asked of them: no connection stays open for that.
_roots: dict[tuple[Configuration, str], Ledger] = {}

# Of each connection to a database in memory, by Django's own object, which a thread keeps.
_stores: weakref.WeakKeyDictionary[Any, tuple[object, Store]] = weakref.WeakKeyDictionary()


def _configuration(alias: str) -> Configuration:
    said = configuration()
    if not alias or alias == said.database:
        return said
    if alias not in connections:
        raise InvalidCursorError(
            f"{alias!r} is none of DATABASES: {', '.join(map(str, connections))}."
        )
    return attrs.evolve(said, database=alias)


def _open(said: Configuration, place: str) -> Ledger:
    """Open the ledger, if there is one: Django's migrations make it, and nothing else does."""
    if targets.is_postgres(place):
        there, _ = postgres().look(place)
    else:
        # A file that is not there has none.
        there = os.path.exists(place) and sqlite.look(place)  # noqa: PTH110 - a path of text
    if not there:
        raise _none(said)
    return ledger.open(place, **said.options)


def _root(said: Configuration) -> Ledger:
    place = target(said.database, said.schema)
    if place == MEMORY:
        return _in_memory(said)
    destroying.told(said.database, close)
    with _one:
        if (root := _roots.get((said, place))) is None:
            with _open(said, place) as root:
                _roots[said, place] = root
        return root


def _in_memory(said: Configuration, *, make: bool = False) -> Ledger:
    """Return a ledger on the one connection of a database in memory."""
    wrapper = connections[said.database]
    wrapper.ensure_connection()
    if not make and not _has_tables(said, wrapper):
        raise _none(said)
    with _one:
        kept = _stores.get(wrapper)
        if kept is None or kept[0] is not wrapper.connection:
            kept = (wrapper.connection, sqlite.open_shared(wrapper.connection))
            _stores[wrapper] = kept
    return open_on(
        lambda: kept[1],
        actor=said.actor,
        clock=said.clock,
        require_epoch=said.require_epoch,
        busy_timeout_s=said.busy_timeout_s,
    )


def _has_tables(said: Configuration, wrapper: Any) -> bool:
    with wrapper.cursor() as cursor:
        if wrapper.vendor == "sqlite":
            cursor.execute("SELECT 1 FROM sqlite_master WHERE name = 'ledger_cursors'")
            return bool(cursor.fetchone())
        cursor.execute("SELECT to_regclass(format('%%I.ledger_cursors', %s::text))", [said.schema])
        return bool(cursor.fetchone()[0])


def _none(said: Configuration) -> SchemaVersionError:
    return SchemaVersionError(
        f"the database {said.database!r} has no ledger. Make its tables: python manage.py migrate "
        f"cursor_ledger{'' if said.database == 'default' else f' --database {said.database}'}"
    )
