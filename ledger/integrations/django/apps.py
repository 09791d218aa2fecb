"""The app, as Django knows it."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks
from django.db import router
from django.db.models.signals import post_migrate

__all__ = ["CursorLedger"]


class CursorLedger(AppConfig):
    """`ledger.integrations.django` in `INSTALLED_APPS`."""

    name = "ledger.integrations.django"
    label = "cursor_ledger"
    verbose_name = "Cursor ledger"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Have the settings checked where Django checks all of them."""
        # Imported here, because there are no settings before.
        from ledger.integrations.django.checks import settings_are_right

        checks.register(settings_are_right)
        post_migrate.connect(_make_missing, sender=self)


def _make_missing(using: str, **_: object) -> None:
    """Make the tables that a migration should have made, at whatever `migrate` comes next.

    An earlier version recorded it without them in a database that was not that of the settings; and
    tests run without migrations.
    """
    # Imported here, because there are no settings before.
    from ledger.integrations.django.ledgers import make_missing

    if router.allow_migrate(using, CursorLedger.label):
        make_missing(using)
