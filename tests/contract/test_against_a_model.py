"""State machines drive real files against the plain model of model.py."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import ledger
from ledger import (
    AdvanceCursor,
    ConfirmToken,
    Cursor,
    CursorKey,
    FaultKind,
    Ledger,
    LedgerError,
    RecordError,
    ResetCursor,
    StartCursor,
)
from ledger.stores.postgres.address import Address
from support.clock import Clock
from support.depth import thorough
from support.model import Model
from support.targets import new_target

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
            "op": st.just("confirm"),
            "key": keys,
            "id": st.sampled_from(["d-1", "d-2"]),
            "after": ids,
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
            "op": st.just("start"),
            "key": keys,
            "to": st.just(0) | places,
            "id": ids,
            "seen": st.none() | times,
            "now": times,
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
    if ask["op"] == "start":
        return StartCursor(
            ask["key"],
            ask["to"],
            "because",
            last_delivery_id=ask["id"],
            last_delivered_at=ask["seen"],
            now=ask["now"],
        )
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
        case "confirm":
            return ConfirmToken(
                ask["key"],
                ask["id"],
                after=ask["after"],
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


class OneLedger(RuleBasedStateMachine):
    """One ledger, closed and opened again now and then."""

    kind = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.life = ExitStack()
        folder = Path(self.life.enter_context(tempfile.TemporaryDirectory()))
        self.target = self.life.enter_context(
            new_target(self.kind, folder / "cursors.db", made=False)
        )
        self.model = Model()
        self.book = self.open()

    def open(self) -> Ledger:
        return ledger.open(self.target, actor="tester", clock=Clock(), durability="normal")

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
        assert self.book.verify().ok

    def teardown(self) -> None:
        self.book.close()
        self.life.close()


class TwoLedgersAndACaller(RuleBasedStateMachine):
    """Two ledgers on one database, and a caller's transaction that commits or rolls back."""

    kind = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.life = ExitStack()
        folder = Path(self.life.enter_context(tempfile.TemporaryDirectory()))
        target = self.life.enter_context(new_target(self.kind, folder / "cursors.db", made=False))
        # Made with patience: all ledgers of a server's database share a lock while they are made.
        ledger.open(target).close()
        self.books = [
            self.life.enter_context(
                ledger.open(target, actor=name, durability="normal", busy_timeout_s=0)
            )
            for name in "ab"
        ]
        self.connection = connected(self.kind, target)
        self.life.callback(self.connection.close)
        self.connection.execute("CREATE TABLE mine (n INTEGER)")
        self.lent = self.books[0].using(self.connection)
        self.committed = Model()
        self.inside: Model | None = None
        # The cursors that others have to wait for; on SQLite, they wait for any.
        self.held: set[CursorKey] = set()
        self.mine = self.mine_inside = 0

    @rule(ask=asks, which=st.sampled_from([0, 1]))
    def ask(self, ask: dict[str, Any], which: int) -> None:
        if self.inside is not None and (self.kind == "sqlite" or request(ask).key in self.held):
            said = answer(self.books[which], ask)
            # A cursor that only the caller can see is not there, and may be refused as such.
            absent = request(ask).key not in self.committed.cursors and self.kind != "sqlite"
            refused = self.committed.copy().apply(**ask) if absent else ""
            assert said == (refused or "LedgerBusyError")
        else:
            assert answer(self.books[which], ask) == self.committed.apply(**ask)
            if self.inside is not None:
                self.inside.apply(**ask)

    @precondition(lambda self: self.inside is None)
    @rule()
    def begin(self) -> None:
        self.connection.execute("BEGIN IMMEDIATE" if self.kind == "sqlite" else "BEGIN")
        self.held = set()
        self.inside, self.mine_inside = self.committed.copy(), self.mine

    @precondition(lambda self: self.inside is not None)
    @rule(ask=asks)
    def ask_inside(self, ask: dict[str, Any]) -> None:
        assert self.inside is not None
        refused = self.inside.apply(**ask)
        assert answer(self.lent, ask) == refused
        if not refused:
            self.held.add(request(ask).key)
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
        # By one of them, because they have one log. While the caller's transaction is open before
        # the first entry, a checkpoint covers nothing yet.
        found = self.books[0].verify()
        open_before = self.inside is not None and self.kind != "sqlite"
        expected = {FaultKind.UNSETTLED} if open_before else set()
        assert {fault.kind for fault in found.faults} <= expected, found.faults
        if self.inside is None:
            assert self.connection.execute("SELECT count(*) FROM mine").fetchone() == (self.mine,)

    def teardown(self) -> None:
        self.life.close()


def connected(kind: str, target: str) -> Any:
    """Return a caller's own connection to the database of `target`."""
    if kind == "sqlite":
        return sqlite3.connect(target, isolation_level=None, timeout=0)
    address = Address.parse(target)
    return psycopg.connect(
        address.conninfo, autocommit=True, options=f"-c search_path={address.schema}"
    )


@pytest.mark.parametrize("machine", [OneLedger, TwoLedgersAndACaller])
def test_it_is_as_the_model_says(
    kind: str, machine: type[OneLedger | TwoLedgersAndACaller]
) -> None:
    on_this_database = type(machine.__name__, (machine,), {"kind": kind})
    run_state_machine_as_test(
        on_this_database,
        settings=settings(
            max_examples=thorough(60, 5) if kind == "sqlite" else thorough(12, 3),
            stateful_step_count=25,
            deadline=None,
        ),
    )
