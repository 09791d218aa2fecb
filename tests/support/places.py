"""Where things are in this checkout."""

from __future__ import annotations

from pathlib import Path

__all__ = ["GOLDEN", "TOP"]

TOP = Path(__file__).parents[2]
GOLDEN = TOP / "tests" / "golden"
