"""How an entry is written down: as plain values, as a row of a table, as JSON.

What is read is distrusted.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

# Imported when it is first used, because to look up a cursor needs no entry.
_LATER = ("rows",)


def __getattr__(name: str) -> ModuleType:
    if name in _LATER:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
