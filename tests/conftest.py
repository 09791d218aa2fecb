"""What the tests share: a clock that stands still until it is moved, and ledgers on real files."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from servers import drop, fresh_schema, kinds, server, with_schema

import ledger
from ledger import CursorKey, Ledger

# A shell that runs the tests in the background has them ignore this, and so would their children.
signal.signal(signal.SIGINT, signal.default_int_handler)

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
def book(target: str, clock: Clock) -> Iterator[Ledger]:
    with ledger.open(target, actor="tester", clock=clock) as book:
        yield book


def fill(book: Ledger, clock: Clock) -> Ledger:
    """Append positions 1 to 4 and 7 to ORDERS (versions 1 to 5), 5 and 6 to JOBS."""
    for sequence in (1, 2, 5):
        book.advance(ORDERS, to=sequence, delivery_id=f"d-{sequence}", metadata={"n": "1"})
        clock.tick()
    book.reset(ORDERS, to=3, reason="again")
    book.advance(JOBS, to=7)
    book.record_error(JOBS, "HTTP 503")
    clock.tick()
    book.advance(ORDERS, to=4)
    found = book.verify()
    assert found.ok, found.faults
    return book


# --- modules with BOTH = True, the contract, are run on every database, those with
# --- POSTGRES = True on all but SQLite, and those with NEWEST_POSTGRES = True on one of these ---


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kind" not in metafunc.fixturenames:
        return
    if getattr(metafunc.module, "BOTH", False):
        metafunc.parametrize("kind", kinds(), indirect=True, scope="session")
    elif getattr(metafunc.module, "POSTGRES", False):
        metafunc.parametrize("kind", kinds()[1:], indirect=True, scope="session")
    elif getattr(metafunc.module, "NEWEST_POSTGRES", False):
        metafunc.parametrize("kind", kinds()[1:2], indirect=True, scope="session")


@pytest.fixture(scope="session")
def kind(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", "sqlite"))


@contextmanager
def new_target(kind: str, path: Path) -> Iterator[str]:
    """Give what `ledger.open` takes: a file that is not there yet, or a schema that is not."""
    if kind == "sqlite":
        yield str(path)
        return
    schema = fresh_schema()
    yield with_schema(server(kind), schema)
    drop(server(kind), schema)


@pytest.fixture
def target(kind: str, path: Path) -> Iterator[str]:
    with new_target(kind, path) as target:
        yield target
