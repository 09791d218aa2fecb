"""Targets for `ledger.open`: each is a file or a schema that nobody has used yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.servers import drop, fresh_schema, server, with_schema

__all__ = ["new_target"]


@contextmanager
def new_target(kind: str, path: Path) -> Iterator[str]:
    """Give what `ledger.open` takes: a file that is not there yet, or a schema that is not."""
    if kind == "sqlite":
        yield str(path)
        return
    schema = fresh_schema()
    yield with_schema(server(kind), schema)
    drop(server(kind), schema)
