"""The tables of the ledger for Django's queries and its admin: to read, and nothing else."""

from __future__ import annotations

from typing import Any, NoReturn

from django.db import models
from django.db.models import signals

from ledger.errors import InvalidCursorError
from ledger.integrations.django.times import Moment
from ledger.law.cursor import CursorKey

__all__ = ["Cursor", "Entry"]


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise InvalidCursorError(
        "models of the ledger are read only, because only the ledger's law moves a cursor. Append: "
        "ledger.integrations.django.using().advance(…)."
    )


class ReadOnly(models.QuerySet):
    """A query that changes nothing, whichever of its methods is called."""

    update = bulk_create = bulk_update = delete = _refuse
    # The last step before each statement of Django: `save`, what fixtures load and related rows
    # come to one of these.
    _update = _insert = _raw_delete = _refuse


class ReadOnlyManager(models.Manager.from_queryset(ReadOnly)):  # type: ignore[misc]
    """Reads, in migrations as well."""

    use_in_migrations = True


class Cursor(models.Model):
    """Where a consumer stands on a stream, or on a subject of it."""

    id = models.BigIntegerField(primary_key=True)
    consumer_id = models.TextField("consumer")
    stream_name = models.TextField("stream")
    subject_id = models.TextField("subject")
    last_sequence = models.BigIntegerField()
    last_delivery_id = models.TextField()
    last_delivered_at = Moment(null=True)
    last_error = models.TextField()
    updated_at = Moment()
    version = models.BigIntegerField()
    epoch = models.BigIntegerField()
    recorded_at = Moment()

    objects = ReadOnlyManager()

    # Also of a proxy, for which no signal of this model is sent.
    save_base = delete = _refuse

    class Meta:
        """A table that the ledger makes."""

        managed = False
        # What Django itself takes to save, and what anyone may call.
        base_manager_name = "objects"
        db_table = "ledger_cursors"

    def __str__(self) -> str:
        """Return the key, as messages have it."""
        return str(CursorKey.kept(self.consumer_id, self.stream_name, self.subject_id))


class Kind(models.IntegerChoices):
    """What an entry says, by the numbers that events are kept under."""

    ADVANCE = 1, "advance"
    RESET = 2, "reset"
    ERROR = 3, "error"
    START = 4, "start"


class Entry(models.Model):
    """What happened to a cursor: a line of the log."""

    position = models.BigIntegerField(primary_key=True)
    cursor = models.ForeignKey(
        Cursor, models.DO_NOTHING, db_constraint=False, related_name="entries"
    )
    version = models.BigIntegerField()
    epoch = models.BigIntegerField()
    recorded_at = Moment()
    actor = models.TextField()
    metadata = models.TextField(null=True)
    kind = models.SmallIntegerField(choices=Kind.choices, db_column="tag_id")
    previous_sequence = models.BigIntegerField(null=True)
    sequence = models.BigIntegerField(null=True)
    delivery_id = models.TextField(null=True)
    delivered_at = Moment(null=True)
    outcome = models.TextField(null=True)
    reason = models.TextField(null=True)
    message = models.TextField(null=True)
    occurred_at = Moment()

    objects = ReadOnlyManager()

    # Also of a proxy, for which no signal of this model is sent.
    save_base = delete = _refuse

    class Meta:
        """A table that the ledger makes."""

        managed = False
        # What Django itself takes to save, and what anyone may call.
        base_manager_name = "objects"
        db_table = "ledger_events"
        verbose_name_plural = "entries"

    def __str__(self) -> str:
        """Return which entry of which cursor this is."""
        return f"{self.cursor}, entry {self.version}"


for _model in (Cursor, Entry):
    # Also what fixtures load, which does not call `save`.
    signals.pre_save.connect(_refuse, sender=_model, weak=False)
    signals.pre_delete.connect(_refuse, sender=_model, weak=False)
