"""What `manage.py check` finds in the settings."""

from __future__ import annotations

from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

import ledger
from ledger.errors import LedgerError
from ledger.integrations.django.conf import NAME, configuration
from ledger.integrations.django.places import target

__all__ = ["settings_are_right"]

_PSYCOPG_3 = "Install psycopg 3, which Django prefers to psycopg2: pip install 'psycopg[binary]'."


def settings_are_right(**_: object) -> list[CheckMessage]:
    """Return what is wrong; nothing is connected to."""
    try:
        said = configuration()
        if connections[said.database].vendor == "postgresql" and _has_psycopg_2():
            return [
                Error("the ledger cannot use psycopg2.", hint=_PSYCOPG_3, id="cursor_ledger.E003")
            ]
        place = target(said.database, said.schema)
        ledger.lazy(place, **said.options)
    except ImproperlyConfigured as error:
        return [Error(str(error), id="cursor_ledger.E001")]
    except (LedgerError, TypeError) as error:
        return [Error(f"{NAME}: {error}", id="cursor_ledger.E002")]
    return []


def _has_psycopg_2() -> bool:
    from django.db.backends.postgresql.psycopg_any import is_psycopg3

    return not is_psycopg3
