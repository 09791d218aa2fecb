"""The tables of the ledger, made by the ledger; Django's models only read them."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models

from ledger.integrations.django import ledgers
from ledger.integrations.django.conf import VENDORS
from ledger.integrations.django.models import ReadOnlyManager
from ledger.integrations.django.times import Moment


def make(_: Any, schema_editor: Any) -> None:
    """Make the tables, in each database that Django's router lets this run in."""
    if schema_editor.connection.vendor in VENDORS:
        ledgers.make(schema_editor.connection.alias)


def leave(*_: object) -> None:
    """Leave the log where it is: it is never deleted."""


class Migration(migrations.Migration):
    """Knows tables that are there already: then it only looks at them."""

    initial = True
    # The ledger makes its tables in a transaction of its own, under a lock of its own.
    atomic = False
    dependencies = ()
    operations = (
        migrations.RunPython(make, leave, atomic=False),
        migrations.CreateModel(
            "Cursor",
            [
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("consumer_id", models.TextField(verbose_name="consumer")),
                ("stream_name", models.TextField(verbose_name="stream")),
                ("subject_id", models.TextField(verbose_name="subject")),
                ("last_sequence", models.BigIntegerField()),
                ("last_delivery_id", models.TextField()),
                ("last_delivered_at", Moment(null=True)),
                ("last_error", models.TextField()),
                ("updated_at", Moment()),
                ("version", models.BigIntegerField()),
                ("epoch", models.BigIntegerField()),
                ("recorded_at", Moment()),
            ],
            {"db_table": "ledger_cursors", "managed": False, "base_manager_name": "objects"},
            managers=[("objects", ReadOnlyManager())],
        ),
        migrations.CreateModel(
            "Entry",
            [
                ("position", models.BigIntegerField(primary_key=True, serialize=False)),
                (
                    "cursor",
                    models.ForeignKey(
                        "cursor_ledger.Cursor",
                        models.DO_NOTHING,
                        db_constraint=False,
                        related_name="entries",
                    ),
                ),
                ("version", models.BigIntegerField()),
                ("epoch", models.BigIntegerField()),
                ("recorded_at", Moment()),
                ("actor", models.TextField()),
                ("metadata", models.TextField(null=True)),
                (
                    "kind",
                    models.SmallIntegerField(
                        choices=((1, "advance"), (2, "reset"), (3, "error"), (4, "start")),
                        db_column="tag_id",
                    ),
                ),
                ("previous_sequence", models.BigIntegerField(null=True)),
                ("sequence", models.BigIntegerField(null=True)),
                ("delivery_id", models.TextField(null=True)),
                ("delivered_at", Moment(null=True)),
                ("outcome", models.TextField(null=True)),
                ("reason", models.TextField(null=True)),
                ("message", models.TextField(null=True)),
                ("occurred_at", Moment()),
            ],
            {
                "db_table": "ledger_events",
                "managed": False,
                "verbose_name_plural": "entries",
                "base_manager_name": "objects",
            },
            managers=[("objects", ReadOnlyManager())],
        ),
    )
