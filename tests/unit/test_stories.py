"""Stories: what they append, and what is said of one that is mistyped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ledger
import ledger.aio
from ledger import (
    ActorRequiredError,
    CursorAdvanced,
    CursorKey,
    CursorReset,
    ErrorRecorded,
    InvalidCursorError,
    Ledger,
    NonMonotonicCursorError,
    Outcome,
)
from ledger.testing import Clock, StoryError, stories, tell


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(clock: Clock) -> Iterator[Ledger]:
    with ledger.open(":memory:", actor="test", clock=clock) as book:
        yield book


def test_a_story_appends_what_it_says(book: Ledger, clock: Clock) -> None:
    told = tell(
        book,
        """
        start 3 by olga: moved here
        advance 5 as msg-5 by mailer@web-1; wait 90s
        reset 2 by ines: lost: 3 and 4
        error HTTP 503: "try again", by nobody
        advance 7 skipped
        """,
        clock=clock,
    )
    _, fifth, reset, error, last = [entry.event for entry in told.entries]
    assert isinstance(fifth, CursorAdvanced)
    assert (fifth.sequence, fifth.delivery_id) == (5, "msg-5")
    assert isinstance(reset, CursorReset)
    assert (reset.sequence, reset.reason) == (2, "lost: 3 and 4")
    assert isinstance(error, ErrorRecorded)
    assert error.message == 'HTTP 503: "try again", by nobody'
    assert isinstance(last, CursorAdvanced)
    assert last.outcome is Outcome.SKIPPED
    actors = ["olga", "mailer@web-1", "ines", "test", "test"]
    assert [entry.actor for entry in told.entries] == actors
    assert told.entries[2].recorded_at - told.entries[1].recorded_at == timedelta(seconds=90)
    assert told.cursor == book.get(told.key)
    assert told.key == CursorKey("mailer", "orders")


def test_a_story_goes_on_where_another_ended(book: Ledger) -> None:
    key = CursorKey("webhooks", "orders", "customer-7")
    tell(book, "advance 5", key=key)
    told = tell(book, "advance 6; advance 7", key=key)
    assert [entry.version for entry in told.entries] == [2, 3]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("advance 5; advnce 7", 'step 2 of the story, "advnce 7": there is no step "advnce"; did'),
        ("rest 2: lost", 'did you mean "reset"? Write reset 2: lost, reset 2 by ines: lost.'),
        ("jump 7", 'there is no step "jump"; there are advance, error, reset, start, wait.'),
        ("5", 'there is no step "5"'),
        ("advance", "write advance 7, advance 7 as msg-7"),
        ("advance seven", "write advance 7"),
        ("advance -7", "write advance 7"),
        ("advance 7 lost", "write advance 7"),
        ("advance 7 as", "write advance 7"),
        ("advance 7 by ines by olga", "write advance 7"),
        ("advance 7 skipped delivered", "write advance 7"),
        ("advance 0", "last_sequence must be from 1"),
        ("advance 99999999999999999999", "last_sequence must be from 1"),
        ("reset 2", "write reset 2: lost"),
        ("reset: lost", "write reset 2: lost"),
        ("reset 2 by ines", "write reset 2: lost"),
        ("reset 2: ", "reason"),
        ("start 2", "write start 40: moved here"),
        ("error", "write error HTTP 503"),
        ("error   ", "write error HTTP 503"),
        ("advance " + "9" * 5_000, "write advance 7"),
        ("wait 5", "write wait 90s"),
        ("wait 5 minutes", "write wait 90s"),
        ("", "the story appends nothing"),
        (" ; ;; \n", "the story appends nothing"),
        ("wait 5s", "the story appends nothing"),
        ("advance 5; wait 99999999d", "a hundred years"),
        (7, "a story is text, not"),
        (None, "a story is text, not nothing"),
    ],
)
def test_a_mistyped_story_says_what_is_wrong_and_appends_nothing(
    book: Ledger, clock: Clock, text: str, said: str
) -> None:
    with pytest.raises(StoryError) as caught:
        tell(book, text, clock=clock)
    assert said.lower() in str(caught.value).lower()
    assert list(book.entries()) == []
    assert clock.now == Clock().now


def test_a_step_that_the_ledger_refuses_is_named(book: Ledger) -> None:
    with pytest.raises(NonMonotonicCursorError) as caught:
        tell(book, "advance 5; advance 4; advance 6")
    assert caught.value.__notes__ == [
        'step 2 of the story, "advance 4" was refused; the steps before it were appended.'
    ]
    assert [entry.version for entry in book.entries()] == [1]


def test_a_reset_by_nobody_is_by_the_actor_of_the_ledger(book: Ledger) -> None:
    assert tell(book, "reset 2: lost").entries[0].actor == "test"
    with ledger.open(":memory:") as nobodys, pytest.raises(ActorRequiredError):
        tell(nobodys, "reset 2: lost")


def test_a_story_is_told_to_a_ledger_and_waits_by_a_clock(book: Ledger) -> None:
    with pytest.raises(InvalidCursorError, match="book must be a Ledger, not a"):
        tell(ledger.aio.AsyncLedger(book), "advance 5")  # type: ignore[arg-type]
    with pytest.raises(InvalidCursorError, match="clock must be a Clock, not a float"):
        tell(book, "advance 5; wait 5m", clock=1.5)  # type: ignore[arg-type]
    with pytest.raises(StoryError, match="has no clock to move"):
        tell(book, "advance 5; wait 5m")
    assert list(book.entries()) == []


@given(st.text())
def test_whatever_is_written_is_a_story_or_is_refused(text: str) -> None:
    with ledger.open(":memory:", actor="test") as book:
        try:
            tell(book, text, clock=Clock())
        except StoryError:
            assert list(book.entries()) == []
        except ledger.LedgerError as refused:
            assert refused.__notes__


@given(st.lists(st.sampled_from([*stories.FORMS.values()]), min_size=1))
def test_every_form_that_an_error_shows_can_be_told(forms: list[str]) -> None:
    for form in forms:
        for step in form.split(", "):
            with ledger.open(":memory:", actor="test") as book:
                waits = step.startswith("wait")
                told = tell(book, f"{step}; advance 50" if waits else step, clock=Clock())
                assert len(told.entries) == 1


# --- the clock ---


def test_a_clock_stands_still_until_it_is_moved() -> None:
    clock = Clock()
    assert clock() == clock() == datetime(2026, 1, 1, tzinfo=UTC)
    assert clock.tick() - datetime(2026, 1, 1, tzinfo=UTC) == timedelta(seconds=1)
    clock.now = datetime(2020, 5, 5, 18, tzinfo=timezone(timedelta(hours=2)))
    assert clock().isoformat() == "2020-05-05T16:00:00+00:00"
    assert clock.tick(-60).minute == 59
    clock.now = datetime(9999, 12, 31, tzinfo=UTC)
    with pytest.raises(InvalidCursorError, match="there is no time"):
        clock.tick(1e9)


@pytest.mark.parametrize("wrong", ["5", None, True, float("nan"), 4e9, float("-inf")])
def test_a_clock_is_moved_by_seconds(wrong: float) -> None:
    clock = Clock()
    with pytest.raises(InvalidCursorError, match="seconds must be a number"):
        clock.tick(wrong)
    assert clock() == Clock().now


def test_a_clock_shows_an_aware_time() -> None:
    with pytest.raises(InvalidCursorError):
        Clock(datetime(2026, 1, 1))  # noqa: DTZ001 - that is what is refused
    with pytest.raises(InvalidCursorError):
        Clock().now = "noon"  # type: ignore[assignment]
