"""How deep a run of the tests goes: `--all` does everything, other runs do a part of it."""

from __future__ import annotations

import os

__all__ = ["DEPTH", "everything", "thorough"]

DEPTH = "CURSOR_LEDGER_TEST_DEPTH"
"""Tells all processes of a run how deep it goes."""


def everything() -> bool:
    return os.environ.get(DEPTH) == "all"


def thorough(n: int, quick: int) -> int:
    """Return how often a test repeats what it does: `n` times in a run of everything."""
    return n if everything() else quick
