"""A table fits its terminal, and what is shortened can still be told apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from ledger.cli.shown.layout import Kind, Part, padded, shared, shortened, together, width_of
from ledger.cli.shown.narrowing import Column, Layout
from ledger.cli.shown.short_times import Ages, ShortTimes, to_the_second
from ledger.log.text import visible

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
SHORTENED = [Kind.CURSOR, Kind.TEXT, Kind.NAME, Kind.WORDS]

parts = st.builds(Part, st.sampled_from(SHORTENED), st.integers(1, 12), st.integers(0, 300))
# What a name can have in it once it was made visible.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=80).map(visible)
# What widens or modifies the character before it.
odd = st.text(st.sampled_from("a❤1注\ufe0f\u20e3\u0301👩🏽"), max_size=80).map(visible)


@given(st.lists(parts, min_size=1, max_size=10), st.integers(60, 250))
def test_columns_share_a_width_and_none_gets_more_than_it_needs(
    columns: list[Part], width: int
) -> None:
    widths = shared(columns, width)
    naturals = [part.natural for part in columns]
    assert together(widths) <= width
    assert all(share <= natural for share, natural in zip(widths, naturals, strict=True))
    assert all(share >= min(natural, 4) for share, natural in zip(widths, naturals, strict=True))
    if together(naturals) <= width:
        assert widths == naturals
    else:
        # What is left over is less than a column for each that is shortened.
        assert width - together(widths) < len(columns)


@given(texts | odd, st.integers(4, 40), st.sampled_from(SHORTENED))
def test_a_text_that_is_shortened_takes_no_more_than_its_column(
    text: str, width: int, kind: Kind
) -> None:
    shown = shortened(text, width, kind)
    assert wcswidth(shown) <= width
    assert wcswidth(padded(shown, width, kind)) == width
    if wcswidth(text) <= width:
        assert shown == text
        return
    # A cursor in one word has an ellipsis in each of its names, unless there is no room for that.
    pieces = [(text, shown)]
    if kind is Kind.CURSOR and "/" in text and shown.count("/") == text.count("/"):
        pieces = list(zip(text.split("/"), shown.split("/"), strict=True))
    for whole, piece in pieces:
        start, _, end = piece.rpartition("…") if piece != whole else (whole, "", "")
        assert whole.startswith(start.rstrip())
        assert whole.endswith(end)


@given(
    st.lists(st.text("abc注文-.", min_size=5, max_size=40), min_size=2, max_size=3),
    st.integers(17, 60),
)
def test_of_a_cursor_that_is_shortened_each_name_stays(names: list[str], width: int) -> None:
    shown = shortened("/".join(names), width, Kind.CURSOR).split("/")
    assert len(shown) == len(names)
    # A name that needs less than its share leaves the rest to the others.
    cut = [piece for piece, name in zip(shown, names, strict=True) if piece != name]
    assert all(width_of(piece) >= min(5, width // len(names)) - 1 for piece in cut)
    # A wide character may leave one column empty in each half of a name.
    used = sum(map(width_of, shown)) + len(shown) - 1
    assert not cut or width - 3 * len(cut) <= used <= width


def test_names_keep_both_ends_and_texts_their_beginning() -> None:
    assert shortened("warehouse-sync-us-east-1", 14, Kind.NAME) == "warehou…east-1"
    deep = "warehouse-sync-us-east-1/company.shipments.v2/eu%2Fcustomer-7"
    assert shortened(deep, 26, Kind.CURSOR) == "ware…t-1/comp….v2/eu%2…r-7"
    assert shortened("mailer/company.shipments.v2", 20, Kind.CURSOR) == "mailer/compan…nts.v2"
    # Without room for both sides of each name, both ends of the whole stay.
    assert shortened(deep, 14, Kind.CURSOR) == "warehou…omer-7"
    assert shortened("connection refused by peer", 14, Kind.TEXT) == "connection re…"
    assert shortened("connection refused", 12, Kind.TEXT) == "connection…"
    assert width_of("注文") == 4
    assert padded("41", 5, Kind.NUMBER) == "   41"


@pytest.mark.parametrize(
    ("ages", "shown"),
    [
        ([0], "29 12:00"),
        ([28], "01 12:00"),
        ([0, 29], "11-29 12:00"),
        ([0, 400], "2026-11-29 12:00"),
        # What lies in the future is odd, so its month is told.
        ([-1], "11-30 12:00"),
    ],
)
def test_times_are_as_short_as_they_are_clear(ages: list[int], shown: str) -> None:
    times = [NOW - timedelta(days=age) for age in ages]
    assert ShortTimes.fit_for(times, NOW)(times[0]) == shown


def test_a_time_of_a_later_page_is_as_long_as_it_must_be() -> None:
    short = ShortTimes.fit_for([NOW], NOW)
    assert short(NOW - timedelta(days=40)) == "10-20 12:00"
    assert short(None) == to_the_second(None) == ""


ROWS = [
    {"consumer": "mailer", "stream": "orders", "n": 5, "at": NOW, "why": "x" * 100},
    {"consumer": "search", "stream": "orders", "n": 900, "at": NOW, "why": ""},
]
COLUMNS = [
    Column("consumer", lambda row: row["consumer"], kind=Kind.NAME, of_cursor=True),
    Column("stream", lambda row: row["stream"], kind=Kind.NAME, of_cursor=True),
    Column("n", lambda row: str(row["n"]), kind=Kind.NUMBER, spared=2),
    Column("at", lambda row: row["at"], kind=Kind.TIME),
    Column("again", lambda row: row["at"], kind=Kind.TIME, spared=1),
    Column("why", lambda row: row["why"]),
    Column("never", lambda _: ""),
]


def headings(width: int) -> list[str]:
    layout = Layout.within(width, ROWS, COLUMNS, whole=True, now=NOW)
    assert together(layout.widths) <= width
    return layout.headings


def test_what_can_be_spared_goes_first_and_the_cursor_becomes_one_column() -> None:
    assert headings(200) == ["consumer", "stream", "n", "at", "again", "why"]
    # Short times make room for all of them.
    assert headings(74) == ["consumer", "stream", "n", "at UTC", "again", "why"]
    assert headings(62) == ["consumer", "stream", "n", "at UTC", "why"]
    assert headings(55) == ["cursor", "n", "at UTC", "why"]
    assert headings(40) == ["cursor", "at UTC", "why"]


def test_rows_of_one_cursor_name_it_once() -> None:
    rows = [{**row, "consumer": "mailer"} for row in ROWS]
    layout = Layout.within(54, rows, COLUMNS, whole=True, now=NOW)
    assert (layout.cursor, layout.headings[0]) == ("mailer/orders", "n")
    # The next page may have other cursors.
    assert not Layout.within(54, rows, COLUMNS, whole=False, now=NOW).cursor


def test_what_a_source_calls_a_sequence_gives_way_to_the_names() -> None:
    number = Column("at", lambda _: "720011196", kind=Kind.NUMBER)
    named = Column("at", lambda _: "720011196 (offset 720011195)", kind=Kind.PLACE, bare=number)
    columns = [*COLUMNS[:2], named, named, Column("state", lambda _: "failing 12×")]
    rows = [{**row, "consumer": "warehouse-sync-us-east-1"} for row in ROWS]

    def shown(width: int) -> str:
        layout = Layout.within(width, rows, columns, whole=False, now=NOW)
        assert together(layout.widths) <= width
        return layout.columns[-2].text(rows[0])

    assert shown(110) == "720011196 (offset 720011195)"
    assert shown(70) == "720011196"


@pytest.mark.parametrize(
    ("ago", "said"),
    [
        (timedelta(milliseconds=1), "0s ago"),
        (timedelta(seconds=59.9), "59s ago"),
        (timedelta(minutes=59, seconds=59), "59m ago"),
        (timedelta(hours=47, minutes=59), "47h ago"),
        (timedelta(days=2), "2d ago"),
        (timedelta(days=729), "729d ago"),
        (timedelta(days=730), "2y ago"),
        (timedelta(seconds=-59), "0s ago"),
        (timedelta(hours=-3), "in 3h"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(ago: timedelta, said: str) -> None:
    now = datetime(2026, 5, 5, 16, 0, 1, tzinfo=UTC)
    assert Ages(now)(now - ago) == said
    assert not Ages(now)(None)


def test_a_table_that_fits_says_ages_and_a_wide_one_says_times() -> None:
    now = datetime(2026, 5, 5, 16, 0, 1, tzinfo=UTC)
    column = Column("updated", lambda value: value, kind=Kind.AGE)
    page = [now - timedelta(hours=20), "never", None]
    for width in (8, 80):
        fitted = Layout.within(width, page, [column], whole=True, now=now)
        told = [column.text(value, fitted.times, fitted.ages) for value in page]
        assert told == ["20h ago", "never", ""]
        assert fitted.headings == ["updated"]
    wide = Layout.of(page, [column], whole=True)
    assert column.text(page[0], wide.times, wide.ages) == "2026-05-04T20:00:01Z"
