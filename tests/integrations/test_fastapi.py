"""The programs of docs/fastapi.md, under uvicorn, asked by many at once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
import sqlalchemy

import ledger
from support.places import TOP
from support.servers import own_database
from support.serving import WAIT_S, answers, free_port, served, until

pytest.importorskip("fastapi", reason="FastAPI is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")

STORES = "every"

REQUESTS = 200
ACCOUNTS = 7
PROGRAMS = ["api", "threads", "plain"]
SERVERS = "a server is started, and imports FastAPI in each process"


@attrs.frozen
class Shop:
    """The database of a program, as the ledger and as SQLAlchemy name it, and its server."""

    target: str
    engine: sqlalchemy.Engine
    port: int

    def pay(self, account: str, amount: int) -> int:
        """Return the status that a payment is answered with."""
        url = f"http://127.0.0.1:{self.port}/accounts/{account}/payments?amount={amount}"
        request = urllib.request.Request(url, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
                json.load(answer)
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def run(self, statement: str) -> list[tuple[object, ...]]:
        with self.engine.begin() as connection:
            result = connection.execute(sqlalchemy.text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []


def write_programs(folder: Path) -> None:
    text = (TOP / "docs" / "fastapi.md").read_text("utf-8")
    for block in re.findall(r"^```py\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        name = block.partition("\n")[0].removeprefix("# ")
        (folder / name).write_text(block, "utf-8")


@contextmanager
def shop(kind: str, program: str, folder: Path, *options: str) -> Iterator[Shop]:
    """Run a program of the page over an empty database."""
    write_programs(folder)
    if kind == "sqlite":
        target = str(folder / "shop.db")
        with running(
            target, f"sqlite+aiosqlite:///{target}?timeout=60", program, folder, options
        ) as it:
            yield it
        return
    with own_database(kind) as target:
        url = target.replace("postgresql://", "postgresql+psycopg://")
        with running(target, url, program, folder, options) as own:
            yield own


@contextmanager
def running(
    target: str, url: str, program: str, folder: Path, options: tuple[str, ...]
) -> Iterator[Shop]:
    make = [sys.executable, "api.py"]
    with served(make, folder, DATABASE_URL=url) as making:
        assert making.wait(WAIT_S) == 0
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", *options, "--port", str(port), f"{program}:app"]
    engine = sqlalchemy.create_engine(url.replace("+aiosqlite", ""))
    with served(command, folder, DATABASE_URL=url):
        until(lambda: answers(port))
        yield Shop(target, engine, port)
    engine.dispose()


@pytest.mark.slow(SERVERS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_rows_and_cursors_agree_after_many_requests_at_once(
    kind: str, program: str, tmp_path: Path
) -> None:
    with shop(kind, program, tmp_path, "--workers", "2") as own:
        for number in range(ACCOUNTS):
            own.run(f"INSERT INTO accounts VALUES ('a-{number}', 0, 0)")
        together = threading.Barrier(REQUESTS)

        def request(number: int) -> int:
            together.wait()
            # What a third of them take away, no account ever has.
            return own.pay(f"a-{number % ACCOUNTS}", -1_000_000 if number % 3 == 0 else number)

        with ThreadPoolExecutor(REQUESTS) as threads:
            answers = list(threads.map(request, range(REQUESTS)))
        assert answers == [409 if number % 3 == 0 else 200 for number in range(REQUESTS)]
        rows = {row[0]: row[1:] for row in own.run("SELECT name, payments, balance FROM accounts")}
        paid = [(f"a-{n % ACCOUNTS}", n) for n in range(REQUESTS) if n % 3]
        counted = Counter(account for account, _ in paid)
        for account, (payments, balance) in rows.items():
            assert payments == counted[str(account)]
            assert balance == sum(amount for name, amount in paid if name == account)
        with ledger.open(own.target) as book:
            cursors = {cursor.key.subject_id: cursor for cursor in book.cursors()}
            assert {name: each.last_sequence for name, each in cursors.items()} == counted
            assert {name: each.version for name, each in cursors.items()} == counted
            assert book.verify().ok
        assert own.pay("nobody", 1) == 404
    assert "Traceback" not in (tmp_path / "log").read_text("utf-8")


@pytest.mark.parametrize(
    "program",
    [
        "api",
        *(pytest.param(name, marks=pytest.mark.slow(SERVERS)) for name in ("threads", "plain")),
    ],
)
def test_a_commit_that_fails_is_what_the_client_is_told(program: str, tmp_path: Path) -> None:
    with shop("postgres", program, tmp_path) as own:
        own.run("INSERT INTO accounts VALUES ('ines', 0, 0), ('omar', 5, 0)")
        # It is looked at when the transaction ends.
        own.run("ALTER TABLE accounts ADD UNIQUE (balance, payments) DEFERRABLE INITIALLY DEFERRED")
        own.run("INSERT INTO accounts VALUES ('tom', 1, 7)")
        assert own.pay("ines", 7) == 500
        assert own.pay("ines", 8) == 200
        assert own.run("SELECT payments, balance FROM accounts WHERE name = 'ines'") == [(1, 8)]
        with ledger.open(own.target) as book:
            assert [cursor.version for cursor in book.cursors()] == [1]


@pytest.mark.slow(SERVERS)
def test_a_program_keeps_no_connection_for_the_ledger(tmp_path: Path) -> None:
    with shop("postgres", "api", tmp_path) as own:
        own.run("INSERT INTO accounts VALUES ('ines', 0, 0)")
        assert own.pay("ines", 1) == 200
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        # The one of the pool of the program, and the one that counts.
        until(lambda: own.run(sessions) == [(2,)])


@pytest.mark.slow("mypy reads FastAPI and SQLAlchemy")
def test_the_programs_are_typed(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is not installed")
    write_programs(tmp_path)
    command = [sys.executable, "-m", "mypy", "--strict", *(f"{name}.py" for name in PROGRAMS)]
    said = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(TOP)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.stdout.startswith("Success"), said.stdout
