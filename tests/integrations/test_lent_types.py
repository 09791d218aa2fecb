"""mypy knows what may be lent, and to which ledger."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.places import TOP

api = pytest.importorskip("mypy.api")

PROGRAM = """
import sqlite3
from typing import Any
import aiosqlite, psycopg, sqlalchemy
from sqlalchemy.orm import Session, scoped_session
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
import ledger
from ledger.aio import AsyncLedger

def lend(book: ledger.Ledger, a: sqlite3.Connection, b: psycopg.Connection[Any], c: Session,
         d: scoped_session[Session], e: sqlalchemy.Connection, no: AsyncSession) -> None:
    for each in (book.using(a), book.using(b), book.using(c), book.using(d), book.using(e)):
        reveal_type(each)
    book.using(no)  # refused
    book.using(sqlalchemy.create_engine("sqlite://"))  # refused
    book.using("cursors.db")  # refused

async def lend_async(book: AsyncLedger, a: psycopg.AsyncConnection[Any], b: aiosqlite.Connection,
                     c: AsyncSession, d: AsyncConnection, no: Session) -> None:
    for each in (book.using(a), book.using(b), book.using(c), book.using(d)):
        reveal_type(each)
        reveal_type(await each.advance(ledger.CursorKey("a", "b"), to=1))
        async for entry in each.history(ledger.CursorKey("a", "b")):
            reveal_type(entry)
    book.using(no)  # refused
    await book.using(c).advance("a", to=1)  # refused
"""


def test_mypy_knows_what_may_be_lent(tmp_path: Path) -> None:
    program = tmp_path / "lends.py"
    program.write_text(PROGRAM)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    said, complaint, _ = api.run(
        [
            *("--strict", "--no-error-summary", "--python-version", version),
            *(
                "--config-file",
                str(TOP / "pyproject.toml"),
                "--cache-dir",
                str(TOP / ".mypy_cache"),
            ),
            str(program),
        ]
    )
    assert complaint == ""
    lines = [line.split(":", 2)[1:] for line in said.splitlines() if ": " in line]
    refused = {int(number) for number, text in lines if "error:" in text}
    wanted = {n for n, line in enumerate(PROGRAM.splitlines(), 1) if "# refused" in line}
    assert refused == wanted, said
    revealed = [text.partition('"')[2].rstrip('"') for _, text in lines if "Revealed" in text]
    assert revealed == [
        "ledger.service.Ledger",
        "ledger.aio.lent.AsyncLent",
        "ledger.law.cursor.Cursor",
        "ledger.law.events.Entry",
    ]


@pytest.mark.slow("pyright fetches itself the first time, and takes seconds of a core")
def test_pyright_knows_it_too(tmp_path: Path) -> None:
    pytest.importorskip("pyright", reason="pyright is not installed")
    program = tmp_path / "lends.py"
    program.write_text(PROGRAM)
    settings = {"extraPaths": [str(TOP)], "include": ["lends.py"]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    found = json.loads(said.stdout)["generalDiagnostics"]
    refused = {each["range"]["start"]["line"] + 1 for each in found if each["severity"] == "error"}
    wanted = {n for n, line in enumerate(PROGRAM.splitlines(), 1) if "# refused" in line}
    assert refused == wanted, found
    shown = [each["message"] for each in found if each["severity"] == "information"]
    names = [message.rpartition(" is ")[2].strip('"') for message in shown]
    assert names == ["Ledger", "AsyncLent", "Cursor", "Entry"]
