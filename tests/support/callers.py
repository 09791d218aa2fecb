"""Connections of a caller's own to the database of a ledger."""

from __future__ import annotations

import sqlite3
from typing import Any

import psycopg

from ledger.stores.postgres.address import Address

__all__ = ["connected"]


def connected(target: str) -> Any:
    """Return a connection that begins transactions as its driver does."""
    if not target.startswith("postgres"):
        return sqlite3.connect(target)
    address = Address.parse(target)
    return psycopg.connect(address.conninfo, options=f"-c search_path={address.schema}")
