"""Roles of a PostgreSQL server that may do with a ledger what docs/postgresql.md grants them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from ledger.stores.postgres.address import Address
from support.places import TOP
from support.servers import ELSEWHERE, connect

__all__ = ["as_user", "dispatching_role", "role_of"]


@contextmanager
def dispatching_role(target: str) -> Iterator[str]:
    """Return the URL of the ledger for a role that was granted what the page says, and no more."""
    if ELSEWHERE:
        pytest.skip("no role is made on a server of somebody else")
    schema = Address.parse(target).schema
    role = f"r_{schema}"
    page = (TOP / "docs/postgresql.md").read_text("utf-8")
    granting = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)[0]
    with connect(target) as owner:
        granting = granting.replace("deliveries", schema).replace("dispatcher", role)
        owner.execute(granting.encode())
    yield as_user(target, role)
    with connect(target) as owner:
        owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def as_user(target: str, role: str) -> str:
    return target.replace("postgres@", f"{role}@", 1)


def role_of(target: str) -> str:
    """Return the role that logs in with a URL."""
    return str(psycopg.conninfo.conninfo_to_dict(Address.parse(target).conninfo)["user"])
