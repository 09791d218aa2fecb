"""The project of docs/django.md, on SQLite and on PostgreSQL, as its readers run it."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest
import sqlite_utils

import ledger
from ledger import CursorKey, LedgerError
from ledger.stores.postgres import migrations as of_postgres
from ledger.stores.postgres.address import Address
from ledger.stores.sqlite import look
from ledger.stores.sqlite import migrations as of_sqlite
from support.django_projects import Project, project_on
from support.environments import environment
from support.servers import server

STORES = "every"

INVOICES = CursorKey("invoices", "orders")


def databases(kind: str) -> set[str]:
    with psycopg.connect(server(kind)) as connection:
        return {row[0] for row in connection.execute("SELECT datname FROM pg_database").fetchall()}


# --- the guide ---


def test_the_project_of_the_guide_does_what_the_guide_says(project: Project) -> None:
    assert "no issues" in project.manage("check")
    assert "No changes" in project.manage("makemigrations", "--check", "--dry-run")
    assert "No migrations to apply" in project.manage("migrate")
    project.shell(
        "from shop.invoices import invoice_next\n"
        "from shop.models import Invoice, Order\n"
        "for n in (1, 2, 3): Order.objects.create(customer=f'c-{n}', amount=n)\n"
        "while invoice_next(): pass\n"
        "assert Invoice.objects.count() == 3"
    )
    assert project.manage("mail", "--once").split("\n")[:3] == [f"mail to c-{n}" for n in (1, 2, 3)]
    project.shell(
        "from ledger.integrations.django import book\n"
        "from shop.audit import resets_of_this_week\n"
        "from shop.invoices import KEY\n"
        "from shop.projecting import catch_up\n"
        "book().reset(KEY, to=1, reason='lost', actor='ines')\n"
        "assert (catch_up(), catch_up()) == (7, 0)\n"
        "[entry] = resets_of_this_week()\n"
        "assert (entry.reason, entry.cursor.consumer_id) == ('lost', 'invoices'), entry.reason\n"
        "assert book().verify().ok"
    )
    [line] = project.manage("cursor_ledger", "resets", "--jsonl").splitlines()
    assert json.loads(line)["reason"] == "lost"


def test_a_test_runner_leaves_no_database(kind: str, project: Project) -> None:
    # What was kept is destroyed by the next one.
    for words in (["--parallel", "2"], ["--keepdb"], ["--noinput"]):
        assert re.search(r"Ran 4 tests.*\n\nOK", project.manage("test", "shop", *words), re.DOTALL)
    if kind != "sqlite":
        own = project.target.rpartition("/")[2]
        assert own in databases(kind)
        assert not [name for name in databases(kind) if name.startswith(f"test_{own}")]


def test_a_database_of_tests_in_a_file_is_used_and_goes(project: Project) -> None:
    project.write(
        "project/in_file.py",
        "from project.settings import *\n"
        "DATABASES['default'].setdefault('TEST', {})['NAME'] = 'test_of_files.db'\n",
    )
    project.manage("test", "shop", "--settings", "project.in_file")
    assert not list(project.folder.glob("test_of_files*"))


@pytest.mark.slow("an environment with another Django is made, out of wheels of the network")
def test_the_oldest_django_runs_the_project(kind: str, tmp_path: Path) -> None:
    python = environment("django-4.2", "django~=4.2.0", "psycopg[binary,pool]")
    with project_on(kind, tmp_path / "shop", python=str(python)) as project:
        assert "4.2." in project.shell("print(django.__version__)")
        project.manage("check")
        project.manage("migrate")
        assert "No changes" in project.manage("makemigrations", "--check", "--dry-run")
        assert "OK" in project.manage("test")
        project.shell(
            "from django.db import transaction\n"
            "from django.test import Client\n"
            "from django.contrib.auth.models import User\n"
            "from ledger.integrations.django import using\n"
            "from shop.invoices import KEY\n"
            "with transaction.atomic(): using().advance(KEY, to=1)\n"
            "from django.conf import settings\n"
            "settings.ALLOWED_HOSTS = ['testserver']\n"
            "client = Client()\n"
            "client.force_login(User.objects.create_superuser('ines'))\n"
            "page = client.get('/admin/cursor_ledger/entry/')\n"
            "assert b'invoices' in page.content, page.content"
        )


# --- the tables ---


def test_tables_that_the_library_has_made_keep_their_entries(fresh: Project) -> None:
    with ledger.open(fresh.target, actor="before") as book:
        book.advance(INVOICES, to=7)
    fresh.manage("migrate")
    fresh.manage("migrate", "cursor_ledger", "zero")
    fresh.manage("migrate")
    with ledger.open(fresh.target) as book:
        assert book.get(INVOICES).version == 1
        assert book.verify().ok


def test_tables_of_an_older_version_are_brought_up_to_date(kind: str, fresh: Project) -> None:
    make_first_version(kind, fresh.target)
    fresh.manage("migrate")
    fresh.manage("cursor_ledger", "verify")
    assert fresh.manage("cursor_ledger", "list", "--json").strip() == "[]"


def make_first_version(kind: str, target: str) -> None:
    """Make the tables as the first version of the library did."""
    if kind == "sqlite":
        sqlite_utils.Database(target).table("_sqlite_migrations").insert(
            {"migration_set": "cursor-ledger", "name": "0001_ledger", "applied_at": "then"}
        )
        with closing(sqlite3.connect(target)) as file:
            of_sqlite.make(file, ("0001_ledger",))
            file.commit()
        return
    address = Address.parse(target)
    with address.connect() as connection, connection.transaction():
        of_postgres._make_place(connection, address.schema)
        making = of_postgres._making(address.schema, "0001_ledger")
        of_postgres._over(connection, address.schema).take(making)


def test_tables_of_a_newer_version_are_refused_and_left(kind: str, fresh: Project) -> None:
    ledger.open(fresh.target).close()
    if kind == "sqlite":
        into = "_sqlite_migrations (migration_set, name, applied_at)"
        values = "('cursor-ledger', '0099_newer', 'now')"
    else:
        into, values = "ledger_migrations (name)", "('0099_newer')"
    fresh.shell(
        "from django.db import connection\n"
        f'connection.cursor().execute("INSERT INTO {into} VALUES {values}")'
    )
    said = fresh.manage("migrate", code=1)
    assert "0099_newer" in said
    assert "pip install --upgrade cursor-ledger" in said
    assert "[ ] 0001_tables" in fresh.manage("showmigrations", "cursor_ledger")


def test_without_the_migration_it_says_what_to_run(fresh: Project) -> None:
    said = fresh.shell(
        "from django.db import transaction\n"
        "from ledger import SchemaVersionError\n"
        "from ledger.integrations.django import book, using\n"
        "def outside(): list(book().entries())\n"
        "def inside():\n"
        "    with transaction.atomic(): using()\n"
        "for call in (outside, inside, outside):\n"
        "    try: call()\n"
        "    except SchemaVersionError as error: print(error)\n"
    )
    assert said.count("has no ledger. Make its tables: python manage.py migrate cursor_ledger") == 3
    with suppress(LedgerError):  # On SQLite, there is no file that could be opened.
        assert not look(fresh.target)
    fresh.manage("migrate")
    assert fresh.manage("cursor_ledger", "list", "--json").strip() == "[]"


# --- in transactions ---


def test_the_ledger_follows_atomic(project: Project) -> None:
    project.shell(
        """
from django.db import IntegrityError, connection, transaction
from ledger import CursorKey, InvalidCursorError, StorageError
from ledger.integrations.django import book, using
from shop.models import Invoice, Order, Resets

KEY = CursorKey("atomic", "orders")

def refused(words, call, kind=StorageError):
    try: call()
    except kind as error: assert words in str(error), error
    else: raise AssertionError(words)

refused("with transaction.atomic()", using)
with transaction.atomic():
    late = using()
    late.advance(KEY, to=1)
    assert book().find(KEY) is None
    try:
        with transaction.atomic():
            using().advance(KEY, to=2)
            Resets.objects.create(consumer="undone")
            raise ZeroDivisionError
    except ZeroDivisionError: pass
    with transaction.atomic():
        using().advance(KEY, to=3)
refused("autocommit mode", lambda: late.advance(KEY, to=4))
assert [entry.event.sequence for entry in book().history(KEY)] == [1, 3]
assert not Resets.objects.filter(consumer="undone").exists()

def after_a_failure():
    with transaction.atomic():
        Resets.objects.create(consumer="twice")
        try: Resets.objects.create(consumer="twice")
        except IntegrityError: pass
        using().advance(KEY, to=5)
refused("failed before, and Django rolls it back", after_a_failure)

def after_rollback_was_asked_for():
    with transaction.atomic():
        transaction.set_rollback(True)
        using()
refused("Django rolls it back", after_rollback_was_asked_for)
refused("none of DATABASES: default, other", lambda: using("elsewhere"), InvalidCursorError)
assert book().get(KEY).last_sequence == 3 and book().verify().ok
assert Resets.objects.count() <= 1
"""
    )


def test_workers_that_are_forked_go_on_with_connections_of_their_own(
    project: Project, kind: str
) -> None:
    if kind == "sqlite":
        # As the guide says for several writers: one that begins to read cannot wait to write.
        project.set(
            "DATABASES['default'].setdefault('OPTIONS', {})['transaction_mode'] = 'IMMEDIATE'"
        )
    project.shell(
        """
from django.db import connections, transaction
from ledger import CursorKey
from ledger.integrations.django import book, using

def work(n):
    book().advance(CursorKey(f"own-{n}", "forks"), to=1)
    with transaction.atomic(): using().advance(CursorKey(f"lent-{n}", "forks"), to=1)

work(0)
connections.close_all()  # as a server does before it forks
children = []
for n in (1, 2, 3):
    if (child := os.fork()) == 0:
        try: work(n)
        except BaseException as error: print(repr(error), flush=True); os._exit(1)
        os._exit(0)
    children.append(child)
for child in children: assert os.waitpid(child, 0)[1] == 0
work(4)
assert len([c for c in book().cursors() if c.key.stream_name == "forks"]) == 10
assert book().verify().ok
"""
    )


def test_another_database_has_a_ledger_of_its_own(project: Project) -> None:
    project.write(
        "project/second.py",
        "from project.settings import *\n"
        "CURSOR_LEDGER = {'DATABASE': 'other', 'ACTOR': 'second'}\n",
    )
    words = ("--settings", "project.second")
    project.manage("migrate", "--database", "other", *words)
    project.shell(
        "from django.conf import settings\n"
        "settings.CURSOR_LEDGER = {'DATABASE': 'other', 'ACTOR': 'second'}\n"
        "from django.db import transaction\n"
        "from ledger.integrations.django import book, using\n"
        "from shop.invoices import KEY\n"
        "with transaction.atomic('other'): using().advance(KEY, to=99)\n"
        "assert book().get(KEY).last_sequence == 99\n"
        "assert [entry.actor for entry in book().history(KEY)] == ['second']"
    )
    shown = project.manage("cursor_ledger", "--database", "other", "list", "--jsonl")
    assert [json.loads(line)["last_sequence"] for line in shown.splitlines()] == [99]


# --- the projector ---


def test_a_projector_writes_models_in_the_batch_of_its_checkpoint(project: Project) -> None:
    project.shell(
        """
from threading import Thread
from django.db import IntegrityError, connection, connections, transaction
from ledger import CursorKey, StorageError
from ledger.integrations.django import book, using
from projections import Projector
from shop.models import Resets

for n in range(1, 8): book().advance(CursorKey("projected", "orders"), to=n)

def seen(entry):
    Resets(consumer=f"{entry.position}").save()

def view(apply, name="seen", **more):
    return Projector(book=book(), name=name, connection=connection, apply=apply, **more)

def refused(words, call, kind=StorageError):
    try: call()
    except kind as error: assert words in str(error), error
    else: raise AssertionError(words)

def fails(entry):
    seen(entry)
    if Resets.objects.filter(consumer__regex="^[0-9]+$").count() == 5: raise ZeroDivisionError

def mine(): return Resets.objects.filter(consumer__regex="^[0-9]+$").count()

refused("", view(fails).catch_up, ZeroDivisionError)
assert mine() == 0
refused("", view(fails, batch_entries=2).catch_up, ZeroDivisionError)
assert mine() == 4, mine()

def hides(entry):
    try:
        for _ in range(2): Resets.objects.create(consumer="111x")
    except IntegrityError: pass
hiding = view(hides, name="hides", batch_entries=1)
refused("what may fail into a block of its own", hiding.catch_up)
assert not Resets.objects.filter(consumer="111x").exists()

with transaction.atomic():
    refused("in a transaction already", view(seen).catch_up)

# Two at once: one waits for the other, and nothing is applied twice.
raised = []
def run():
    try: view(seen, batch_entries=1).catch_up()
    except Exception as error: raised.append(error)
    finally: connections.close_all()
threads = [Thread(target=run) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert not raised, raised
entries = [entry for entry in book().entries() if entry.key.stream_name != "cursor-ledger/log"]
assert mine() == len(entries), (mine(), len(entries))
assert view(seen).catch_up() == 0 and book().verify().ok
"""
    )


# --- settings ---


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{'DATABSE': 'default'}", "has DATABSE, which it does not know"),
        ("{'DATABASE': 'none'}", "none of DATABASES: default, other"),
        ("['default']", "must be a dict, not list"),
        ("{'DURABILITY': 'some'}", "durability"),
        ("{'BUSY_TIMEOUT_S': 'long'}", "busy_timeout_s"),
        ("{'ACTOR': 7}", "actor"),
        ("{'CLOCK': 7}", "clock"),
    ],
)
def test_what_is_wrong_in_the_settings_is_found_by_check(
    unused: Project, given: str, said: str
) -> None:
    wrong = f"from project.settings import *\nCURSOR_LEDGER = {given}\n"
    # Each is a module of its own: Python knows compiled ones by their size and the second.
    name = "wrong_" + "".join(filter(str.isalpha, given)).lower()
    unused.write(f"project/{name}.py", wrong)
    found = unused.manage("check", "--settings", f"project.{name}", code=1)
    assert said in found
    assert "cursor_ledger.E00" in found
    assert "Traceback" not in found


def test_a_log_is_emptied_in_tests_only(unused: Project) -> None:
    said = unused.shell("from ledger.integrations.django.testing import empty\nempty()", code=1)
    assert "only the ledger of a test is ever emptied" in said


def test_nobody_imports_django_for_a_ledger(unused: Project) -> None:
    imports = "import sys, ledger, ledger.aio, projections, projections.cli"
    unused.run(["-c", f"{imports}\nassert 'django' not in sys.modules"], anew=True)
