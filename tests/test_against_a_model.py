"""State machines drive real files against the plain model of model.py."""

from __future__ import annotations

import sqlite3
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import Clock
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from model import Model

import ledger
from ledger import AdvanceCursor, Cursor, CursorKey, Ledger, LedgerError, RecordError, ResetCursor

KEYS = [
    CursorKey("mailer", "orders"),
    CursorKey("mailer", "orders", "émile"),
    CursorKey("消费者", "orders"),
]
START = datetime(2026, 5, 5, tzinfo=UTC)

keys = st.sampled_from(KEYS)
places = st.integers(1, 8) | st.sampled_from([2**53 + 1, 2**63 - 1])
ids = st.sampled_from(["", "d-1", "d-2"])
times = st.integers(0, 10**6).map(lambda n: START + timedelta(microseconds=n))
counts = st.none() | st.integers(0, 4)
asks = st.one_of(
    st.fixed_dictionaries(
        {
            "op": st.just("advance"),
            "key": keys,
            "to": places,
            "id": ids,
            "seen": st.none() | times,
            "now": times,
            "version": st.none() | counts,
            "epoch": counts,
        }
    ),
    st.fixed_dictionaries(
        {
            "op": st.just("reset"),
            "key": keys,
            "to": st.just(0) | places,
            "id": ids,
            "seen": st.none() | times,
            "now": times,
            "version": st.none() | counts,
        }
    ),
    st.fixed_dictionaries(
        {
            "op": st.just("error"),
            "key": keys,
            "message": st.sampled_from(["HTTP 503", "ошибка"]),
            "now": times,
            "version": st.none() | counts,
        }
    ),
)


def request(ask: dict[str, Any]) -> ledger.Request:
    common = {"now": ask["now"], "expected_version": ask["version"]}
    match ask["op"]:
        case "advance":
            return AdvanceCursor(
                ask["key"],
                ask["to"],
                delivery_id=ask["id"],
                last_delivered_at=ask["seen"],
                epoch=ask["epoch"],
                **common,
            )
        case "reset":
            return ResetCursor(
                ask["key"],
                ask["to"],
                "because",
                last_delivery_id=ask["id"],
                last_delivered_at=ask["seen"],
                **common,
            )
    return RecordError(ask["key"], ask["message"], **common)


def plain(cursor: Cursor) -> dict[str, Any]:
    return {
        "at": cursor.last_sequence,
        "id": cursor.last_delivery_id,
        "seen": cursor.last_delivered_at,
        "error": cursor.last_error,
        "now": cursor.updated_at,
        "version": cursor.version,
        "epoch": cursor.epoch,
    }


def answer(book: Ledger, ask: dict[str, Any]) -> str:
    try:
        book.append([request(ask)])
    except LedgerError as error:
        return type(error).__name__
    return ""


def check(book: Ledger, model: Model) -> None:
    """Everything that the ledger says is what the model says, and is proven."""
    assert {cursor.key: plain(cursor) for cursor in book.cursors()} == model.cursors
    for key, expected in model.cursors.items():
        entries = list(book.history(key))
        assert [entry.version for entry in entries] == list(range(1, expected["version"] + 1))
        folded = ledger.fold(entries)
        assert folded == book.get(key)
    assert book.verify().ok


class OneLedger(RuleBasedStateMachine):
    """One ledger, closed and opened again now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "cursors.db"
        self.model = Model()
        self.book = self.open()

    def open(self) -> Ledger:
        return ledger.open(self.path, actor="tester", clock=Clock(), durability="normal")

    @rule(ask=asks)
    def ask(self, ask: dict[str, Any]) -> None:
        assert answer(self.book, ask) == self.model.apply(**ask)

    @rule(batch=st.lists(asks, max_size=4))
    def all_or_nothing(self, batch: list[dict[str, Any]]) -> None:
        trial = self.model.copy()
        refusal = next(filter(None, (trial.apply(**ask) for ask in batch)), "")
        try:
            self.book.append(map(request, batch))
        except LedgerError as error:
            assert type(error).__name__ == refusal
        else:
            assert not refusal
            self.model = trial

    @rule(batch=st.lists(asks, max_size=4))
    def each_on_its_own(self, batch: list[dict[str, Any]]) -> None:
        answers = self.book.append_each(map(request, batch))
        refusals = ["" if isinstance(a, Cursor) else type(a).__name__ for a in answers]
        assert refusals == [self.model.apply(**ask) for ask in batch]

    @rule()
    def reopen(self) -> None:
        self.book.close()
        self.book = self.open()

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        check(self.book, self.model)

    def teardown(self) -> None:
        self.book.close()
        self.folder.cleanup()


class TwoLedgersAndACaller(RuleBasedStateMachine):
    """Two ledgers on one file, and a caller's transaction that commits or rolls back."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "cursors.db"
        self.books = [
            ledger.open(path, actor=name, durability="normal", busy_timeout_s=0) for name in "ab"
        ]
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=0)
        self.connection.execute("CREATE TABLE mine (n INTEGER)")
        self.lent = self.books[0].using(self.connection)
        self.committed = Model()
        self.inside: Model | None = None
        self.mine = self.mine_inside = 0

    @rule(ask=asks, which=st.sampled_from([0, 1]))
    def ask(self, ask: dict[str, Any], which: int) -> None:
        if self.inside is not None:
            assert answer(self.books[which], ask) == "LedgerBusyError"
        else:
            assert answer(self.books[which], ask) == self.committed.apply(**ask)

    @precondition(lambda self: self.inside is None)
    @rule()
    def begin(self) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        self.inside, self.mine_inside = self.committed.copy(), self.mine

    @precondition(lambda self: self.inside is not None)
    @rule(ask=asks)
    def ask_inside(self, ask: dict[str, Any]) -> None:
        assert self.inside is not None
        assert answer(self.lent, ask) == self.inside.apply(**ask)
        assert self.connection.in_transaction
        self.connection.execute("INSERT INTO mine VALUES (1)")
        self.mine_inside += 1
        check(self.lent, self.inside)

    @precondition(lambda self: self.inside is not None)
    @rule(commit=st.booleans())
    def end(self, commit: bool) -> None:
        self.connection.execute("COMMIT" if commit else "ROLLBACK")
        if commit and self.inside is not None:
            self.committed, self.mine = self.inside, self.mine_inside
        self.inside = None

    @rule(ask=asks)
    def outside_a_transaction_it_is_refused(self, ask: dict[str, Any]) -> None:
        if self.inside is None:
            with pytest.raises(ledger.StorageError, match="autocommit"):
                self.lent.append([request(ask)])

    @invariant()
    def both_see_what_was_committed(self) -> None:
        for book in self.books:
            check(book, self.committed)
        if self.inside is None:
            [count] = self.connection.execute("SELECT count(*) FROM mine").fetchone()
            assert count == self.mine

    def teardown(self) -> None:
        self.connection.close()
        for book in self.books:
            book.close()
        self.folder.cleanup()


TestOneLedger = OneLedger.TestCase
TestOneLedger.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestTwoLedgersAndACaller = TwoLedgersAndACaller.TestCase
TestTwoLedgersAndACaller.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)
