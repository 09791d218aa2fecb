"""What cannot be lent, and where those who try may have what can."""

from __future__ import annotations

from ledger.errors import InvalidCursorError
from ledger.fields import kind

__all__ = ["not_to_be_lent"]


def not_to_be_lent(connection: object, wanted: str, place: str) -> InvalidCursorError:
    """Give the refusal of `connection`, which is none of the driver's."""
    cls = type(connection)
    named = f"a {cls.__module__}.{cls.__qualname__}" if connection is not None else kind(None)
    hints = {
        "sqlalchemy": "SQLAlchemy has one at session.connection().connection.driver_connection",
        "django": "Django has one at connection.connection, inside transaction.atomic()",
    }
    hint = hints.get(cls.__module__.partition(".")[0])
    return InvalidCursorError(
        f"connection must be a {wanted} to {place}, not {named.replace('a builtins.', 'a ')}."
        + (f" {hint}." if hint else "")
    )
