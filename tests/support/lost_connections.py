"""Connections to PostgreSQL that are lost on purpose."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest


class Cut:
    """Cuts the connection behind the commit, or before it, when the next transaction is sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, before: bool) -> None:
        self.left = 1
        execute = psycopg.Cursor.execute
        cut = self

        def executed(cursor: psycopg.Cursor[Any], statement: Any, *args: Any, **more: Any) -> Any:
            last = isinstance(statement, bytes) and (
                statement == b"COMMIT" or b"), moved AS" in statement or b"WITH moved" in statement
            )
            if not (last and cut.left):
                return execute(cursor, statement, *args, **more)
            cut.left -= 1
            if not before:
                execute(cursor, statement, *args, **more)
                if cursor.connection.info.pipeline_status:
                    cursor.connection._pipeline.sync()  # type: ignore[union-attr]
            cursor.connection.pgconn.finish()
            raise psycopg.OperationalError("the connection is lost")

        monkeypatch.setattr(psycopg.Cursor, "execute", executed)
