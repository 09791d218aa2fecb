"""What the owner of a PostgreSQL database can do to a ledger, each with the fault that names it."""

from __future__ import annotations

import pytest

from ledger import FaultKind, Ledger, Standing
from support.clock import Clock
from support.cursors import JOBS, ORDERS, fill
from support.falsified_databases import FALSIFICATIONS
from support.servers import connect

STORES = "newest postgres"


@pytest.fixture
def full(book: Ledger, clock: Clock) -> Ledger:
    return fill(book, clock)


@pytest.mark.parametrize("deed", FALSIFICATIONS)
def test_a_falsification_is_named(full: Ledger, target: str, deed: str) -> None:
    do, kind, position = FALSIFICATIONS[deed]
    with connect(target) as connection:
        do(connection)
    found = full.verify()
    named = {(fault.kind, fault.position) for fault in found.faults}
    assert (kind, position) in named, found.faults
    assert all(str(fault) for fault in found.faults)


def test_an_empty_root_is_never_called_ok_beside_entries(book: Ledger, target: str) -> None:
    with connect(target) as connection, connection.transaction():
        book.using(connection).advance(JOBS, to=1)
        book.advance(ORDERS, to=1)
        found = book.verify()
        assert [fault.kind for fault in found.faults] == [FaultKind.UNSETTLED]
        assert (found.entries, found.unsettled, found.checkpoint.entries) == (1, 1, 0)
    assert book.verify().ok


def test_what_is_not_settled_is_said(book: Ledger, target: str) -> None:
    book.advance(ORDERS, to=1)
    kept = book.checkpoint()
    with connect(target) as connection, connection.transaction():
        book.using(connection).advance(JOBS, to=1)
        book.advance(ORDERS, to=2)
        found = book.verify(kept)
        assert found.ok
        assert (found.entries, found.unsettled, found.unvouched) == (2, 1, 1)
        assert found.against[0].standing is Standing.KEPT
