"""The rules of writing: all of a transaction or nothing, upon heads as they are, and once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import TypeVar

from ledger.conformance.logs import (
    ACTOR,
    BrokenRuleError,
    Log,
    Logs,
    Rule,
    committed,
    expect,
    expect_refusal,
    moment,
)
from ledger.conformance.reading import KEYS, ORDERS
from ledger.errors import LedgerBusyError, StorageError
from ledger.law.cursor import CursorKey
from ledger.law.events import CursorReset, Entry
from ledger.law.policies import Policy, PolicyKind
from ledger.law.queries import CursorQuery, EntryQuery
from ledger.law.requests import AdvanceCursor, RecordError, Request, ResetCursor, StartCursor
from ledger.stores import Appending, AppendingFree, Exclusive, Transaction
from ledger.stores.deadline import Deadline
from ledger.writing.commit import commit_free
from ledger.writing.policies import change

__all__ = ["RULES"]

T = TypeVar("T")

THREADS = 4
APPENDS = 25

# How long one store holds everything, while another one with a shorter deadline wants a cursor.
HOLDS_S = 3.0
SHORT_S = 0.2

# How long a thread may take, on the slowest machine that we know of.
JOIN_S = 60.0


class _LeftError(Exception):
    """Ends a transaction in the middle."""


def all_or_nothing(logs: Logs) -> None:
    log = logs.new()
    log.append(AdvanceCursor(ORDERS, 1), AdvanceCursor(KEYS[0], 1))

    def leave(transaction: Appending) -> None:
        requests = [AdvanceCursor(ORDERS, 2), AdvanceCursor(KEYS[0], 2), AdvanceCursor(KEYS[1], 2)]
        committed(transaction, requests, 1)
        raise _LeftError

    _expect_to_leave(log, leave)
    log.expect_all()
    # Nor is anything of it remembered.
    log.append(AdvanceCursor(ORDERS, 3), AdvanceCursor(KEYS[1], 3), at=2)
    log.expect_all()


def nothing_before_an_append(logs: Logs) -> None:
    log = logs.new()
    log.append(AdvanceCursor(ORDERS, 1))

    def leave(transaction: Appending) -> None:
        transaction.hold([ORDERS, KEYS[0]])
        transaction.head(ORDERS)
        raise _LeftError

    _expect_to_leave(log, leave)
    looked = log.store.write(lambda transaction: _versions(transaction, ORDERS, KEYS[0]))
    expect(looked, [1, 0], "the versions of heads in a transaction that appends nothing")
    log.expect_all()


def many_at_once(logs: Logs) -> None:
    log = logs.new()
    log.append(*(AdvanceCursor(key, 1) for key in KEYS[:4]))
    log.append(*(AdvanceCursor(key, to) for to in (2, 3, 4) for key in KEYS))
    log.append(*(ResetCursor(key, 0, "again") for key in KEYS))
    log.append(*(RecordError(key, "HTTP 503") for key in KEYS), AdvanceCursor(ORDERS, 1))
    log.expect_all()


def heads_as_they_are(logs: Logs) -> None:
    log = logs.new()
    other = logs.again(log)
    for nth in range(1, 6):
        log.append(AdvanceCursor(ORDERS, 2 * nth), AdvanceCursor(KEYS[0], nth))
        other.append(AdvanceCursor(ORDERS, 2 * nth + 1))
    log.expect_all()
    other.expect_all()


def refused_as_it_is(logs: Logs) -> None:
    log = logs.new()
    other = logs.again(log)
    log.append(AdvanceCursor(ORDERS, 5, delivery_id="d-5"))
    other.append(ResetCursor(ORDERS, 0, "to be delivered again"))
    # By a head that is no longer true, this one would be refused, and the next one accepted.
    log.append(AdvanceCursor(ORDERS, 1))
    other.append(AdvanceCursor(ORDERS, 9))
    log.append(AdvanceCursor(ORDERS, 8))
    log.expect_all()
    expect(len(log.expected.entries), 4, "the number of entries")


def started_once(logs: Logs) -> None:
    log = logs.new()
    other = logs.again(log)
    log.append(StartCursor(ORDERS, 5, "moved here"))
    other.append(AdvanceCursor(KEYS[0], 1))
    # Both are refused, by what the other store appended.
    other.append(StartCursor(ORDERS, 5, "moved here"), AdvanceCursor(ORDERS, 6))
    log.append(StartCursor(KEYS[0], 1, "moved here"), StartCursor(KEYS[1], 0, "new"))
    log.expect_all()
    expect(len(log.expected.entries), 4, "the number of entries")


def free_ones(logs: Logs) -> None:
    log = logs.new()
    log.append(AdvanceCursor(ORDERS, 1))
    calls = [[[AdvanceCursor(ORDERS, 2)]], [[AdvanceCursor(KEYS[0], 1)]]]

    def work(transaction: AppendingFree) -> list[bool]:
        answers = commit_free(transaction, calls, actor=ACTOR, clock=lambda: moment(1))
        return [answer is not None for answer in answers]

    expect(log.store.write(work), [True, True], "which calls on free cursors are appended")
    committed(log.expected, [AdvanceCursor(ORDERS, 2), AdvanceCursor(KEYS[0], 1)], 1)
    log.expect_all()


def policies(logs: Logs) -> None:
    log = logs.new()
    ticket, signature = Policy(PolicyKind.META, "ticket"), Policy(PolicyKind.SIGNATURE)
    elsewhere = CursorKey("mailer", ticket.key.stream_name, ticket.key.subject_id)
    log.append(ResetCursor(elsewhere, 1, "a cursor that is none"), ResetCursor(ORDERS, 1, "x"))
    for nth, (policy, to) in enumerate([(ticket, 1), (signature, 1), (signature, 0)]):
        request = ResetCursor(policy.key, to, "audit")
        log.store.write(partial(_changed, policy=policy, request=request, at=nth))
        # Only resets count.
        other: list[Request] = [AdvanceCursor(policy.key, 7), RecordError(policy.key, "HTTP 503")]
        log.store.write(partial(committed, requests=other, at=nth))

    def look(transaction: Appending) -> list[Entry]:
        transaction.hold([ORDERS])
        return sorted(transaction.policies(), key=attrgetter("position"))

    resets = [entry for entry in log.entries() if isinstance(entry.event, CursorReset)]
    # The first two are of other cursors, the fourth is not the last of its policy.
    expect(log.store.write(look), [resets[2], resets[4]], "the last reset of each policy")
    answers = log.store.write(partial(committed, requests=[ResetCursor(ORDERS, 2, "x")], at=9))
    refused = [type(answer).__name__ for answer in answers]
    expect(refused, ["PolicyUnmetError"], "the answer to a reset without a ticket")


def threads(logs: Logs) -> None:
    log = logs.new()
    _expect_no_loss(log, log)


def two_stores(logs: Logs) -> None:
    log = logs.new()
    _expect_no_loss(log, logs.again(log))


def in_time(logs: Logs) -> None:
    log = logs.new()
    other = logs.again(log)
    log.append(AdvanceCursor(ORDERS, 1))
    holding, let_go = threading.Event(), threading.Event()

    def hold(transaction: Exclusive) -> None:
        # A cursor that is held may be held by what is remembered of it, which keeps nobody waiting.
        with transaction.everything():
            holding.set()
            let_go.wait(HOLDS_S)

    holder = threading.Thread(target=lambda: other.store.write(hold), daemon=True)
    holder.start()
    try:
        if not holding.wait(JOIN_S):
            raise BrokenRuleError("a transaction that holds everything does not begin")
        expect_refusal(
            LedgerBusyError,
            lambda: log.store.write(
                lambda transaction: committed(transaction, [AdvanceCursor(ORDERS, 2)], 1),
                Deadline.after(SHORT_S),
            ),
            "a write behind another one, whose deadline is over",
        )
    finally:
        let_go.set()
        holder.join(JOIN_S)
    log.append(AdvanceCursor(ORDERS, 3))
    log.expect_all()


def kept(logs: Logs) -> None:
    log = logs.new()
    log.append(*(AdvanceCursor(key, 1) for key in KEYS))
    log.store.close()
    again = logs.again(log)
    again.expect_all()
    again.append(AdvanceCursor(ORDERS, 2))
    again.expect_all()


def closed(logs: Logs) -> None:
    store = logs.new().store
    store.close()
    store.close()
    for name, call in (
        ("cursor", lambda: store.cursor(ORDERS)),
        ("cursors", lambda: list(store.cursors(CursorQuery()))),
        ("entries", lambda: list(store.entries(EntryQuery()))),
        ("write", lambda: store.write(lambda _: None)),
    ):
        expect_refusal(StorageError, call, f"{name} of a store that is closed")


# --- parts ---


def _changed(transaction: Transaction, policy: Policy, request: ResetCursor, at: float) -> None:
    change(transaction, policy, request, actor=ACTOR, clock=lambda: moment(at))


def _versions(transaction: Appending, *keys: CursorKey) -> list[int]:
    transaction.hold(keys)
    heads = map(transaction.head, keys)
    return [head.cursor.version if head else 0 for head in heads]


def _expect_to_leave(log: Log, work: Callable[[Transaction], None]) -> None:
    try:
        log.store.write(work)
    except _LeftError:
        return
    raise BrokenRuleError("write does not raise what its work raises")


def _expect_no_loss(log: Log, other: Log) -> None:
    """Append from several threads at once, to one cursor of all and to one of each."""
    failures: list[Exception] = []

    def run(nth: int) -> None:
        store = (log, other)[nth % 2].store
        own = CursorKey(f"thread-{nth}", "orders")
        try:
            for to in range(1, APPENDS + 1):
                asked: list[Request] = [RecordError(ORDERS, "HTTP 503"), AdvanceCursor(own, to)]
                store.write(partial(committed, requests=asked, at=0))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised below
            failures.append(error)

    running = [threading.Thread(target=run, args=(nth,), daemon=True) for nth in range(THREADS)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(JOIN_S)
    expect([thread.is_alive() for thread in running], [False] * THREADS, "which threads hang")
    if failures:
        raise failures[0]
    versions = [entry.version for entry in log.entries(EntryQuery(key=ORDERS))]
    expect(versions, list(range(1, THREADS * APPENDS + 1)), "the versions that threads appended")
    log.expect_proof()


RULES: tuple[Rule, ...] = (
    Rule("a transaction that raises has changed nothing", all_or_nothing),
    Rule("a transaction that appends nothing changes nothing", nothing_before_an_append),
    Rule("entries of many cursors are appended together, in order", many_at_once),
    Rule("cursors that nobody else holds are held without waiting", free_ones),
    Rule("the last reset of each policy is found in a transaction", policies),
    Rule("threads that append to one store lose nothing", threads),
    Rule("a store that is closed refuses, and may be closed again", closed),
    Rule("a chain goes on behind what another store appended", heads_as_they_are, needs_two=True),
    Rule("a refusal stands on what another store appended", refused_as_it_is, needs_two=True),
    Rule("only the first entry of a cursor starts it", started_once, needs_two=True),
    Rule("two stores that append to one log lose nothing", two_stores, needs_two=True),
    Rule("a write waits until its deadline, and not longer", in_time, needs_two=True),
    Rule("what was appended is there when the log is opened again", kept, needs_two=True),
)
