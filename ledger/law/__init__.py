"""The law: what a cursor is, what can be asked of it, and what it allows.

Pure: it takes values and returns values, and touches no clock, no disk and no driver.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

# Imported when they are first used, because a program that only reads needs no law.
_LATER = ("requests", "rivals", "rules")


def __getattr__(name: str) -> ModuleType:
    if name in _LATER:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
