"""A week of fifty consumers with planted faults: each is found by its command, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

import ledger
from ledger import AdvanceCursor, CursorKey, LedgerError, RecordError, Request, ResetCursor
from ledger.log.text import show_time
from projections.cli import main
from support.targets import new_target

# They share a week of fifty consumers, which takes a while to write.
pytestmark = pytest.mark.xdist_group("narrative")

MONDAY = datetime(2026, 5, 4, tzinfo=UTC)
STEP = timedelta(minutes=30)
STORES = "every"

STEPS = 336  # a week
STREAMS = ("orders", "invoices", "users", "parcels", "audit")
CONSUMERS = tuple(f"consumer-{n}" for n in range(10))

REWOUND = CursorKey("consumer-0", "orders")
SKIPPED = CursorKey("consumer-1", "invoices")
NOT_BACK = CursorKey("consumer-2", "users")
STALLED = CursorKey("consumer-3", "orders")
POISONED = CursorKey("consumer-4", "invoices")
FORKED = CursorKey("consumer-5", "users")
JUMPED = CursorKey("consumer-6", "parcels")

Planned = tuple[datetime, Request]


def due(step: int, consumer: int = 0) -> datetime:
    """Return when event `step` is delivered: every half hour, to one consumer after the other."""
    return MONDAY + step * STEP + timedelta(seconds=consumer)


def delivery(key: CursorKey, sequence: int, at: datetime, **more: Any) -> Planned:
    return at, AdvanceCursor(
        key,
        sequence,
        **{
            "delivery_id": f"{key.stream_name}-{sequence}",
            "actor": f"{key.consumer_id}@pod-1",
            **more,
        },
    )


def error(key: CursorKey, message: str, at: datetime, pod: str = "pod-1") -> Planned:
    return at, RecordError(key, message, actor=f"{key.consumer_id}@{pod}")


def reset(
    key: CursorKey, to: int, at: datetime, *, actor: str, reason: str, ticket: str
) -> Planned:
    return at, ResetCursor(key, to, reason, actor=actor, metadata={"ticket": ticket})


def step_of(request: Request) -> int:
    assert isinstance(request, AdvanceCursor)
    return request.last_sequence


def healthy(key: CursorKey) -> Iterator[Planned]:
    for step in range(1, STEPS + 1):
        yield delivery(key, step, due(step, CONSUMERS.index(key.consumer_id)))


def rewound(key: CursorKey) -> Iterator[Planned]:
    """At 100 it is reset to 90, and delivers 91 to 100 again; a zombie does not notice."""
    minute = timedelta(minutes=1)
    for at, request in healthy(key):
        step = step_of(request)
        yield at, request
        if step == 100:
            yield reset(
                key, 90, at + minute, actor="ines", reason="receiver lost 91 to 95", ticket="OPS-1"
            )
            late = delivery(key, 101, at + 2 * minute, epoch=0, actor="consumer-0@pod-2")
            yield late
            yield error(key, "StaleEpochError: was reset", late[0] + minute / 60, "pod-2")
            for n in range(91, 101):
                yield delivery(key, n, at + (3 + n / 100) * minute, epoch=1)


def skipped(key: CursorKey) -> Iterator[Planned]:
    """At 150 it is reset to 170, and has nothing to do until 171."""
    for at, request in healthy(key):
        step = step_of(request)
        if not 150 < step <= 170:
            yield at, request
        if step == 150:
            why = "outage of the partner; customers were refunded"
            yield reset(
                key, 170, at + timedelta(minutes=5), actor="omar", reason=why, ticket="OPS-2"
            )


def not_back(key: CursorKey) -> Iterator[Planned]:
    """On Sunday night it is reset from 336 to 300, and gets to 330 by the end of the log."""
    yield from healthy(key)
    end = due(STEPS, 2)
    yield reset(
        key, 300, end + timedelta(minutes=1), actor="ines", reason="mails bounced", ticket="OPS-3"
    )
    for n in range(301, 331):
        yield delivery(key, n, end + timedelta(minutes=1, seconds=n - 300))


def stalled(key: CursorKey) -> Iterator[Planned]:
    """It stops after 120, and comes back two days later."""
    back = due(216, 3)
    for at, request in healthy(key):
        step = step_of(request)
        if 120 < step <= 216:
            yield back + timedelta(seconds=(step - 120) / 100), request
        else:
            yield at, request


def poisoned(key: CursorKey) -> Iterator[Planned]:
    """It fails 40 times at 59, every 20 seconds, and then skips 60."""
    for at, request in healthy(key):
        step = step_of(request)
        if step == 60:
            for n in range(40):
                message = f"HTTP 500: cannot parse amount, attempt {n + 1}"
                yield error(key, message, at + timedelta(seconds=20 * n))
            yield delivery(key, 60, at + timedelta(seconds=801), outcome="skipped")
        else:
            yield at, request


def forked(key: CursorKey) -> Iterator[Planned]:
    """Two pods deliver 200, under two delivery ids."""
    for at, request in healthy(key):
        yield at, request
        if step_of(request) == 200:
            yield delivery(key, 200, at + timedelta(seconds=20), delivery_id="other-200")
            why = "NonMonotonicCursorError: 200 (other-200) is another delivery"
            yield error(key, why, at + timedelta(seconds=21), "pod-2")


def jumped(key: CursorKey) -> Iterator[Planned]:
    """On Sunday it jumps a thousand ahead, for a counter was read from the wrong stream."""
    for at, request in healthy(key):
        if step_of(request) < STEPS:
            yield at, request
    yield delivery(key, STEPS - 1 + 1_000, due(STEPS, 6))


STORIES: dict[CursorKey, Callable[[CursorKey], Iterator[Planned]]] = {
    REWOUND: rewound,
    SKIPPED: skipped,
    NOT_BACK: not_back,
    STALLED: stalled,
    POISONED: poisoned,
    FORKED: forked,
    JUMPED: jumped,
}


@pytest.fixture(scope="module")
def week(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Write the week, in the order of time, by the ledger's own clock."""
    with new_target(kind, tmp_path_factory.mktemp("week") / "cursors.db") as target:
        write_week(target)
        yield target


def write_week(target: str) -> None:
    keys = [CursorKey(consumer, stream) for stream in STREAMS for consumer in CONSUMERS]
    planned = [each for key in keys for each in STORIES.get(key, healthy)(key)]
    planned.sort(key=lambda each: each[0])
    times = iter([at for at, _ in planned])
    with ledger.open(target, clock=lambda: next(times), durability="normal") as book:
        answers = book.append_each([request for _, request in planned])
    refused = [answer for answer in answers if isinstance(answer, LedgerError)]
    assert [type(answer).__name__ for answer in refused] == [
        "StaleEpochError",
        "NonMonotonicCursorError",
    ]


Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def ask(week: str) -> Ask:
    def ask(*arguments: object) -> list[dict[str, Any]]:
        done = CliRunner().invoke(main, ["--db", week, *map(str, arguments)])
        assert done.exit_code == 0, done.output
        return [json.loads(line) for line in done.stdout.splitlines()]

    return ask


def name(found: dict[str, Any]) -> CursorKey:
    return CursorKey(**found["key"])


def shown(moment: datetime) -> str:
    return show_time(moment)


def test_resets_finds_who_reset_what_and_what_came_of_it(ask: Ask) -> None:
    found = ask("resets")
    assert [
        (
            name(r),
            r["actor"],
            r["previous_sequence"],
            r["sequence"],
            r["reason"],
            r["metadata"]["ticket"],
            r["recorded_at"],
            r["back_at"],
        )
        for r in found
    ] == [
        (
            REWOUND,
            "ines",
            100,
            90,
            "receiver lost 91 to 95",
            "OPS-1",
            shown(due(100) + timedelta(minutes=1)),
            shown(due(100) + timedelta(minutes=4)),
        ),
        (
            SKIPPED,
            "omar",
            150,
            170,
            "outage of the partner; customers were refunded",
            "OPS-2",
            shown(due(150, 1) + timedelta(minutes=5)),
            None,
        ),
        (
            NOT_BACK,
            "ines",
            336,
            300,
            "mails bounced",
            "OPS-3",
            shown(due(336, 2) + timedelta(minutes=1)),
            None,
        ),
    ]
    assert [r["direction"] for r in found] == ["back", "forward", "back"]
    assert [r["delivered_again"] or r["passed_over"] for r in found] == [
        {"first": 91, "last": 100},
        {"first": 151, "last": 170},
        {"first": 301, "last": 336},
    ]


@pytest.mark.parametrize(
    ("options", "tickets"),
    [
        (["--by", "ines"], ["OPS-1", "OPS-3"]),
        (["--direction", "forward"], ["OPS-2"]),
        (["--reason", "REFUNDED"], ["OPS-2"]),
        (["--stream", "users"], ["OPS-3"]),
        (["--consumer", "consumer-0"], ["OPS-1"]),
        (["--until", "2026-05-08T00:00:00Z"], ["OPS-1", "OPS-2"]),
        (["--since", "2026-05-08T00:00:00Z"], ["OPS-3"]),
        (["--newest-first", "-n", "1"], ["OPS-3"]),
        (["--subject", "none"], []),
    ],
)
def test_resets_are_filtered(ask: Ask, options: list[str], tickets: list[str]) -> None:
    assert [r["metadata"]["ticket"] for r in ask("resets", *options)] == tickets


def test_stalls_finds_who_stopped_and_who_kept_failing(ask: Ask) -> None:
    stall, *streaks = ask("stalls", "--errors", 1)
    assert (name(stall), stall["last_sequence"]) == (STALLED, 120)
    assert stall["moved_at"] == shown(due(120, 3))
    assert stall["since"] == shown(due(121))
    assert stall["until"] == shown(due(216, 3) + timedelta(seconds=0.01))
    assert (stall["front"], stall["errors"]) == (216, 0)
    assert [
        (name(s), s["last_sequence"], s["count"], s["actor"], s["first_at"], s["last_at"])
        for s in streaks
    ] == [
        (
            POISONED,
            59,
            40,
            "consumer-4@pod-1",
            shown(due(60, 4)),
            shown(due(60, 4) + timedelta(seconds=780)),
        ),
        (REWOUND, 90, 1, "consumer-0@pod-2", *[shown(due(100) + timedelta(seconds=121))] * 2),
        (FORKED, 200, 1, "consumer-5@pod-2", *[shown(due(200, 5) + timedelta(seconds=21))] * 2),
    ]
    poison, zombie, fork = streaks
    assert poison["first_message"].endswith("attempt 1")
    assert poison["last_message"].endswith("attempt 40")
    assert poison["ended_at"] == shown(due(60, 4) + timedelta(seconds=801))
    assert zombie["last_message"].startswith("StaleEpochError")
    assert "other-200" in fork["last_message"]
    # By default, an error that was got over at once is not worth a word.
    assert len(ask("stalls")) == 2
    assert ask("stalls", "--ongoing") == []
    assert [name(s) for s in ask("stalls", "--consumer", "consumer-4")] == [POISONED]


def test_gaps_finds_the_jump_and_nothing_else(ask: Ask) -> None:
    [gap] = ask("gaps", "--dense")
    assert name(gap) == JUMPED
    assert (gap["first"], gap["last"], gap["certain"]) == (336, 1_334, True)
    assert (gap["previous_sequence"], gap["sequence"]) == (335, 1_335)
    assert (gap["actor"], gap["recorded_at"]) == ("consumer-6@pod-1", shown(due(336, 6)))


def test_repeats_finds_what_came_twice_and_whose_reset_it_was(ask: Ask) -> None:
    assert [
        (
            name(r),
            r["first"],
            r["last"],
            r["deliveries"],
            r["reset"]["actor"],
            r["reset"]["event"]["reason"],
        )
        for r in ask("repeats")
    ] == [
        (REWOUND, 91, 100, 2, "ines", "receiver lost 91 to 95"),
        (NOT_BACK, 301, 330, 2, "ines", "mails bounced"),
    ]


@pytest.mark.parametrize(
    ("key", "sequence", "verdict", "deliveries", "hows"),
    [
        (REWOUND, 90, "delivered", 1, ["landed"]),
        (REWOUND, 95, "delivered", 2, ["landed", "rewound", "landed"]),
        (SKIPPED, 160, "skipped", 0, ["skipped_by_reset"]),
        (NOT_BACK, 335, "delivered", 1, ["landed", "rewound"]),
        (NOT_BACK, 337, "not_yet", 0, []),
        (STALLED, 150, "delivered", 1, ["landed"]),
        (POISONED, 60, "skipped", 0, ["landed"]),
        (FORKED, 200, "delivered", 1, ["landed"]),
        (JUMPED, 1_000, "passed", 0, ["jumped"]),
    ],
)
def test_explain_tells_the_story_of_each(  # noqa: PLR0917 - a table
    ask: Ask, key: CursorKey, sequence: int, verdict: str, deliveries: int, hows: list[str]
) -> None:
    [told] = ask("explain", key.consumer_id, key.stream_name, sequence)
    assert (told["verdict"], told["deliveries"]) == (verdict, deliveries)
    assert [step["how"] for step in told["steps"]] == hows
    if key == POISONED:
        assert told["steps"][0]["errors"]["count"] == 40


def test_as_of_and_diff_look_into_the_week(ask: Ask) -> None:
    tuesday = shown(MONDAY + timedelta(days=1, minutes=1))
    then = ask("as-of", tuesday)
    assert len(then) == 50
    assert {cursor["last_sequence"] for cursor in then} == {48}
    [one] = ask("as-of", shown(due(100) + timedelta(seconds=90)), "consumer-0", "orders")
    assert (one["last_sequence"], one["epoch"]) == (90, 1)
    before, after = shown(due(130)), shown(due(140))
    changes = {name(change): change for change in ask("diff", before, after)}
    assert len(changes) == 49
    assert STALLED not in changes
    assert {change["moved"] for change in changes.values()} <= {10, 11}
