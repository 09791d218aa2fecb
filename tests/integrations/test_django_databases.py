"""Each database of a project has a ledger of its own, once it is migrated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from ledger.opening import postgres
from ledger.stores.sqlite import look
from support.django_projects import Project
from support.servers import own_database

STORES = "every"


def writes_to(alias: str, database: str) -> str:
    return (
        "from django.conf import settings\n"
        f"settings.CURSOR_LEDGER = {{'DATABASE': {database!r}}}\n"
        "from django.db import transaction\n"
        "from ledger.integrations.django import book, using\n"
        "from shop.invoices import KEY\n"
        f"with transaction.atomic({alias!r}): using({alias!r}).advance(KEY, to=9)\n"
        f"assert book({alias!r}).verify().ok and book({alias!r}).get(KEY).last_sequence == 9"
    )


@pytest.mark.parametrize("first", ["default", "other"])
def test_each_database_that_is_migrated_has_a_ledger(kind: str, fresh: Project, first: str) -> None:
    second = {"default": "other", "other": "default"}[first]
    with another_database(kind, fresh):
        fresh.manage("migrate", "--database", first)
        fresh.shell(writes_to(first, "default"))
        said = fresh.shell(writes_to(second, first), code=1)
        assert "has no ledger. Make its tables: python manage.py migrate cursor_ledger" in said
        fresh.manage("migrate", "cursor_ledger", "--database", second)
        for database in (first, second):
            fresh.shell(writes_to(second, database))


def test_a_migration_that_was_recorded_without_tables_is_made_good(
    kind: str, fresh: Project
) -> None:
    with another_database(kind, fresh):
        fresh.manage("migrate", "cursor_ledger", "--fake", "--database", "other")
        # What Django emits behind the command is for the tables that are missing.
        assert "No migrations to apply" in fresh.manage(
            "migrate", "cursor_ledger", "--database", "other"
        )
        fresh.shell(writes_to("other", "default"))


@pytest.mark.parametrize(
    "modules",
    [
        "{'cursor_ledger': None, 'shop': None}",
        # As pytest-django has it.
        "type('Off', (), {'__contains__': lambda *_: True, '__getitem__': lambda *_: None})()",
    ],
    ids=["named", "all"],
)
def test_tests_without_migrations_have_a_ledger_too(fresh: Project, modules: str) -> None:
    fresh.set(f"MIGRATION_MODULES = {modules}")
    assert "OK" in fresh.manage("test")


def test_a_router_keeps_the_ledger_out_of_a_database(kind: str, fresh: Project) -> None:
    fresh.write(
        "project/routers.py",
        "class Apart:\n"
        "    def allow_migrate(self, db, app_label, **hints):\n"
        "        return False if (db, app_label) == ('other', 'cursor_ledger') else None\n",
    )
    fresh.set("DATABASE_ROUTERS = ['project.routers.Apart']")
    with another_database(kind, fresh) as target:
        for _ in range(2):
            fresh.manage("migrate", "--database", "other")
        assert not look(target) if kind == "sqlite" else not postgres().look(target)[0]


@contextmanager
def another_database(kind: str, project: Project) -> Iterator[str]:
    """Return the project a second database of that kind, `other`, and return where it is."""
    if kind == "sqlite":
        project.set('DATABASES["other"] = {**DATABASES["default"], "NAME": FOLDER / "other.db"}')
        yield str(project.folder / "other.db")
        return
    with own_database(kind) as url:
        name = urlsplit(url).path[1:]
        project.set(f'DATABASES["other"] = {{**DATABASES["default"], "NAME": {name!r}}}')
        yield url
