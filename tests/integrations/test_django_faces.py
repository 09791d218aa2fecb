"""The command, the admin and the models of the Django app."""

from __future__ import annotations

import ledger
from ledger import CursorKey
from ledger.cli.typed.target import default_actor
from support.django_projects import Project

STORES = "every"


def test_the_command_is_cursor_ledger_on_the_database_of_django(project: Project) -> None:
    said = project.manage("cursor_ledger", "advance", "typed", "orders", "--to", "3")
    assert "typed" in said
    assert project.manage("cursor_ledger", "show", "nobody", "orders", code=4)
    assert "manage.py cursor_ledger" in project.manage("cursor_ledger", "--help")
    assert "No such command" in project.manage("cursor_ledger", "nothing", code=2)
    project.manage("cursor_ledger", "verify")
    project.manage("cursor_ledger", "--settings=project.settings", "list")
    project.shell(
        "from django.core.management import CommandError, call_command\n"
        "call_command('cursor_ledger', 'show', 'typed', 'orders')\n"
        "try: call_command('cursor_ledger', 'show', 'nobody', 'orders')\n"
        "except CommandError as error: assert error.returncode == 4\n"
        "else: raise AssertionError"
    )
    plan = project.manage("cursor_ledger", "reset", "typed", "orders", "--to", "1", "--reason", "x")
    assert "hunter2" not in plan
    with ledger.open(project.target) as book:
        [entry] = book.history(CursorKey("typed", "orders"))
        # A person at a command is not the service, whose name the settings have.
        assert entry.actor == default_actor()


def test_the_admin_shows_the_log_and_changes_nothing(project: Project) -> None:
    project.shell(
        """
from django.conf import settings
settings.ALLOWED_HOSTS = ["testserver"]
from django.contrib.auth.models import User
from django.test import Client
from ledger import CursorKey
from ledger.integrations.django import book
from ledger.integrations.django.models import Cursor, Entry

KEY = CursorKey("admin", "audited", "customer-7")
book().advance(KEY, to=41, delivery_id="msg-41")
book().reset(KEY, to=3, reason="<b>lost</b> \\u202e 42", actor="ines")
book().record_error(KEY, "HTTP 503")
client = Client()
client.force_login(User.objects.create_superuser("root"))
assert "cursor_ledger" in client.get("/admin/").content.decode()

def page(path):
    answer = client.get("/admin/cursor_ledger/" + path)
    assert answer.status_code == 200, (path, answer.status_code)
    return answer.content.decode()

entries = page("entry/?stream_name=audited")
for said in ("&lt;b&gt;lost&lt;/b&gt;", "ines", "HTTP 503", "customer-7", "3 entries"):
    assert said in entries, said
assert "\\u202e" not in entries
assert "1 entry" in page("entry/?stream_name=audited&kind__exact=2")
assert "0 entries" in page("entry/?consumer_id=nobody")
assert "3 entries" in page("entry/?q=customer-7")
assert "1 entry" in page("entry/?q=msg-41&stream_name=audited")
assert "1 cursor" in page("cursor/?stream_name=audited")
for order in ("entry/?o=2", "entry/?o=-3", "cursor/?o=1.2", "cursor/?q=audited"): page(order)
entry = Entry.objects.get(cursor__stream_name="audited", kind=2)
form = page(f"entry/{entry.pk}/change/")
assert "Save" not in form and "Delete" not in form and "lost" in form
of_cursor = f"cursor/{entry.cursor_id}/"
for path in ("entry/add/", f"entry/{entry.pk}/delete/", of_cursor + "delete/", "cursor/add/"):
    assert client.get("/admin/cursor_ledger/" + path).status_code == 403, path
    assert client.post("/admin/cursor_ledger/" + path, {"post": "yes"}).status_code == 403, path
path = f"/admin/cursor_ledger/entry/{entry.pk}/change/"
assert client.post(path, {"reason": "none"}).status_code == 403
stranger = Client()
stranger.force_login(User.objects.create_user("staff", is_staff=True))
assert stranger.get("/admin/cursor_ledger/entry/").status_code == 403
assert book().get(KEY).version == 3
"""
    )


def test_the_models_read_what_the_ledger_says_and_write_nothing(project: Project) -> None:
    project.shell(
        """
import asyncio
from datetime import datetime, timedelta, timezone
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.core.management import call_command
from django.core import serializers
from ledger import CursorKey, InvalidCursorError
from ledger.integrations.django import book
from ledger.integrations.django.models import Cursor, Entry, Kind

KEY = CursorKey("models", "orders")
at = datetime(1969, 5, 5, 12, 0, 0, 7, tzinfo=timezone.utc)
book().advance(KEY, to=1, delivered_at=at, now=at)
book().reset(KEY, to=0, reason="again", actor="ines")
said = list(book().history(KEY))
rows = list(Entry.objects.filter(cursor__consumer_id="models").order_by("position"))
assert [row.recorded_at for row in rows] == [entry.recorded_at for entry in said]
assert rows[0].occurred_at == at and rows[0].delivered_at == at and rows[1].delivered_at is None
assert [row.get_kind_display() for row in rows] == ["advance", "reset"]
assert Entry.objects.filter(occurred_at=at).count() == 1
of_mine = Entry.objects.filter(cursor__consumer_id="models")
assert of_mine.filter(recorded_at__gt=rows[0].recorded_at).count() == 1
assert str(rows[0]) == "models/orders, entry 1"
[cursor] = Cursor.objects.filter(consumer_id="models")
assert cursor.entries.count() == 2 and cursor.epoch == 1

def refused(call):
    try: call()
    except InvalidCursorError as error: assert "read only" in str(error)
    else: raise AssertionError

row = rows[0]
new = Entry(position=10**6, cursor=cursor, version=3, epoch=1, actor="x", kind=1)
refused(row.save)
refused(new.save)
refused(row.delete)
refused(cursor.save)
refused(cursor.delete)
refused(lambda: Entry.objects.create(position=10**6))
refused(lambda: Cursor.objects.get_or_create(id=10**9, defaults={"version": 1}))
refused(lambda: Entry.objects.bulk_create([new]))
refused(lambda: Entry.objects.bulk_update([row], ["reason"]))
refused(lambda: Entry.objects.update(reason="x"))
refused(lambda: Cursor.objects.filter(id=cursor.id).update(last_sequence=9))
refused(Cursor.objects.all().delete)
refused(lambda: cursor.entries.update(reason="x"))
refused(lambda: cursor.entries.create(position=10**6))
refused(lambda: cursor.entries.add(new, bulk=False))
refused(lambda: cursor.entries.add(row))
refused(lambda: cursor.entries.update_or_create(position=1, defaults={"reason": "x"}))
refused(lambda: Cursor.objects.update_or_create(id=cursor.id, defaults={"version": 9}))
refused(lambda: cursor.save_base(raw=True))
refused(lambda: cursor.save(update_fields=["version"]))
refused(lambda: asyncio.run(cursor.asave()))
refused(lambda: asyncio.run(Cursor.objects.aupdate(version=9)))
refused(lambda: cursor.entries.all()._raw_delete("default"))
for model in (Cursor, Entry):
    for manager in (model._base_manager, model._default_manager):
        refused(lambda: manager.update(version=9))
        refused(lambda: manager.all().delete())
        refused(lambda: manager.bulk_create([new]))
        refused(lambda: manager.bulk_update([row], ["version"]))
        refused(lambda: manager.select_for_update().order_by("pk").update(version=9))

class Proxy(Cursor):
    class Meta:
        proxy = True
        app_label = "shop"
mine = Proxy.objects.get(pk=cursor.pk)
refused(mine.save)
refused(mine.delete)
refused(lambda: Proxy._base_manager.update(version=9))

then = MigrationLoader(connection).project_state().apps.get_model("cursor_ledger", "Cursor")
refused(then.objects.get(pk=cursor.pk).save)
refused(lambda: then.objects.update(version=9))
refused(lambda: then._base_manager.update(version=9))
with open("fixture.json", "w") as file: file.write(serializers.serialize("json", [cursor, row]))
refused(lambda: call_command("loaddata", "fixture.json", verbosity=0))
fixture = serializers.serialize("json", [cursor])
refused(next(serializers.deserialize("json", fixture)).save)
assert list(book().history(KEY)) == said and book().verify().ok
"""
    )
