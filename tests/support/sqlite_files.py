"""What stands in a SQLite file, as SQLite itself tells it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

__all__ = ["definitions"]


def definitions(path: Path) -> str:
    with closing(sqlite3.connect(path)) as raw:
        rows = raw.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name")
        return "\n".join(map(str, rows))
