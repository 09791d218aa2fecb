"""What cannot be lent, and where those who try may have what can."""

from __future__ import annotations

from ledger.errors import InvalidCursorError
from ledger.law.fields import kind

__all__ = ["not_to_be_lent"]

_PSYCOPG_3 = "psycopg 3 is what SQLAlchemy has behind postgresql+psycopg://."

_HINTS = {
    "sqlalchemy": "SQLAlchemy has one at session.connection().connection.driver_connection.",
    "django": "Django has one at connection.connection, inside transaction.atomic().",
    "psycopg2": _PSYCOPG_3,
    "asyncpg": _PSYCOPG_3,
}


def not_to_be_lent(connection: object, wanted: str, place: str) -> InvalidCursorError:
    """Return the refusal of `connection`, which is none of the driver's."""
    cls = type(connection)
    package = cls.__module__.partition(".")[0]
    named = kind(connection) if package == "builtins" else f"a {cls.__module__}.{cls.__qualname__}"
    hint = _HINTS.get(package, "")
    return InvalidCursorError(
        f"connection must be a {wanted} to {place}, not {named}.{hint and ' '}{hint}"
    )
