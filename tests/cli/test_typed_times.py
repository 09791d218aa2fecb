"""What is typed for a time, and what is understood."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.cli.shown.short_times import Ages, ShortTimes
from ledger.cli.typed.typed_times import ago_of, moment_of, span_of
from ledger.log.text import show_time
from support.commands import OWNER, Run, records

NOW = datetime(2026, 3, 10, 2, 13, 44, tzinfo=UTC)

UNDERSTOOD = {
    "02:00": "2026-03-10T02:00:00Z",
    "2:00": "2026-03-10T02:00:00Z",
    "02:13": "2026-03-10T02:13:00Z",
    "02:13:44": "2026-03-10T02:13:44Z",
    # What is yet to come was yesterday.
    "02:13:45": "2026-03-09T02:13:45Z",
    "02:14": "2026-03-09T02:14:00Z",
    "23:59": "2026-03-09T23:59:00Z",
    "00:00": "2026-03-10T00:00:00Z",
    " 02:00 ": "2026-03-10T02:00:00Z",
    "02:00Z": "2026-03-10T02:00:00Z",
    "02:00 UTC": "2026-03-10T02:00:00Z",
    "03:00+01:00": "2026-03-10T02:00:00Z",
    "03:00 +01:00": "2026-03-10T02:00:00Z",
    # There it is yesterday still.
    "20:00-05:00": "2026-03-10T01:00:00Z",
    "22:00-05:00": "2026-03-09T03:00:00Z",
    "now": "2026-03-10T02:13:44Z",
    "today": "2026-03-10T00:00:00Z",
    "today 01:30": "2026-03-10T01:30:00Z",
    "yesterday": "2026-03-09T00:00:00Z",
    "yesterday 22:04": "2026-03-09T22:04:00Z",
    "yesterday 02:00": "2026-03-09T02:00:00Z",
    "2026-03-01": "2026-03-01T00:00:00Z",
    "2024-02-29": "2024-02-29T00:00:00Z",
    "2026-03-01 12:30": "2026-03-01T12:30:00Z",
    "2026-03-01T12:30": "2026-03-01T12:30:00Z",
    "2026-03-01T12:30Z": "2026-03-01T12:30:00Z",
    "2026-03-01 12:30:01": "2026-03-01T12:30:01Z",
    "2026-03-01 12:30+02:00": "2026-03-01T10:30:00Z",
    "2026-03-01T12:30:01-03:30": "2026-03-01T16:00:01Z",
    # A date that is written in full may lie ahead.
    "2027-01-01": "2027-01-01T00:00:00Z",
    # As tables show times: without the year, and without the month.
    "03-09 22:04": "2026-03-09T22:04:00Z",
    "12-24 22:04": "2025-12-24T22:04:00Z",
    "02-29 10:00": "2024-02-29T10:00:00Z",
    "09 22:04": "2026-03-09T22:04:00Z",
    "10 02:00": "2026-03-10T02:00:00Z",
    "10 02:14": "2026-02-10T02:14:00Z",
    "28 22:04": "2026-02-28T22:04:00Z",
    "30 22:04": "2026-01-30T22:04:00Z",
    "31 22:04": "2026-01-31T22:04:00Z",
    # The last such day; of this one, what is not yet to come.
    "monday": "2026-03-09T00:00:00Z",
    "Mon 22:04": "2026-03-09T22:04:00Z",
    "tuesday": "2026-03-10T00:00:00Z",
    "TUE 02:14": "2026-03-03T02:14:00Z",
    "wed": "2026-03-04T00:00:00Z",
    "sunday 03:00 +01:00": "2026-03-08T02:00:00Z",
    "22:04 Europe/Berlin": "2026-03-09T21:04:00Z",
    # In summer there.
    "2026-07-01 12:30 America/New_York": "2026-07-01T16:30:00Z",
    "yesterday 22:04 America/Argentina/Buenos_Aires": "2026-03-09T01:04:00Z",
    "22:04 Etc/GMT+5": "2026-03-09T03:04:00Z",
}

NOT_UNDERSTOOD = [
    "",
    "90",
    "1",
    "24:00",
    "02:60",
    "02:00:60",
    "2:0",
    "002:00",
    "02:00+24:00",
    "02:00+01:60",
    "02:00 CET",
    "2026-02-29",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01 00:00+01:00",
    "2026-13-01",
    "2026-00-10",
    "2026-3-1",
    "26-03-01 10:00",
    "00 10:00",
    "32 10:00",
    "02-30 10:00",
    "03-09",
    "tomorrow",
    "noon",
    "Yesterday",
    "yesterday 25:00",
    "yesterday22:04",
    "last week",
    "last monday",
    "mond",
    "monday22:04",
    "22:04Europe/Berlin",
    "22:04 europe/berlin",
    "22:04 Europe/Nowhere",
    "22:04 Europe/../Berlin",
    "22:04 Berlin",
    "٠٢:٠٠",
    "2026-03-01  12:30",
]


@pytest.mark.parametrize(("typed", "understood"), UNDERSTOOD.items())
def test_a_time_is_understood_as_people_mean_it(typed: str, understood: str) -> None:
    moment = moment_of(typed, NOW)
    assert moment is not None
    assert show_time(moment) == understood


@pytest.mark.parametrize("typed", NOT_UNDERSTOOD)
def test_what_may_mean_something_else_is_not_understood(typed: str) -> None:
    assert moment_of(typed, NOW) is None


@pytest.mark.parametrize(
    ("typed", "span"),
    [
        ("90m", timedelta(minutes=90)),
        ("1h30m", timedelta(minutes=90)),
        ("1h 30m", timedelta(minutes=90)),
        ("2d4h", timedelta(hours=52)),
        ("1w", timedelta(weeks=1)),
        ("45s", timedelta(seconds=45)),
        ("0s", timedelta()),
        ("3 days", timedelta(days=3)),
        ("1 day 2 hours", timedelta(hours=26)),
        ("2weeks", timedelta(weeks=2)),
        ("90 min", timedelta(minutes=90)),
        ("1 h 30 minutes", timedelta(minutes=90)),
        ("45 sec", timedelta(seconds=45)),
        ("2 months", None),
        ("3 dayss", None),
        ("3d ays", None),
        ("30m1h", None),
        ("90", None),
        ("m", None),
        ("", None),
        ("1.5h", None),
        ("-1h", None),
        ("1H", None),
    ],
)
def test_a_span_has_its_units_from_the_largest_down(typed: str, span: timedelta | None) -> None:
    assert span_of(typed) == span


@given(st.timedeltas(timedelta(0), timedelta(days=3_000)))
def test_what_a_table_shows_can_be_typed(age: timedelta) -> None:
    time = (NOW - age).replace(second=0, microsecond=0)
    assert moment_of(ShortTimes.fit_for([time], NOW)(time), NOW) == time


# From then on a table shows years, and which 365 or 366 days one has is not said.
@given(st.timedeltas(timedelta(0), timedelta(days=729)))
def test_an_age_that_a_table_shows_can_be_typed(age: timedelta) -> None:
    shown = Ages(NOW)(NOW - age)
    typed = ago_of(shown)
    assert typed is not None
    assert typed <= age < typed + timedelta(days=1)


def test_how_long_ago_is_typed_as_it_is_shown(run: Run) -> None:
    run("advance", *OWNER, "--to", 5)
    assert len(records(run("entries", "--since", "20h ago"))) == 1
    assert records(run("entries", "--until", "20h ago")) == []
    assert run("stalls", "--after", "20h ago").exit_code == 2


def test_what_was_understood_is_said(run: Run) -> None:
    run("advance", *OWNER, "--to", 5)
    done = run("entries", "--since", "2020-01-01 10:00")
    assert len(records(done)) == 1
    assert done.stderr == "--since 2020-01-01 10:00 is 2020-01-01T10:00:00Z\n"
    # Exactly that was typed.
    assert run("entries", "--since", "2020-01-01T10:00:00Z").stderr == ""
    assert run("entries", "--since", "2020-01-01T10:00:00.5+01:00").stderr == ""
    assert run("entries", "--since", "9000d").stderr == ""


def test_what_is_written_to_the_log_has_a_zone(run: Run) -> None:
    refused = run("advance", *OWNER, "--to", 5, "--now", "10:00")
    assert refused.exit_code == 2
    assert "Write one with its zone" in refused.stderr
