"""Histories that commands are tried on, and a plan that was kept in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

import ledger
from ledger import CursorKey
from support.commands import OWNER, Run
from support.plan_files import EXPORT
from support.topics import confirmed


@pytest.fixture
def full(run: Run) -> Run:
    for to in (41, 44):
        run("advance", *OWNER, "--to", to, "--delivery-id", f"m-{to}")
    run("error", *OWNER, "-m", "HTTP 503")
    run("advance", "mailer", "orders", "--to", 7)
    return run


@pytest.fixture
def three(run: Run) -> Run:
    """Give a ledger with three consumers of one stream."""
    run("advance", *OWNER, "--to", 44)
    run("advance", "mailer", "orders", "--to", 7)
    run("advance", "search", "orders", "--to", 9)
    return run


@pytest.fixture
def plan(three: Run, path: Path) -> Path:
    file = path.with_name("plan.jsonl")
    assert three(*EXPORT, "--actor", "ines", "--export", file).exit_code == 0
    return file


@pytest.fixture
def topic(run: Run, target: str) -> Run:
    """Give a ledger where partition p of 12 stands at 100 + p, and of another consumer at 5."""
    with ledger.open(target, actor="tester") as book:
        confirmed(book)
        confirmed(book, consumer="search", start=5, step=0)
        book.advance(CursorKey("mailer", "invoices"), to=7)
    return run
