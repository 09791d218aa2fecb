"""The SQL of policies on PostgreSQL, for the tables of one schema."""

from __future__ import annotations

from functools import lru_cache

from ledger.log import tags
from ledger.stores.postgres.statements import catalog, quoted
from ledger.stores.tables import ENTRY_NAMES, TAG_IDS

__all__ = ["policy_statement"]


@lru_cache(maxsize=64)
def policy_statement(schema: str) -> bytes:
    """Return the statement for the last reset of each cursor of a consumer on some streams.

    It is found by the index of keys, and then by that of cursor and version, backwards over
    anything else on it. The index has the keys up to 2,400 bytes, and a policy has no longer one.
    """
    s, eq, plus = quoted(schema).replace("%", "%%"), catalog("="), catalog("+")
    key_length = f" {plus} ".join(
        f"pg_catalog.octet_length(c.{part})"
        for part in ("stream_name", "subject_id", "consumer_id")
    )
    return f"""
        SELECT {", ".join(ENTRY_NAMES)} FROM {s}.ledger_cursors AS c
        CROSS JOIN LATERAL (
            SELECT * FROM {s}.ledger_events AS m
            WHERE m.cursor_id {eq} c.id AND m.tag_id {eq} {TAG_IDS[tags.RESET]}
            ORDER BY m.version DESC LIMIT 1
        ) AS e
        LEFT JOIN {s}.ledger_tags AS t ON t.id {eq} e.tag_id
        WHERE {key_length} {catalog("<=")} 2400
            AND c.stream_name {eq} ANY(%s) AND c.consumer_id {eq} %s
    """.encode()
