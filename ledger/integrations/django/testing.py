"""For tests: a ledger that is empty again, where Django's own tests cannot make it so."""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.test import utils

from ledger.errors import InvalidCursorError
from ledger.integrations.django import ledgers
from ledger.integrations.django.conf import configuration

__all__ = ["EmptyLedger", "empty"]


class EmptyLedger:
    """A mixin for `TransactionTestCase`: each test begins with an empty ledger.

    A `TestCase` needs none, because it rolls back what a test has done. A `TransactionTestCase`
    empties tables, but not those of the ledger, which refuse that; so they are made anew.

    >>> from django.test import TransactionTestCase
    >>> from ledger.integrations.django.testing import EmptyLedger
    >>> class DeliveryTests(EmptyLedger, TransactionTestCase):
    ...     def test_a_delivery(self):
    ...         ...
    """

    def setUp(self) -> None:
        """Empty the ledger of the settings."""
        empty()
        super().setUp()  # type: ignore[misc]


def empty(alias: str = "") -> None:
    """Drop the tables of the ledger in a database of a test, and make them anew.

    `alias` is the database, by default that of the settings. With pytest-django, call it in a
    fixture. Raises InvalidCursorError where no tests are run, or in a transaction.

    >>> from ledger.integrations.django.testing import empty
    >>> def with_empty_ledger(transactional_db):  # a fixture
    ...     empty()
    """
    alias = alias or configuration().database
    wrapper = connections[alias]
    # What `setup_test_environment` leaves until it is torn down, in every test runner.
    if not hasattr(utils._TestState, "saved_data"):
        raise InvalidCursorError(
            "no tests are run here, and only the ledger of a test is ever emptied: a log is kept."
        )
    if wrapper.in_atomic_block:
        raise InvalidCursorError(
            "this test is in a transaction, which is rolled back in the end. Nothing has to be "
            "emptied; or use TransactionTestCase."
        )
    ledgers.close(alias)
    with wrapper.cursor() as cursor:
        for statement in _DROPS[ledgers.vendor(alias)]:
            cursor.execute(statement.format(schema=_quoted(wrapper)))
    ledgers.make(alias)


def _quoted(wrapper: Any) -> str:
    return str(wrapper.ops.quote_name(configuration().schema))


_DROPS = {
    "sqlite": (
        "DROP VIEW IF EXISTS ledger_log",
        "DROP TABLE IF EXISTS ledger_events",
        "DROP TABLE IF EXISTS ledger_cursors",
        "DROP TABLE IF EXISTS ledger_tags",
        "DROP TABLE IF EXISTS ledger_tree",
        "DROP TABLE IF EXISTS ledger_identity",
        "DROP TABLE IF EXISTS ledger_archived",
        "DROP TABLE IF EXISTS ledger_archived_cursors",
        "DELETE FROM _sqlite_migrations WHERE migration_set = 'cursor-ledger'",
    ),
    "postgresql": (
        "DROP VIEW IF EXISTS {schema}.ledger_log",
        "DROP TABLE IF EXISTS {schema}.ledger_events",
        "DROP TABLE IF EXISTS {schema}.ledger_cursors",
        "DROP TABLE IF EXISTS {schema}.ledger_tags",
        "DROP TABLE IF EXISTS {schema}.ledger_tree",
        "DROP TABLE IF EXISTS {schema}.ledger_sessions",
        "DROP TABLE IF EXISTS {schema}.ledger_identity",
        "DROP TABLE IF EXISTS {schema}.ledger_migrations",
        "DROP SEQUENCE IF EXISTS {schema}.ledger_positions",
        "DROP FUNCTION IF EXISTS {schema}.ledger_refuse",
        "DROP FUNCTION IF EXISTS {schema}.ledger_gate",
        "DROP FUNCTION IF EXISTS {schema}.ledger_may_append",
        "DROP FUNCTION IF EXISTS {schema}.ledger_swallowed",
        "DROP FUNCTION IF EXISTS {schema}.ledger_note_session",
        "DROP FUNCTION IF EXISTS {schema}.ledger_refuse_session",
    ),
}
