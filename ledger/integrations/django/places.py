"""Where Django's database is, as `ledger.open` is told."""

from __future__ import annotations

import os
from urllib.parse import quote

from django.db import connections

from ledger.integrations.django.conf import vendor

__all__ = ["MEMORY", "target"]

MEMORY = ":memory:"


def target(alias: str, schema: str) -> str:
    """Return the path of the database, its URL, or `MEMORY`.

    Raises InvalidCursorError.
    """
    if vendor(alias) == "postgresql":
        return _url(alias, schema)
    wrapper = connections[alias]
    if wrapper.is_in_memory_db():
        return MEMORY
    return os.path.abspath(str(wrapper.settings_dict["NAME"]))  # noqa: PTH100 - no link is followed


def _url(alias: str, schema: str) -> str:
    """Return the URL with all that Django tells libpq, and nothing of what it tells psycopg."""
    # Imported here, because projects on SQLite need no driver of PostgreSQL.
    from psycopg.pq import Conninfo

    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    given = {
        name: str(value)
        for name, value in connections[alias].get_connection_params().items()
        # The encoding of the ledger's connections is its own.
        if name in known and name != "client_encoding" and value is not None
    }
    said = {**given, "schema": schema, "pool_min_size": "0"}
    return "postgresql://?" + "&".join(
        f"{name}={quote(each, safe='')}" for name, each in said.items()
    )
