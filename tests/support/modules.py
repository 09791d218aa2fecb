"""The modules of a package, each imported."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import django
from django.conf import settings

APPS = [
    *("django.contrib.contenttypes", "django.contrib.auth", "django.contrib.messages"),
    *("django.contrib.admin", "ledger.integrations.django"),
]


def with_django() -> None:
    """Set Django up, once in a process, because nothing of it works before."""
    if not settings.configured:
        settings.configure(INSTALLED_APPS=APPS, USE_TZ=True, TIME_ZONE="Asia/Tokyo")
        django.setup()


def modules_of(package: ModuleType) -> Iterator[ModuleType]:
    """Import and yield every module of a package, except those that run when imported."""
    with_django()
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            yield importlib.import_module(module.name)
