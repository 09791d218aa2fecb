"""Where a ledger on PostgreSQL is: what is libpq's business in its URL, and what is ours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import attrs
import psycopg
from psycopg.conninfo import conninfo_to_dict

from ledger.errors import InvalidCursorError
from ledger.law import fields

__all__ = ["OWN_PATH", "Address", "checked_schema", "place_of"]

SCHEMA_BYTES_MAX = 63
POOL_MAX = 1_000

# Before anything else: on the path of a role or a database there may be operators and functions
# that somebody else has made, and they would run with our rights. This statement asks for none.
OWN_PATH = b"SET search_path = pg_catalog, pg_temp"

# By itself libpq waits over two minutes for a server that does not answer, and a quarter of an hour
# or more for one that has gone without a word. A service is left to its file.
DEFAULTS = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}

# libpq does not know these; all others are left to it.
_OURS = ("schema", "pool_min_size", "pool_max_size")

_UNREADABLE = (
    "the URL of the database cannot be read. It goes postgresql://user@host:port/name?schema=…; "
    "special characters in it are written as %40 (for @) and so on; after the ?, the parameters of "
    "libpq are allowed, and schema, pool_min_size and pool_max_size."
)


@attrs.frozen(kw_only=True)
class Address:
    """A URL taken apart. What is shown of it has neither user nor password."""

    conninfo: str = attrs.field(repr=False)
    options: Mapping[str, Any] = attrs.field(repr=False)
    """What psycopg is told beside."""
    schema: str
    pool_min_size: int
    pool_max_size: int
    place: str

    def connect(self) -> psycopg.Connection[Any]:
        """Connect once. What psycopg raises is raised."""
        connection = psycopg.connect(self.conninfo, **self.options)
        try:
            connection.execute(OWN_PATH)
        except BaseException:
            connection.close()
            raise
        return connection

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
        except psycopg.ProgrammingError:
            raise InvalidCursorError(_UNREADABLE) from None
        authority, _, name = front.partition("://")[2].partition("/")
        if authority.count("@") > 1 or "@" in name:
            # The end of a password, most likely, which would be taken for a host, or for the name.
            raise InvalidCursorError(_UNREADABLE)
        schema = checked_schema(ours.get("schema", "public"))
        pool_min_size = _size(ours, "pool_min_size", least=0, default=1)
        return cls(
            conninfo=conninfo,
            options={
                "autocommit": True,
                "fallback_application_name": "cursor-ledger",
                "client_encoding": "UTF8",
                **_defaults(known),
            },
            schema=schema,
            pool_min_size=pool_min_size,
            pool_max_size=_size(
                ours, "pool_max_size", least=max(2, pool_min_size), default=max(20, pool_min_size)
            ),
            place=place_of(known, schema),
        )


def checked_schema(schema: object) -> str:
    """Return `schema`, if it may be the name of one.

    Raises InvalidCursorError.
    """
    if isinstance(schema, str):
        # PostgreSQL would cut it off silently.
        too_long = len(schema.encode(errors="replace")) > SCHEMA_BYTES_MAX
        if schema.strip() and not too_long and fields.storable(schema, "schema") == schema:
            return schema
    raise InvalidCursorError(f"schema must have from 1 to 63 bytes, not {schema!r:.80}.")


def _defaults(known: Mapping[str, object]) -> dict[str, int]:
    if "service" in known or "PGSERVICE" in os.environ:
        return {}
    said = {*known, *(["connect_timeout"] if "PGCONNECT_TIMEOUT" in os.environ else [])}
    return {name: value for name, value in DEFAULTS.items() if name not in said}


def _size(ours: dict[str, str], name: str, *, least: int, default: int) -> int:
    given = ours.get(name, str(default))
    if not given.isascii() or not given.isdigit() or not least <= int(given[:9]) <= POOL_MAX:
        raise InvalidCursorError(f"{name} must be from {least} to {POOL_MAX}, not {given!r:.80}.")
    return int(given)


def place_of(known: Mapping[str, object], schema: str) -> str:
    """Return the name of a place, without user and password."""
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
