"""When Django destroys a database of a test, nothing may be connected to it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import connections

__all__ = ["told"]


def told(alias: str, close: Callable[[str], None]) -> None:
    """Have `close` called with the alias of a database before a test runner destroys it."""
    # Django has no signal for it, and closes only its own connections. It makes one such object a
    # thread, so the method of their class is wrapped, once.
    kind = type(connections[alias].creation)
    if not hasattr(kind.destroy_test_db, "closes_ledgers"):
        kind.destroy_test_db = _closing_first(kind.destroy_test_db, close)


def _closing_first(
    destroy: Callable[..., None], close: Callable[[str], None]
) -> Callable[..., None]:
    @wraps(destroy)
    def destroy_test_db(self: Any, *given: Any, **named: Any) -> None:
        close(self.connection.alias)
        if self.connection.vendor == "sqlite":
            # A connection that only reads leaves the write-ahead log beside the file when it closes
            # last; Django's, which is closed next, takes it along.
            with self.connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM sqlite_master")
        destroy(self, *given, **named)

    destroy_test_db.closes_ledgers = True  # type: ignore[attr-defined]
    return destroy_test_db
