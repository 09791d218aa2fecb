"""How long tests take, as it was measured: the two faster speeds leave the longest to `--all`.

`scripts/test --measure` runs all but the slow tests, as deep as the faster speeds do, and writes
the list. It has the seconds of each function that takes long, in the mean of its parameters; on
PostgreSQL a function is measured for itself. A test that is new is not on it, and is run.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from support.places import TOP

__all__ = [
    "LIST",
    "LISTED_S",
    "LONG_S",
    "ON_POSTGRES",
    "Stopwatch",
    "function_of",
    "long_tests",
]

LIST = TOP / "tests" / "long_tests.txt"
ON_POSTGRES = " on PostgreSQL"

LISTED_S = 0.1
"""What takes longer than this is on the list. `--fast` leaves it out."""

LONG_S = 0.12
"""What takes longer than this is left to `--all`."""


def function_of(nodeid: str, *, on_postgres: bool) -> str:
    """Return what the list calls the function of a test."""
    return nodeid.partition("[")[0] + ON_POSTGRES * on_postgres


def long_tests(longer_than_s: float) -> frozenset[str]:
    """Return the functions on the list that take longer."""
    lines = [line.split(maxsplit=1) for line in LIST.read_text("utf-8").splitlines()]
    return frozenset(name for seconds, name in lines if float(seconds) > longer_than_s)


class Stopwatch:
    """A plugin that measures how long each function takes, and writes the list at the end."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._took_s: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        function = function_of(report.nodeid, on_postgres="on_postgres" in report.keywords)
        self._took_s[function][report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        means_s = {name: sum(each.values()) / len(each) for name, each in self._took_s.items()}
        lines = [f"{mean_s:.2f} {name}\n" for name, mean_s in sorted(means_s.items())]
        listed = [line for line in lines if float(line.split()[0]) > LISTED_S]
        self._file.write_text("".join(listed), "utf-8")
