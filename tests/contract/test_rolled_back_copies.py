"""A copy or an import that was rolled back in the middle goes on where the log ends.

On PostgreSQL a rollback does not take back what was drawn of the sequence of positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ledger
from ledger import AdvanceCursor, DivergedError, Ledger
from ledger.service import imported
from ledger.stores import Transaction
from ledger.stores.postgres.transaction import Held
from ledger.writing import copying, importing
from support.cursors import JOBS, ORDERS

ENTRIES = 40


class KilledError(Exception):
    """A kill, as far as the database sees it: the connection goes, and the transaction with it."""


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Ledger]:
    with ledger.open(tmp_path / "source.db", actor="tester") as source:
        source.append([AdvanceCursor(ORDERS, n) for n in range(1, ENTRIES + 1)])
        yield source


def by_import(source: Ledger, book: Ledger) -> None:
    imported(book, enumerate(source.entries(), 1))


def by_copy(source: Ledger, book: Ledger) -> None:
    source.copy_to(book)


@pytest.fixture(params=[by_import, by_copy])
def copy(request: pytest.FixtureRequest, source: Ledger, book: Ledger) -> Callable[[], None]:
    def run() -> None:
        request.param(source, book)

    return run


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch, target: str) -> Callable[[int], None]:
    """Return what lets a batch be rolled back before its COMMIT, after so many others."""
    monkeypatch.setattr(copying, "BATCH_ENTRIES", 10)
    monkeypatch.setattr(importing, "BATCH_ENTRIES", 10)
    place, name = (copying.Batch, "append") if "://" not in target else (Held, "send")
    real = getattr(place, name)
    to_pass: list[int] = []

    def done(*given: object) -> object:
        answer = real(*given)
        if to_pass and not to_pass[0]:
            to_pass.clear()
            raise KilledError
        to_pass[:] = [count - 1 for count in to_pass]
        return answer

    monkeypatch.setattr(place, name, done)
    return to_pass.append


@pytest.mark.parametrize("batches", [0, 1, 3])
def test_it_goes_on_where_the_log_ends(
    source: Ledger,
    book: Ledger,
    copy: Callable[[], None],
    killed: Callable[[int], None],
    batches: int,
) -> None:
    killed(batches)
    with pytest.raises(KilledError):
        copy()
    assert len(list(book.entries())) == 10 * batches
    copy()
    assert list(book.entries()) == list(source.entries())
    found = book.verify()
    assert found.ok, found.faults
    # What is appended next stands behind all of it.
    book.advance(JOBS, to=7)
    *_, last = book.entries()
    assert last.key == JOBS
    assert last.position > ENTRIES


def test_a_writer_in_between_is_still_noticed(
    book: Ledger,
    copy: Callable[[], None],
    killed: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    killed(1)
    with pytest.raises(KilledError):
        copy()
    write = book._appender.run

    def after_another(work: Callable[[Transaction], None]) -> None:
        monkeypatch.setattr(book._appender, "run", write)
        book.advance(JOBS, to=1)
        write(work)

    # It comes between the look at the log and the first batch.
    monkeypatch.setattr(book._appender, "run", after_another)
    with pytest.raises(DivergedError, match="somebody else has written"):
        copy()
    assert len(list(book.entries())) == 11
