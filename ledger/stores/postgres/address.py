"""Where a ledger on PostgreSQL is: what is libpq's business in its URL, and what is ours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import unquote

import attrs
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from ledger import fields
from ledger.errors import InvalidCursorError

__all__ = ["Address"]

SCHEMA_BYTES_MAX = 63
POOL_MAX = 1_000

# By itself a connection waits for over two minutes.
CONNECT_TIMEOUT_S = 10

# libpq does not know these; all others are left to it.
_OURS = ("schema", "pool_min_size", "pool_max_size")


@attrs.frozen(kw_only=True)
class Address:
    """A URL taken apart. What is shown of it has neither user nor password."""

    conninfo: str = attrs.field(repr=False)
    connect_timeout_s: int | None
    """How long a server is waited for; None where libpq is told otherwise."""
    schema: str
    pool_min_size: int
    pool_max_size: int
    place: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Take `url` apart: `postgresql://…`, as libpq has it, and in its query what is ours.

        `schema` is where the tables are, `public` unless it is given; `pool_min_size` connections
        are kept, and `pool_max_size` are opened at most.

        Raises InvalidCursorError. It never repeats the URL, which may have a password in it.
        """
        front, question, query = url.partition("?")
        ours: dict[str, str] = {}
        theirs = []
        for part in query.split("&") if question else ():
            name, _, value = part.partition("=")
            if name in _OURS:
                ours[name] = unquote(value)
            else:
                theirs.append(part)
        conninfo = front + (question + "&".join(theirs) if any(theirs) else "")
        try:
            known = conninfo_to_dict(conninfo)
        except ProgrammingError:
            raise InvalidCursorError(
                "the URL of the database cannot be read. It goes postgresql://user@host:port/name"
                "?schema=…, where special characters are written as %40 and so on."
            ) from None
        schema = ours.get("schema", "public")
        # PostgreSQL would cut it off silently.
        too_long = len(schema.encode(errors="replace")) > SCHEMA_BYTES_MAX
        if not schema.strip() or too_long or fields.storable(schema, "schema") != schema:
            raise InvalidCursorError(f"schema must have from 1 to 63 bytes, not {schema!r:.80}.")
        pool_min_size = _size(ours, "pool_min_size", least=0, default=1)
        return cls(
            conninfo=conninfo,
            connect_timeout_s=(
                None
                if known.get("connect_timeout") or os.environ.get("PGCONNECT_TIMEOUT")
                else CONNECT_TIMEOUT_S
            ),
            schema=schema,
            pool_min_size=pool_min_size,
            pool_max_size=_size(
                ours, "pool_max_size", least=max(2, pool_min_size), default=max(20, pool_min_size)
            ),
            place=_place(known, schema),
        )


def _size(ours: dict[str, str], name: str, *, least: int, default: int) -> int:
    given = ours.get(name, str(default))
    if not given.isascii() or not given.isdigit() or not least <= int(given[:9]) <= POOL_MAX:
        raise InvalidCursorError(f"{name} must be from {least} to {POOL_MAX}, not {given!r:.80}.")
    return int(given)


def _place(known: Mapping[str, object], schema: str) -> str:
    hosts = str(known.get("host") or known.get("hostaddr") or "").split(",")
    ports = str(known.get("port") or "").split(",")
    if len(ports) < len(hosts):
        ports *= len(hosts)
    where = ",".join(
        # A path is the folder of a socket, and no host.
        host + (f":{port}" if port and host and not host.startswith("/") else "")
        for host, port in zip(hosts, ports, strict=False)
    )
    database = str(known.get("dbname") or known.get("service") or "")
    return f"postgresql://{where}/{database}" + ("" if schema == "public" else f"?schema={schema}")
