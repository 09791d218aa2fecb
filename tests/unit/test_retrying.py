"""When failed deliveries are tried again, without a clock."""

from __future__ import annotations

from typing import Any

import pytest

from ledger import GiveUp, InvalidCursorError, Retry, StorageError
from ledger.consuming.retrying import Outage, Plan, given_up
from support.cursors import JOBS
from support.records import recorded

FULL = StorageError("the disk is full.")


def test_each_wait_is_twice_as_long_up_to_the_longest() -> None:
    retry = Retry(wait_s=0.5, wait_max_s=3, jitter=0)
    assert [retry.wait_before(tries) for tries in (1, 2, 3, 4, 5, 1_000)] == [0.5, 1, 2, 3, 3, 3]


def test_each_wait_is_shortened_by_chance() -> None:
    retry = Retry(wait_s=4, jitter=0.5)
    assert retry.wait_before(1, chance=lambda: 0.0) == 4
    assert retry.wait_before(1, chance=lambda: 0.5) == 3
    assert retry.wait_before(1, chance=lambda: 1.0) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"tries_max": 0},
        {"tries_max": 1_000_001},
        {"tries_max": True},
        {"wait_s": -1},
        {"wait_s": float("nan")},
        {"wait_max_s": float("inf")},
        {"jitter": 1.1},
        {"jitter": "much"},
        {"give_up": "explode"},
        {"give_up": None},
    ],
)
def test_a_retry_that_makes_no_sense_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidCursorError, match=next(iter(arguments))):
        Retry(**arguments)


def test_an_event_is_due_again_until_it_is_given_up() -> None:
    plan: Plan[str] = Plan(Retry(tries_max=3, wait_s=1, jitter=0, give_up=GiveUp.SKIP))
    plan.began(7, "seven")
    assert plan.failed(7, 1, now=10) is None
    assert plan.due(10.9) is None
    assert plan.wait_s(10.5, 60) == 0.5
    assert plan.due(11) == (7, "seven")
    assert plan.due(11) is None, "it is tried once"
    assert plan.failed(7, 2, now=12) is None
    assert plan.wait_s(12, 60) == 2
    assert plan.due(14) == (7, "seven")
    assert plan.failed(7, 3, now=15) is GiveUp.SKIP


def test_an_event_that_is_done_is_not_due() -> None:
    plan: Plan[str] = Plan(Retry(jitter=0))
    plan.began(7, "seven")
    plan.failed(7, 1, now=10)
    plan.done(7)
    assert plan.due(1_000) is None


def test_what_fails_at_once_is_one_failure_of_the_database() -> None:
    outage = Outage(Retry(tries_max=3, wait_s=1, jitter=0), JOBS)
    with recorded() as records:
        assert not any(outage.failed(now, FULL) for now in (10.0, *[10.5] * 20))
    assert outage.until == 11
    assert [vars(record)["event"] for record in records] == ["consumer_put_off"]
    assert records[0].getMessage() == (
        "mailer/jobs: the ledger failed, and is asked again after 1.0 s: the disk is full."
    )
    assert not outage.failed(11.5, FULL)
    assert outage.until == 13.5
    assert outage.failed(14, FULL), "it has failed three times"


def test_a_database_that_answers_begins_a_new_account() -> None:
    outage = Outage(Retry(tries_max=2, wait_s=1, jitter=0), JOBS)
    for now in range(0, 100, 10):
        assert not outage.failed(now, FULL)
        outage.over()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionError("503"), "2 tries failed; the last: ConnectionError: 503"),
        (ValueError(""), "2 tries failed; the last: ValueError"),
        (ValueError("password=hunter2"), "2 tries failed; the last: ValueError: password=***"),
    ],
)
def test_the_reason_for_giving_up_masks_secrets(error: Exception, said: str) -> None:
    assert given_up(2, error) == said
    assert len(given_up(2, ValueError("x" * 100_000))) < 2_100
