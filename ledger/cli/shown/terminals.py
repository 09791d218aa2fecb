"""How wide the terminal is."""

from __future__ import annotations

import os
import sys

__all__ = ["terminal_width"]


def terminal_width() -> int | None:
    """Return how many columns the terminal has; None if it does not say, or the output is a file.

    COLUMNS goes before what the terminal says.
    """
    if not sys.stdout.isatty():
        return None
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError):
        return None
