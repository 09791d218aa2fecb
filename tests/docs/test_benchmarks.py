"""The benchmark runs, and its page says what it has measured. No test asserts a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import report
from measure import Result, compared

from support.places import TOP


def test_the_page_is_what_the_measurements_say() -> None:
    results, where = report.read(TOP / "docs/benchmarks.json")
    assert (TOP / "docs/benchmarks.md").read_text("utf-8") == report.page(results, where)
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
    results, _ = report.read(tmp_path / "benchmarks.json")
    known, _ = report.read(TOP / "docs/benchmarks.json")
    assert [result.goal for result in results] == [result.goal for result in known]
    assert all(result.measured >= 0 for result in results)
    for result in results:
        assert result.work in done.stdout
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
