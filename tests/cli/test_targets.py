"""A connection string is never taken for the name of a file, and its password is never shown."""

from __future__ import annotations

import asyncio
import os
import subprocess
import traceback
from pathlib import Path

import pytest
from click.testing import CliRunner

import ledger
import ledger.aio
from ledger import CursorKey, InvalidCursorError, LedgerError
from ledger.cli.typed.target import Target
from ledger.targets import shown
from projections.cli import main
from support.preloaded import COMMAND

ORDERS = CursorKey("webhooks", "orders")

STRINGS = [
    "host=db.example password=geheim",
    "password=geheim",
    "dbname=x user=me password = 'ge heim geheim'",
    "HOST=h PASSWORD=geheim",
    "nonsense host=h password=geheim",
    "Server=h;User Id=me;Password=geheim",
    "sslmode=require sslpassword=geheim",
    "oauth_client_secret=geheim",
    "host=h\npassword=geheim",
    "postgresql:/me:geheim@h/x",
    "postgresql:me:geheim@h/x",
    "postgres:/me:geheim@h/x",
    "POSTGRESQL://me:geheim@h/x",
    "Postgres://me:geheim@h/x",
    "jdbc:postgresql://h/x?user=me&password=geheim",
    "postgresql+psycopg://me:geheim@h/x",
    "postgresql+psycopg2:/me:geheim@h/x",
    "mysql://me:geheim@h/x",
    "mysql:/me:geheim@h/x",
    "mongodb+srv://me:geheim@h/x",
    "sqlite:///geheim.db",
    "sqlite:geheim.db",
    "sqlite+pysqlite:///geheim.db",
    "file:geheim.db?mode=ro",
    "whatever://me:geheim@h/x",
    " postgresql://me:geheim@h/x",
    "\tpostgresql://me:geheim@h/x",
    "\npostgres://me:geheim@h/x\n",
    "//me:geheim@h/x",
    "postgresql//me:geheim@h/x",
    "postgresql;//me:geheim@h/x",
    "host//:geheim@h",
    "me:geheim@h:5432/x",
    "postgresql://me:geheim@h/x\0",
]
# libpq or the ledger itself refuses these.
URLS = [
    "postgresql://me:geheim@nowhere.invalid/x",
    "postgresql://me:ge@heim:geheim@nowhere.invalid/x",
    "postgresql://me:geheim/geheim@nowhere.invalid/x",
    "postgresql://nowhere.invalid/x?password=geheim",
    "postgresql://nowhere.invalid/x?pasword=geheim",
    "postgresql://me:geheim@nowhere.invalid:port/x",
    "postgresql://me:geheim@[::1/x",
    "postgresql://me:geheim @nowhere.invalid/x",
]
NAMES = [
    "a=b.db",
    "region=eu.db",
    "./host=x.db",
    "my=host.db",
    "12:30.db",
    "me@work.db",
    "a,b;c.db",
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def everything(error: BaseException) -> str:
    """Return all that is ever shown of an exception, and of those behind it."""
    told = "".join(traceback.format_exception(error))
    seen: BaseException | None = error
    while seen is not None:
        told += repr(seen) + repr(seen.args) + repr(vars(seen))
        seen = seen.__cause__ or seen.__context__
    return told


async def open_for_asyncio(target: str) -> None:
    await ledger.aio.open(target)


@pytest.mark.parametrize("target", STRINGS)
def test_a_connection_string_is_refused_with_the_form_to_use(folder: Path, target: str) -> None:
    for work in (lambda: ledger.open(target), lambda: asyncio.run(open_for_asyncio(target))):
        with pytest.raises(InvalidCursorError) as refused:
            work()
        assert "geheim" not in everything(refused.value)
        if "\0" not in target:
            assert "Write postgresql://user@host:port/database" in str(refused.value)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("target", [target for target in STRINGS if "\0" not in target])
def test_a_command_refuses_it_wherever_it_is_typed(folder: Path, target: str) -> None:
    advance = ["advance", "webhooks", "orders", "--to", "1"]
    for name, arguments, environment in (
        ("--db", ["--db", target, *advance], {}),
        ("--db", [*advance, "--db", target], {}),
        ("--db", advance, {"CURSOR_LEDGER_DB": target}),
        ("--db", ["list"], {"CURSOR_LEDGER_DB": target}),
        ("SOURCE", ["copy", target, "other.db"], {}),
    ):
        done = CliRunner(env=environment).invoke(main, arguments)
        assert done.exit_code == 2, done.output
        assert f"{name} looks like" in done.stderr
        assert "geheim" not in done.output
    assert not list(folder.iterdir())


def test_copy_refuses_it_as_the_target(folder: Path) -> None:
    with ledger.open("source.db", actor="x") as book:
        book.advance(ORDERS, to=1)
    for target in STRINGS[:-1]:
        done = CliRunner().invoke(main, ["copy", "source.db", target])
        assert (done.exit_code, "TARGET looks like" in done.stderr) == (2, True)
        assert "geheim" not in done.output
    assert [path.name for path in folder.iterdir()] == ["source.db"]


@pytest.mark.parametrize("target", URLS)
def test_a_url_that_does_not_work_does_not_show_its_password(folder: Path, target: str) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(LedgerError) as refused:
        ledger.open(target, busy_timeout_s=1)
    assert "geheim" not in str(refused.value) + repr(refused.value)
    done = CliRunner().invoke(main, ["--db", target, "list"])
    assert done.exit_code in {1, 2}
    assert "geheim" not in done.output
    assert not list(folder.iterdir())


@pytest.mark.parametrize("target", [STRINGS[0], STRINGS[9], STRINGS[12], URLS[0], URLS[1]])
def test_a_password_in_the_wrong_place_is_not_repeated(target: str) -> None:
    for arguments in (
        [target, "list"],
        ["list", target],
        ["copy", "a", "b", target],
        ["append", target],
        ["verify", "--against", target],
        ["list", "--limit", target],
        ["list", f"--dbb={target}"],
        ["--busy-timeout", target, "list"],
        ["show", target, "--help"],
    ):
        done = CliRunner(env={"CURSOR_LEDGER_DB": target}).invoke(main, arguments)
        assert "geheim" not in done.output, arguments
    for arguments in (["--help"], ["list", "--help"], []):
        done = CliRunner(env={"CURSOR_LEDGER_DB": target}).invoke(main, arguments)
        assert "Usage:" in done.output
        assert "geheim" not in done.output


def test_what_a_program_keeps_of_a_target_does_not_show_its_password() -> None:
    for target in (*STRINGS, *URLS):
        if "pasword" in target or target.startswith(("sqlite", "file")):
            continue  # No password, as far as anybody can tell.
        assert "geheim" not in shown(target), target
        assert "geheim" not in repr(Target(path=target, actor=None, busy_timeout_s=1)), target
    for name in NAMES:
        assert shown(name) == name


@pytest.mark.parametrize("name", NAMES)
def test_a_file_may_be_called_so(folder: Path, name: str) -> None:
    with ledger.open(name, actor="x") as book:
        book.advance(ORDERS, to=1)
    assert (folder / name).is_file()
    done = CliRunner().invoke(main, ["--db", name, "list"])
    assert done.exit_code == 0
    # By its whole path it may be called anything.
    with ledger.open(folder / "host=x password=y.db", actor="x") as book:
        book.advance(ORDERS, to=1)


def test_nothing_is_shown_by_the_program_itself(folder: Path) -> None:
    done = subprocess.run(
        [COMMAND, "list"],
        env={**os.environ, "CURSOR_LEDGER_DB": STRINGS[0]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "geheim" not in done.stdout + done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(folder.iterdir())
