"""A policy that is set while a reset waits holds for whichever commits later, over processes."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest

import ledger
from ledger import CursorKey, Ledger, Policy, PolicyKind, PolicyUnmetError, ResetCursor
from ledger.opening import utc_now
from ledger.writing import policies
from projections import PolicyHistory, policy_changes, resets
from support.cursors import JOBS, ORDERS
from support.depth import thorough
from support.spawned import processes_of_their_own

TICKET = Policy(PolicyKind.META, "ticket")
SIGNATURE = Policy(PolicyKind.SIGNATURE)
WAIT_S = 60.0


@contextmanager
def lent(target: str) -> Iterator[Any]:
    """Return a connection of a caller's own, in a transaction."""
    if target.startswith("postgres"):
        with psycopg.connect(target.partition("?")[0]) as connection:
            yield connection
        return
    with closing(sqlite3.connect(target, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def set_policy(target: str, begun: Any, done: Any) -> None:
    with ledger.open(target, actor="ines", busy_timeout_s=WAIT_S) as book:
        begun.set()
        book.policies.set(TICKET, reason="audit")
        done.set()


def reset(target: str, begun: Any, answers: Any) -> None:
    with ledger.open(target, actor="omar", busy_timeout_s=WAIT_S) as book:
        begun.set()
        try:
            answers.put(book.reset(ORDERS, to=1, reason="lost").version)
        except PolicyUnmetError as error:
            answers.put(str(error))


@pytest.mark.parametrize("known", [False, True], ids=["the first ever", "one that was set before"])
def test_a_policy_waits_for_a_reset_that_was_judged_before_it(
    book: Ledger, target: str, known: bool
) -> None:
    book.advance(ORDERS, to=44)
    if known:
        book.policies.set(TICKET, reason="audit")
        book.policies.drop(TICKET, reason="over")
    processes = processes_of_their_own()
    begun, done = processes.Event(), processes.Event()
    with lent(target) as connection:
        book.using(connection).reset(ORDERS, to=1, reason="lost")
        setting = processes.Process(target=set_policy, args=(target, begun, done))
        setting.start()
        assert begun.wait(WAIT_S)
        assert not done.wait(0.5)
        # Another one in the same transaction: the policy is not in force before its end.
        book.using(connection).reset(JOBS, to=0, reason="lost")
        assert not done.is_set()
        connection.commit()
        assert done.wait(WAIT_S)
        setting.join(WAIT_S)
    *_, change = policy_changes(book)
    assert all(each.position < change.position for each in resets(book) if each.key == ORDERS)
    with pytest.raises(PolicyUnmetError):
        book.reset(ORDERS, to=1, reason="lost")


@pytest.mark.parametrize("known", [False, True], ids=["the first ever", "one that was set before"])
def test_a_reset_waits_for_a_policy_that_is_being_set_and_is_judged_by_it(
    book: Ledger, target: str, known: bool
) -> None:
    book.advance(ORDERS, to=44)
    if known:
        book.policies.set(TICKET, reason="audit")
        book.policies.drop(TICKET, reason="over")
    holding, go = threading.Event(), threading.Event()
    request = ResetCursor(TICKET.key, 1, "audit", actor="ines")

    def change(transaction: Any) -> None:
        policies.change(transaction, TICKET, request, actor="", clock=utc_now)
        holding.set()
        assert go.wait(WAIT_S)

    setting = threading.Thread(target=book._appender.run, args=(change,))
    setting.start()
    assert holding.wait(WAIT_S)
    processes = processes_of_their_own()
    begun, answers = processes.Event(), processes.Queue()
    resetting = processes.Process(target=reset, args=(target, begun, answers))
    resetting.start()
    assert begun.wait(WAIT_S)
    time.sleep(0.5)
    assert answers.empty()
    go.set()
    setting.join(WAIT_S)
    said = str(answers.get(timeout=WAIT_S))
    resetting.join(WAIT_S)
    assert "require-meta ticket is in force, set by ines" in said
    assert book.get(ORDERS).epoch == 0


def storm(target: str, nth: int, rounds: int, answers: Any) -> None:
    """Reset two cursors over and over without a ticket, one alone and both together."""
    made = refused = 0
    own = CursorKey(f"consumer-{nth}", "orders")
    with ledger.open(target, actor=f"omar-{nth}", busy_timeout_s=WAIT_S) as book:
        for each in range(rounds):
            requests = [ResetCursor(own, each, "lost"), ResetCursor(ORDERS, each, "lost")]
            try:
                if each % 3 == 0:
                    book.submit(requests[0]).result()
                else:
                    book.append(requests[: each % 3])
                made += 1
            except PolicyUnmetError:
                refused += 1
    answers.put((made, refused))


@pytest.mark.slow("it looks for a race, at random")
def test_no_reset_is_made_against_a_policy_however_they_race(book: Ledger, target: str) -> None:
    rounds, processes = thorough(300, 60), processes_of_their_own()
    answers = processes.Queue()
    running = [
        processes.Process(target=storm, args=(target, nth, rounds, answers)) for nth in range(3)
    ]
    for process in running:
        process.start()
    toggled = 0
    while any(process.is_alive() for process in running):
        for policy in (TICKET, SIGNATURE):
            book.policies.set(policy, reason="audit")
            time.sleep(0.01)
            book.policies.drop(policy, reason="over")
            time.sleep(0.01)
            toggled += 2
    found = [answers.get(timeout=WAIT_S) for _ in running]
    assert [process.exitcode for process in running] == [0, 0, 0]
    assert all(made + refused == rounds for made, refused in found)
    assert sum(made for made, _ in found)
    assert sum(refused for _, refused in found)
    history = PolicyHistory.of(book)
    assert len(history.changes) == toggled
    assert [reset.position for reset in resets(book) if history.unmet(reset)] == []
    assert book.verify().ok
