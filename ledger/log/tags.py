"""The tags of entries. They are frozen: an entry is kept under its tag for ever."""

from __future__ import annotations

__all__ = ["ADVANCED", "ERROR", "RESET", "STARTED"]

ADVANCED = "cursor.advanced.v1"
RESET = "cursor.reset.v1"
ERROR = "cursor.error.v1"
STARTED = "cursor.started.v1"
