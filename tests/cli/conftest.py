"""Histories that commands are tried on, and a plan that was kept in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

import ledger
from ledger import CursorKey
from support.commands import OWNER, Run
from support.plan_files import EXPORT
from support.ssh_keys import Keys
from support.topics import confirmed


@pytest.fixture
def full(run: Run, target: str) -> Run:
    # What commands append, at once: each would open the ledger again.
    with ledger.open(target, actor="ops@desk") as book:
        for to in (41, 44):
            book.advance(CursorKey(*OWNER), to=to, delivery_id=f"m-{to}")
        book.record_error(CursorKey(*OWNER), "HTTP 503")
        book.advance(CursorKey("mailer", "orders"), to=7)
    return run


@pytest.fixture
def three(run: Run, target: str) -> Run:
    """Return a ledger with three consumers of one stream."""
    with ledger.open(target, actor="ops@desk") as book:
        for consumer, to in (("webhooks", 44), ("mailer", 7), ("search", 9)):
            book.advance(CursorKey(consumer, "orders"), to=to)
    return run


@pytest.fixture
def plan(three: Run, path: Path) -> Path:
    file = path.with_name("plan.jsonl")
    assert three(*EXPORT, "--actor", "ines", "--export", file).exit_code == 0
    return file


@pytest.fixture
def topic(run: Run, target: str) -> Run:
    """Return a ledger where partition p of 12 stands at 100 + p, and of another consumer at 5."""
    with ledger.open(target, actor="tester") as book:
        confirmed(book)
        confirmed(book, consumer="search", start=5, step=0)
        book.advance(CursorKey("mailer", "invoices"), to=7)
    return run


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Return the SSH keys of three people."""
    keys = Keys(tmp_path_factory.mktemp("keys"))
    for name in ("ines", "omar", "eve"):
        keys.new(name)
    return keys
