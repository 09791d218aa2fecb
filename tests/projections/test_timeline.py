"""A cursor's life, drawn: what is on it, that it stays small, and can do no harm."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings

import ledger
from ledger import AdvanceCursor, InvalidCursorError, Ledger
from ledger.log.text import show_time
from projections import MarkKind, Point, Timeline, charts, draw, draw_on_terminal, timeline
from projections.cli import main
from support.clock import Clock
from support.cursors import ORDERS
from support.depth import thorough
from support.histories import histories, written
from support.places import TOP

CURSOR = ("webhooks", "orders", "customer-7")


@pytest.fixture
def life(book: Ledger, clock: Clock) -> Timeline:
    for n in range(1, 11):
        book.advance(ORDERS, to=n)
        clock.tick(60)
    for n in range(3):
        book.record_error(ORDERS, f"HTTP 50{n}")
        clock.tick(60)
    book.reset(ORDERS, to=5, reason="lost", actor="ines")
    clock.tick(60)
    book.advance(ORDERS, to=8)
    clock.tick(60)
    book.advance(ORDERS, to=12)
    return timeline(book.history(ORDERS))


def test_what_happened_is_marked(life: Timeline, clock: Clock) -> None:
    start = clock.now - timedelta(minutes=15)
    at = {mark.kind: (mark.at - start, mark.until - start) for mark in life.marks}
    said = {mark.kind: (mark.low, mark.high, mark.size, mark.text) for mark in life.marks}
    minute = timedelta(minutes=1)
    assert said[MarkKind.RESET] == (5, 10, 5, "reset 10 → 5 by ines: lost")
    assert said[MarkKind.ERRORS] == (10, 10, 3, "failed 3 times at 10, last: HTTP 502")
    assert at[MarkKind.ERRORS] == (10 * minute, 12 * minute)
    assert said[MarkKind.REPEAT] == (
        6,
        10,
        5,
        "5 sequences, 6 to 10 passed again after the reset by ines",
    )
    assert at[MarkKind.REPEAT] == (13 * minute, 15 * minute)
    jumps = [mark for mark in life.marks if mark.kind is MarkKind.JUMP]
    assert [(mark.low, mark.high, mark.size) for mark in jumps] == [(5, 8, 2), (8, 12, 3)]
    assert [(p.at - start, p.sequence) for p in life.points[-5:]] == [
        (13 * minute, 10),
        (13 * minute, 5),
        (14 * minute, 8),
        (15 * minute, 12),
        (15 * minute, 12),
    ]
    assert (life.entries, life.left_out) == (16, 0)


@settings(max_examples=thorough(60, 10))
@given(asked=histories())
def test_the_points_are_where_the_cursor_was(asked: Any) -> None:
    with written(asked) as book:
        entries = list(book.history(ORDERS))
        if not entries:
            return
        life = timeline(entries)
        places = {(entry.recorded_at, n) for entry in entries for n in moves(entry.event)}
        assert places <= {(point.at, point.sequence) for point in life.points}
        assert all(a.at <= b.at for a, b in pairwise(life.points))
        assert life.points[-1].sequence == book.get(ORDERS).last_sequence


@settings(max_examples=thorough(60, 10))
@given(asked=histories())
def test_a_part_of_a_life_is_the_whole_without_what_ended_before(asked: Any) -> None:
    with written(asked) as book:
        entries = list(book.history(ORDERS))
    if not entries:
        return
    life = timeline(entries)
    for at in {entry.recorded_at for entry in entries}:
        for since in (at, at + timedelta(milliseconds=1)):
            part = timeline(entries, since=since)
            # What has failed only stands at 0.
            places = [0, *(point.sequence for point in life.points if point.at < since)]
            first = [Point(since, places[-1])] if entries[0].recorded_at < since else []
            after = [point for point in life.points if point.at >= since]
            assert list(part.points) == first + after
            assert part.marks == tuple(mark for mark in life.marks if mark.until >= since)
            assert part.entries == sum(entry.recorded_at >= since for entry in entries)
            assert part.since == since


def test_what_began_before_is_drawn_from_the_edge_on(book: Ledger, clock: Clock) -> None:
    book.advance(ORDERS, to=7)
    clock.tick(60)
    for _ in range(3):
        book.record_error(ORDERS, "HTTP 503")
        clock.tick(60)
    since = clock.now - timedelta(seconds=90)
    life = timeline(book.history(ORDERS), since=since)
    [errors] = [mark for mark in life.marks if mark.kind is MarkKind.ERRORS]
    assert (errors.size, errors.at < since <= errors.until) == (3, True)
    [drawn] = charts._marks(life, MarkKind.ERRORS)
    assert (drawn["at"], drawn["at_text"]) == (since.isoformat(), show_time(errors.at))
    # The axis begins there, and the mark is at its left end.
    lines = draw_on_terminal(life, width=80, height=10).splitlines()
    assert lines[-1].split()[:2] == [f"{since:%Y-%m-%d}", f"{since:%H:%M}"]
    [marked] = [line for line in lines if "E" in line]
    assert marked.index("E") < 5
    assert draw_on_terminal(timeline(book.history(ORDERS), since=clock.now), width=60, height=10)
    with pytest.raises(InvalidCursorError, match="since"):
        timeline(book.history(ORDERS), since="yesterday")  # type: ignore[call-overload]


def moves(event: ledger.Event) -> list[int]:
    match event:
        case ledger.CursorAdvanced(sequence=there):
            return [there]
        case ledger.CursorStarted(sequence=there):
            return [there]
        case ledger.CursorReset(previous_sequence=here, sequence=there):
            return [here, there]
        case _:
            return []


def test_a_long_life_is_thinned_but_for_its_resets(path: Path) -> None:
    clock = Clock()

    def tick() -> Any:
        return clock.tick(1)

    with ledger.open(path, actor="tester", clock=tick, durability="normal") as book:
        for start in range(0, 30_000, 3_000):
            book.append([AdvanceCursor(ORDERS, start + n) for n in range(1, 3_001)])
            book.reset(ORDERS, to=start + 2_000, reason=f"after {start}")
            for n in range(3):
                book.advance(ORDERS, to=start + 2_100 + n * 300)
        life = timeline(book.history(ORDERS))
    assert len(life.points) <= 2 * 2_000 + 2
    resets = [mark for mark in life.marks if mark.kind is MarkKind.RESET]
    assert len(resets) == 10
    for mark in resets:
        assert {p.sequence for p in life.points if p.at == mark.at} == {mark.low, mark.high}


def test_only_the_largest_marks_are_kept_and_the_others_counted(book: Ledger) -> None:
    book.append([AdvanceCursor(ORDERS, n * (n + 5) // 2) for n in range(1, 1_001)])
    life = timeline(book.history(ORDERS))
    assert len(life.marks) == 200
    assert life.left_out == 1_000 - 200
    assert min(mark.size for mark in life.marks) == 802


@pytest.mark.xdist_group("charts")  # One process imports what draws them, which takes seconds.
@pytest.mark.parametrize("form", ["html", "svg", "png"])
def test_a_file_is_drawn_that_opens_offline(life: Timeline, tmp_path: Path, form: str) -> None:
    path = tmp_path / f"life.{form}"
    draw(life, path)
    drawn = path.read_bytes()
    if form == "png":
        assert drawn.startswith(b"\x89PNG")
        return
    assert b"webhooks/orders/customer-7" in drawn
    assert "reset 10 → 5 by ines: lost".encode() in drawn
    # All that it needs is in it: no script, style or picture is loaded from anywhere.
    assert not re.search(rb"""(src|href)\s*=\s*["']?(https?:)?//(?!www\.w3\.org)""", drawn)


@pytest.mark.xdist_group("charts")
def test_text_from_the_log_cannot_get_out_of_the_drawing(book: Ledger, tmp_path: Path) -> None:
    book.advance(ORDERS, to=5)
    hostile = "</script><script>alert(1)</script><!-- \x1b[2J \u202e & '\"` \\"
    book.reset(ORDERS, to=1, reason=hostile, actor="ines")
    life = timeline(book.history(ORDERS))
    for form in charts.FORMATS:
        draw(life, tmp_path / f"life.{form}")
    page = (tmp_path / "life.html").read_text()
    assert "<script>alert" not in page
    assert r"\u003cscript>alert(1)" in page
    assert "<script" not in (tmp_path / "life.svg").read_text()


@pytest.mark.xdist_group("charts")
def test_only_known_files_are_drawn(life: Timeline, tmp_path: Path) -> None:
    for name in ("life", "life.pdf", "life.html.txt"):
        with pytest.raises(InvalidCursorError, match=r"\.html, \.svg, \.png"):
            draw(life, tmp_path / name)
        assert not (tmp_path / name).exists()
    with pytest.raises(FileNotFoundError):
        draw(life, tmp_path / "no" / "life.svg")


def test_a_terminal_gets_lines_that_fit(life: Timeline) -> None:
    drawn = draw_on_terminal(life, width=60, height=12)
    lines = drawn.splitlines()
    assert len(lines) <= 12
    assert all(len(line) <= 60 for line in lines)
    assert {"R", "E", "J"} <= set(drawn)
    assert "2026-05-05 16:00" in lines[-1]
    assert "\x1b" not in drawn


@pytest.mark.xdist_group("charts")
def test_one_entry_is_a_life_too(book: Ledger, tmp_path: Path) -> None:
    book.record_error(ORDERS, "HTTP 503")
    life = timeline(book.history(ORDERS))
    assert draw_on_terminal(life, width=60, height=12)
    draw(life, tmp_path / "life.svg")


def test_without_its_libraries_a_drawing_says_what_to_install(
    life: Timeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "altair", None)
    monkeypatch.setitem(__import__("sys").modules, "plotext", None)
    with pytest.raises(charts.ChartLibraryMissingError, match=r"\[timeline\]"):
        draw(life, tmp_path / "life.html")
    with pytest.raises(charts.ChartLibraryMissingError, match=r"\[timeline\]"):
        draw_on_terminal(life, width=60, height=12)
    with ledger.open(tmp_path / "book.db", actor="tester") as book:
        book.advance(ORDERS, to=1)
    command = ["--db", str(tmp_path / "book.db"), "timeline", *CURSOR, "--table"]
    refused = CliRunner().invoke(main, command)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("cursor-ledger: plotext is not installed")


def test_what_is_drawn_on_a_terminal_is_the_same_in_every_process(tmp_path: Path) -> None:
    """The library that draws has the order of a set, which depends on the seed of the hashes."""
    path = tmp_path / "cursors.db"
    clock = Clock()
    with ledger.open(path, clock=clock, actor="ines") as book:
        for to in (41, 44, 45):
            book.advance(ORDERS, to=to)
            clock.tick(17 * 60)
        book.reset(ORDERS, to=41, reason="receiver lost it")
    program = (
        "import ledger, sys\n"
        "from projections import draw_on_terminal, timeline\n"
        "book = ledger.open(sys.argv[1])\n"
        "life = timeline(book.history(ledger.CursorKey(*sys.argv[2:])))\n"
        "for width in range(30, 90, 4): print(draw_on_terminal(life, width=width, height=8))\n"
    )
    names = (ORDERS.consumer_id, ORDERS.stream_name, ORDERS.subject_id)
    drawn = {
        subprocess.run(
            [sys.executable, "-c", program, path, *names],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(TOP)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in "0123"
    }
    [text] = drawn
    # A time stands under its tick, and as many as there is room for.
    assert {line.count(":") for line in text.splitlines() if ":" in line} == {1, 2, 3}
