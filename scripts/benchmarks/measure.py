"""How it is measured: two works in turns, again and again, and the median of their ratios."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable

import attrs

__all__ = ["Result", "compared", "quartiles"]


@attrs.frozen(kw_only=True)
class Result:
    """One line of the table: a number, the quartiles around it, and what it should be."""

    work: str
    measured: float
    low: float
    high: float
    unit: str
    goal: float
    at_least: bool
    rounds: int
    ours: float | None = None
    """Operations a second, for scale: they differ from machine to machine."""
    baseline: float | None = None
    against: str = ""

    @property
    def holds(self) -> bool:
        return self.measured >= self.goal if self.at_least else self.measured <= self.goal


def compared(
    work: str,
    *,
    ours: Callable[[], int],
    baseline: Callable[[], int],
    against: str,
    goal: float,
    rounds: int,
    slower: bool = False,
) -> Result:
    """Run `ours` and `baseline` in turns; each gives how many operations it did.

    The ratio is that of speeds, ours by the baseline's; with `slower`, of times, and is to be at
    most the goal. Both are run once before anything counts.
    """
    ratios, rates, baseline_rates = [], [], []
    for nth in range(rounds + 1):
        # The second side may find the disk warm, or busy, so they take turns in that, too.
        pair = (ours, baseline) if nth % 2 else (baseline, ours)
        measured = {run: _rate(run) for run in pair}
        if nth == 0:
            continue
        rates.append(measured[ours])
        baseline_rates.append(measured[baseline])
        ratio = measured[ours] / measured[baseline]
        ratios.append(1 / ratio if slower else ratio)
    low, median, high = quartiles(ratios)
    return Result(
        work=work,
        measured=median,
        low=low,
        high=high,
        unit="×",
        goal=goal,
        at_least=not slower,
        rounds=rounds,
        ours=statistics.median(rates),
        baseline=statistics.median(baseline_rates),
        against=against,
    )


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, median, high


def _rate(run: Callable[[], int]) -> float:
    gc.collect()
    begun = time.perf_counter()
    done = run()
    return done / (time.perf_counter() - begun)
