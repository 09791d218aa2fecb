"""The benchmark runs, and its page says what it has measured. No test asserts a time."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import product
from pathlib import Path

import lag
import pytest
import report
from bare import Bare
from commands import SMOKE, asked
from crowds import GOALS, SIDES, SIZES, Crowd
from measure import Result, compared

import ledger
from support.places import TOP


def test_the_page_is_what_the_measurements_say() -> None:
    results, crowds, where = report.read(TOP / "docs/benchmarks.json")
    assert (TOP / "docs/benchmarks.md").read_text("utf-8") == report.page(results, crowds, where)
    assert (TOP / "docs/benchmarks.svg").read_text("utf-8") == report.plot(results)


@pytest.mark.slow("it measures for many seconds")
def test_a_small_run_measures_everything_and_writes_its_page(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(TOP / "scripts/benchmarks"),
        "--smoke",
        "--output",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    results, together, _ = report.read(tmp_path / "benchmarks.json")
    known, _, _ = report.read(TOP / "docs/benchmarks.json")
    assert [result.goal for result in results] == [result.goal for result in known]
    assert all(result.measured >= 0 for result in results)
    for result in results:
        assert result.work in done.stdout
    assert {(crowd.processes, crowd.side) for crowd in together} == set(product(SIZES, SIDES))
    assert all(0 < crowd.p50_ms <= crowd.p999_ms <= crowd.worst_ms for crowd in together)
    assert (tmp_path / "benchmarks.svg").read_text("utf-8").startswith("<svg")


@pytest.mark.parametrize("slower", [False, True])
def test_both_sides_take_turns_and_the_first_round_does_not_count(slower: bool) -> None:
    turns: list[str] = []

    def side(name: str) -> int:
        turns.append(name)
        return 1

    result = compared(
        "nothing",
        ours=lambda: side("ours"),
        baseline=lambda: side("its"),
        against="nothing",
        goal=1,
        rounds=2,
        slower=slower,
    )
    assert turns == ["its", "ours", "ours", "its", "its", "ours"]
    assert result.rounds == 2
    assert result.at_least is not slower
    assert result.low <= result.measured <= result.high


def test_a_goal_holds_from_its_side() -> None:
    def result(measured: float, *, at_least: bool) -> Result:
        return Result(
            work="x",
            measured=measured,
            low=1,
            high=1,
            unit="×",
            goal=1,
            at_least=at_least,
            rounds=1,
        )

    assert [result(value, at_least=True).holds for value in (0.9, 1, 1.1)] == [False, True, True]
    assert [result(value, at_least=False).holds for value in (0.9, 1, 1.1)] == [True, True, False]


def test_the_bare_loop_has_the_tables_indexes_and_triggers_of_the_ledger(tmp_path: Path) -> None:
    asked = "SELECT type, name, sql FROM sqlite_schema WHERE name LIKE 'ledger%' ORDER BY name"
    ledger.open(tmp_path / "ours.db").close()
    with (
        closing(Bare(tmp_path / "bare.db", "full")) as bare,
        closing(sqlite3.connect(tmp_path / "ours.db")) as ours,
    ):
        found = bare.connection.execute(asked).fetchall()
        assert found == ours.execute(asked).fetchall()
        assert sum(kind == "trigger" for kind, _, _ in found) >= 9
        assert bare.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    ("share", "worst_ms", "holds"), [(0.6, 300, True), (0.4, 300, False), (0.6, 600, False)]
)
def test_a_crowd_is_served_well_if_all_have_their_share_and_nobody_waits_long(
    share: float, worst_ms: float, holds: bool
) -> None:
    crowd = Crowd(
        side="cursor-ledger",
        processes=8,
        calls_per_s=4_000,
        share=share,
        p50_ms=1,
        p99_ms=2,
        p999_ms=3,
        worst_ms=worst_ms,
    )
    assert GOALS[0].holds(crowd) is holds
    assert report.crowd_table([crowd]).endswith("yes" if holds else "no")
    assert "Many processes" in report.page([], [crowd], {"date": "today"})
    assert "Many processes" not in report.page([], [], {"date": "today"})


def test_the_benchmark_of_lag_finds_every_cursor() -> None:
    for shape in lag.shapes(smoke=True):
        with ledger.open(":memory:", actor="bench") as book:
            lag.written(book, shape)
            assert book.horizon().last == shape.entries
            wall, used, rows = lag.measured(lambda book=book: len(list(book.cursors())), 1)  # type: ignore[misc]
        assert (rows, wall >= 0, used >= 0) == (shape.cursors, True, True)


def test_the_benchmark_of_lag_is_run_by_its_name() -> None:
    command = [sys.executable, str(TOP / "scripts/benchmarks"), "lag", "--smoke", "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    for shape in lag.shapes(smoke=True):
        assert shape.name in done.stdout


@pytest.mark.slow("it starts each command; the benchmark of lag is run at every speed")
def test_the_benchmark_of_commands_runs_each_on_the_ledger_that_it_wrote(tmp_path: Path) -> None:
    place = tmp_path / "long.db"
    command = [sys.executable, str(TOP / "scripts/benchmarks"), "commands", "--smoke"]
    done = subprocess.run(
        [*command, "--rounds", "1", "--ledger", str(place)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()[3:]
    assert [line.split("  ")[0].split() for line in lines] == [list(each) for each in asked()]
    with ledger.open(place) as book:
        assert book.horizon().last == SMOKE.entries
        assert book.verify().ok
        resets = ledger.EntryQuery(kinds=[ledger.CursorReset])
        assert all(entry.actor == "ines" for entry in book.entries(resets))
