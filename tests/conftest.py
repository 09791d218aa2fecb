"""What the tests share: a clock that stands still until it is moved, and ledgers on real files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings

import ledger
from ledger import CursorKey, Ledger

settings.register_profile("ci", deadline=None, print_blob=True)
settings.load_profile("ci")

ORDERS = CursorKey("webhooks", "orders", "customer-7")
JOBS = CursorKey("mailer", "jobs")


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 5, 16, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def tick(self, seconds: float = 1) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cursors.db"


@pytest.fixture
def book(path: Path, clock: Clock) -> Iterator[Ledger]:
    with ledger.open(path, actor="tester", clock=clock) as book:
        yield book
