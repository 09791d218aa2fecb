"""Histories that views are made of."""

from __future__ import annotations

import pytest

from ledger import AllowedSigners, Ledger
from support.clock import Clock
from support.ssh_keys import THREE, Keys
from support.topics import PARTITIONS, confirmed


@pytest.fixture
def topic(book: Ledger, clock: Clock) -> Ledger:
    """Return a ledger whose partition p stands at 100 + p, and all but the last stood at 50."""
    for key in PARTITIONS[:-1]:
        book.advance(key, to=50, delivery_id="early")
    clock.tick(60)
    confirmed(book)
    return book


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Return the SSH keys of three people."""
    keys = Keys(tmp_path_factory.mktemp("keys"))
    for name in ("ines", "omar", "eve"):
        keys.new(name)
    return keys


@pytest.fixture
def signers(keys: Keys) -> AllowedSigners:
    """Return a file of allowed signers that does not know eve."""
    return keys.trusting("ines", "omar")


@pytest.fixture
def three(book: Ledger, clock: Clock) -> Ledger:
    """Return a ledger with three cursors at 44."""
    for key in THREE:
        book.advance(key, to=44, delivery_id="msg-44")
        clock.tick()
    return book
