"""Our own stores keep the rules for stores, which every author of a store can run."""

from __future__ import annotations

from pathlib import Path

from ledger.conformance import check
from ledger.stores import Store, postgres, sqlite
from support.servers import drop, fresh_schema, server, with_schema


def test_the_store_keeps_the_rules(kind: str, tmp_path: Path) -> None:
    if kind == "sqlite":
        check(lambda name: sqlite.open_store(str(tmp_path / f"{name}.db"), durability="normal"))
        return
    schemas: dict[str, str] = {}

    def open_store(name: str) -> Store:
        schema = schemas.setdefault(name, fresh_schema())
        url = with_schema(server(kind), schema)
        return postgres.open_store(url, durability="normal", busy_timeout_s=10)

    try:
        check(open_store)
    finally:
        for schema in schemas.values():
            drop(server(kind), schema)
