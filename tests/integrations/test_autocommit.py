"""Connections of SQLAlchemy in AUTOCOMMIT, on an engine whose transactions begin IMMEDIATE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ledger import Ledger, StorageError
from support.cursors import ORDERS

sqlalchemy = pytest.importorskip("sqlalchemy")

from sqlalchemy import orm

from ledger.integrations.sqlalchemy import begin_immediate


@pytest.mark.parametrize("said_by", ["engine", "connection", "session"])
def test_in_autocommit_nothing_begins_that_nobody_would_commit(
    book: Ledger, path: Path, said_by: str
) -> None:
    option = {"isolation_level": "AUTOCOMMIT"}
    own = sqlalchemy.create_engine(f"sqlite:///{path}", **(option if said_by == "engine" else {}))
    begin_immediate(own)
    lent: Any = own.connect()
    if said_by == "connection":
        lent.execution_options(**option)
    elif said_by == "session":
        lent.close()
        lent = orm.Session(own.execution_options(**option))
    with lent:
        lent.execute(sqlalchemy.text("CREATE TABLE mine (n INTEGER)"))
        lent.execute(sqlalchemy.text("INSERT INTO mine VALUES (1)"))
        with pytest.raises(StorageError, match="Take AUTOCOMMIT off it"):
            book.using(lent).advance(ORDERS, to=1)
    with own.connect() as again:
        assert again.execute(sqlalchemy.text("SELECT n FROM mine")).scalar() == 1
    own.dispose()
    assert book.find(ORDERS) is None
