"""`manage.py cursor_ledger`: who acts, which database it is, and what it prints to be typed."""

from __future__ import annotations

import re
import shlex

import pytest

import ledger
from ledger import CursorKey
from ledger.cli.typed.target import default_actor
from support.django_projects import Project

STORES = "every"

COMMAND = "python manage.py cursor_ledger"


def advance(project: Project, consumer: str, *words: str) -> str:
    """Append by the command; return who did so."""
    project.manage("cursor_ledger", *words, "advance", consumer, "orders", "--to", "3")
    with ledger.open(project.target) as book:
        return next(book.history(CursorKey(consumer, "orders"))).actor


def test_the_user_who_types_is_the_actor_and_not_the_service(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CURSOR_LEDGER_ACTOR", raising=False)
    assert advance(project, "by-nobody") == default_actor()
    monkeypatch.setenv("CURSOR_LEDGER_ACTOR", "ines")
    assert advance(project, "by-variable") == "ines"
    assert advance(project, "by-option", "--actor", "tom") == "tom"
    words = ["reset", "by-variable", "orders", "--to", "1", "--reason", "x", "--execute", "--yes"]
    project.manage("cursor_ledger", *words)
    project.shell(
        "from ledger.integrations.django import book; book().advance(\n"
        "__import__('ledger').CursorKey('by-program', 'orders'), to=1)"
    )
    with ledger.open(project.target) as book:
        *_, reset = book.history(CursorKey("by-variable", "orders"))
        [by_program] = book.history(CursorKey("by-program", "orders"))
    assert (reset.actor, by_program.actor) == ("ines", "shop")


@pytest.mark.parametrize(
    "words",
    [["--db", "x.db", "list"], ["list", "--db", "x.db"], ["list", "--db="], ["--db=x.db", "heads"]],
    ids=" ".join,
)
def test_another_ledger_is_refused_with_the_option_that_names_one(
    unused: Project, words: list[str]
) -> None:
    said = " ".join(unused.manage("cursor_ledger", *words, code=2).split())
    assert f"in a database of Django. Name the database: {COMMAND} --database" in said
    assert "--database ALIAS …, where ALIAS is one of default, other." in said
    assert not (unused.folder / "x.db").exists()


def test_a_variable_for_the_other_command_is_not_looked_at(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURSOR_LEDGER_DB", str(project.folder / "stray.db"))
    assert advance(project, "by-django", "--actor", "ines") == "ines"
    assert not (project.folder / "stray.db").exists()


@pytest.mark.parametrize("words", [["--database", "nope", "list"], ["list", "--database=nope"]])
def test_an_alias_that_is_none_is_refused_in_one_line(unused: Project, words: list[str]) -> None:
    assert unused.manage("cursor_ledger", *words, code=2) == (
        "CommandError: --database 'nope' is none of DATABASES; they are: default, other.\n"
    )


def test_help_shows_the_option_of_django(unused: Project) -> None:
    said = unused.manage("cursor_ledger", "--help")
    assert "--database ALIAS" in said
    assert "default, other" in " ".join(said.split())
    assert "--db" not in said
    for name in ("list", "reset", "describe", "advance"):
        said = unused.manage("cursor_ledger", name, "--help")
        assert f"Usage: {COMMAND} {name}" in said
        assert f"    {COMMAND} {name}" in said.partition("Examples:")[2]
        assert not re.search(r"--db\b|cursor-ledger [a-z]", said)


def test_what_is_printed_to_be_typed_is_the_command_of_django(project: Project) -> None:
    advance(project, "planned", "--actor", "ines")
    plan = ["reset", "planned", "orders", "--to", "1", "--reason", "lost it", "--actor", "ines"]
    said = project.manage("cursor_ledger", *plan)
    assert "hunter2" not in said
    [typed] = re.findall(rf"^  ({COMMAND} reset .*)$", said, re.MULTILINE)
    project.manage(*shlex.split(typed)[2:])
    with ledger.open(project.target) as book:
        assert book.get(CursorKey("planned", "orders")).epoch == 1
    described = project.manage("cursor_ledger", "describe", "planned", "orders", "--table")
    next_ones = described.partition("\nnext\n")[2].splitlines()
    assert next_ones
    assert all(line.strip().startswith(COMMAND) for line in next_ones)
    assert f"run {COMMAND} checkpoint" in " ".join(
        project.manage("cursor_ledger", "verify", "--table").split()
    )


def test_another_database_is_named_in_what_is_printed(project: Project) -> None:
    other = ["cursor_ledger", "--database", "other"]
    said = " ".join(project.manage(*other, "list", code=1).split())
    assert "The ledger of the settings is in 'default'; the first advance makes one here." in said
    project.manage(*other, "advance", "elsewhere", "orders", "--to", "3")
    said = project.manage(*other, "reset", "elsewhere", "orders", "--to", "1", "--reason", "x")
    assert f"\n  {COMMAND} --database other reset elsewhere orders --to 1 " in said
    described = project.manage(*other, "describe", "elsewhere", "orders")
    assert f"{COMMAND} --database other history elsewhere orders" in described


def test_where_there_are_no_tables_it_names_migrate(fresh: Project) -> None:
    said = " ".join(fresh.manage("cursor_ledger", "show", "a", "b", code=1).split())
    assert "Make its tables: python manage.py migrate." in said
