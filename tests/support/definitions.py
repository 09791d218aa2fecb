"""What the migrations make on PostgreSQL, as the catalogs of a fresh ledger have it."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg

import ledger
from ledger.stores.postgres import migrations, structure
from support.servers import drop, fresh_schema, server, with_schema

KEPT = Path(structure.__file__).parent / "schema" / "definitions.json"


def fresh_definitions(kind: str) -> dict[str, str]:
    schema = fresh_schema()
    with ledger.open(with_schema(server(kind), schema)):
        pass
    with psycopg.connect(server(kind), options="-c search_path=pg_catalog") as connection:
        # A checkpoint makes it later.
        migrations.add_tree(connection, schema)
        made = structure.definitions(connection, schema)
    drop(server(kind), schema)
    return dict(sorted(made.items()))


if __name__ == "__main__":
    KEPT.write_text(json.dumps(fresh_definitions("postgres"), indent=1) + "\n", "utf-8")
