"""Ledgers that go on after they were backed up, and what is found after a restore."""

from __future__ import annotations

from pathlib import Path

import ledger
from ledger import CursorKey
from support.cursors import JOBS, ORDERS

__all__ = ["entries", "go_on", "kept"]


def kept(path: Path) -> list[Path]:
    """Return the files that restores have kept."""
    return sorted(path.parent.glob(f"{path.name}.before-restore-*"))


def entries(path: Path) -> int:
    """Return how many entries a ledger has, which must be sound."""
    with ledger.open(path) as book:
        found = book.verify()
        assert found.ok, found.faults
        return found.entries


def go_on(path: Path) -> None:
    """Append four entries, to four cursors."""
    with ledger.open(path, actor="tester") as book:
        book.advance(ORDERS, to=9)
        book.advance(JOBS, to=20)
        book.advance(CursorKey("new", "orders"), to=1)
        book.heads.record("orders", "customer-7", 50)
