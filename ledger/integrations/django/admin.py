"""The ledger in Django's admin: to look at, and nothing else."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import models

from ledger.integrations.django.models import Cursor, Entry
from ledger.log.text import visible

__all__ = ["CursorAdmin", "EntryAdmin"]

NAMES_MAX = 100


class ReadOnlyAdmin(admin.ModelAdmin):
    """Shows, and changes nothing, whatever rights a user has."""

    # Counting every row of a long log to say how many there are would take longer than the page.
    show_full_result_count = False
    list_per_page = 50
    actions = None

    def has_add_permission(self, *_: Any, **__: Any) -> bool:
        """Refuse."""
        return False

    has_change_permission = has_delete_permission = has_add_permission


def _text(name: str, title: str = "") -> Any:
    @admin.display(description=title or name.rpartition("__")[2].replace("_", " "), ordering=name)
    def column(row: models.Model) -> str:
        value: Any = row
        for part in name.split("__"):
            value = getattr(value, part)
        return visible(value or "")

    return column


def _names(field: str, title: str) -> type[admin.SimpleListFilter]:
    """Return a filter by names in a field of cursors; of very many, the first ones are shown."""

    class Names(admin.SimpleListFilter):
        parameter_name = field.rpartition("__")[2]

        def lookups(self, *_: Any) -> list[tuple[str, str]]:
            column = self.parameter_name
            names = Cursor.objects.order_by(column).values_list(column, flat=True).distinct()
            return [(name, visible(name)) for name in names[:NAMES_MAX]]

        def queryset(self, _: Any, rows: Any) -> Any:
            return rows if self.value() is None else rows.filter(**{field: self.value()})

    Names.title = title
    return Names


@admin.register(Cursor)
class CursorAdmin(ReadOnlyAdmin):
    """Where cursors stand."""

    list_display = (
        _text("consumer_id", "consumer"),
        _text("stream_name", "stream"),
        _text("subject_id", "subject"),
        "last_sequence",
        _text("last_delivery_id"),
        "last_delivered_at",
        _text("last_error"),
        "epoch",
        "version",
        "updated_at",
    )
    list_filter = (_names("consumer_id", "consumer"), _names("stream_name", "stream"))
    search_fields = ("consumer_id__exact", "stream_name__exact", "subject_id__exact")
    search_help_text = "The whole name of a consumer, a stream or a subject."
    ordering = ("stream_name", "subject_id", "consumer_id")


@admin.register(Entry)
class EntryAdmin(ReadOnlyAdmin):
    """What happened to cursors, the newest first."""

    list_display = (
        "position",
        "recorded_at",
        _text("cursor__consumer_id", "consumer"),
        _text("cursor__stream_name", "stream"),
        _text("cursor__subject_id", "subject"),
        "kind",
        "previous_sequence",
        "sequence",
        _text("reason"),
        _text("message", "error"),
        _text("actor"),
        "occurred_at",
    )
    list_filter = (
        "kind",
        _names("cursor__consumer_id", "consumer"),
        _names("cursor__stream_name", "stream"),
    )
    list_select_related = ("cursor",)
    search_fields = (
        "cursor__consumer_id__exact",
        "cursor__stream_name__exact",
        "cursor__subject_id__exact",
        "actor__exact",
        "delivery_id__exact",
    )
    search_help_text = "The whole name of a consumer, stream, subject or actor, or a delivery id."
    ordering = ("-position",)
