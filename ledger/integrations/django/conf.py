"""What `CURSOR_LEDGER` in the settings says, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import attrs
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from ledger.errors import InvalidCursorError
from ledger.opening import BUSY_TIMEOUT_S, utc_now
from ledger.stores import Durability

__all__ = ["NAME", "VENDORS", "Configuration", "configuration", "vendor"]

NAME = "CURSOR_LEDGER"
VENDORS = frozenset({"sqlite", "postgresql"})


@attrs.frozen(kw_only=True)
class Configuration:
    """The settings of the app, by the names that `ledger.open` has for them."""

    database: str = "default"
    schema: str = "public"
    actor: str = ""
    clock: Callable[[], datetime] = utc_now
    durability: Durability = "full"
    busy_timeout_s: float = BUSY_TIMEOUT_S
    require_epoch: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """What opens a ledger, apart from where it is."""
        return attrs.asdict(
            self, filter=lambda field, _: field.name not in {"database", "schema"}, recurse=False
        )


_NAMES = tuple(field.name.upper() for field in attrs.fields(Configuration))


def configuration() -> Configuration:
    """Return what the settings say; what they do not say is the default.

    Raises ImproperlyConfigured.
    """
    # Imported here, because tools that look at what a module has would load the settings.
    from django.conf import settings

    given: object = getattr(settings, NAME, {})
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"{NAME} must be a dict, not {type(given).__name__}.")
    if unknown := sorted(str(name) for name in given if name not in _NAMES):
        raise ImproperlyConfigured(
            f"{NAME} has {', '.join(unknown)}, which it does not know. It knows "
            f"{', '.join(_NAMES)}."
        )
    found = Configuration(**{name.lower(): value for name, value in given.items()})
    if found.database not in connections:
        raise ImproperlyConfigured(
            f"{NAME}['DATABASE'] is {found.database!r}, which is none of DATABASES: "
            f"{', '.join(map(str, connections))}."
        )
    return found


def vendor(alias: str) -> str:
    """Return `sqlite` or `postgresql`.

    Raises InvalidCursorError if the database is of another kind.
    """
    found = str(connections[alias].vendor)
    if found not in VENDORS:
        raise InvalidCursorError(
            f"the database {alias!r} is of {found}; a ledger is kept in SQLite or PostgreSQL. Name "
            f"another one in {NAME}['DATABASE']."
        )
    return found
