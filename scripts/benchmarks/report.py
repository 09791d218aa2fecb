"""How it is told: a table on the terminal, JSON, a plot, and the page of the documentation."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs
from crowds import GOALS, Crowd
from measure import Result
from tabulate import tabulate

__all__ = ["crowd_table", "machine", "page", "plot", "read", "table", "write"]


def machine() -> dict[str, Any]:
    """Return what it was measured on."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "cursor-ledger": version("cursor-ledger"),
        "orjson": version("orjson"),
        "eventsourcing": version("eventsourcing"),
    }


def table(results: Sequence[Result], *, form: str = "simple") -> str:
    """Return the table as text."""
    rows = [
        (
            result.work,
            _shown(result.measured, result.unit),
            f"{_plain(result.low)} to {_plain(result.high)}",
            f"{'≥' if result.at_least else '≤'} {_shown(result.goal, result.unit)}",
            "yes" if result.holds else "no",
            result.against,
            _rate(result.ours),
            _rate(result.baseline),
        )
        for result in results
    ]
    headers = ("work", "measured", "quartiles", "goal", "holds", "against", "ours/s", "its/s")
    align = ("left", "right", "left", "right", "left", "left", "right", "right")
    return tabulate(rows, headers=headers, tablefmt=form, colalign=align, disable_numparse=True)


def crowd_table(crowds: Sequence[Crowd], *, form: str = "simple") -> str:
    """Return the table of processes that write to one file at the same time."""
    goals = {goal.processes: goal for goal in GOALS}
    rows = []
    for crowd in crowds:
        goal = goals.get(crowd.processes) if crowd.side == "cursor-ledger" else None
        times = (crowd.p50_ms, crowd.p99_ms, crowd.p999_ms, crowd.worst_ms)
        rows.append(
            (
                crowd.processes,
                crowd.side,
                _rate(crowd.calls_per_s),
                _plain(crowd.share),
                *(f"{_plain(time_ms)} ms" for time_ms in times),
                "" if goal is None else "yes" if goal.holds(crowd) else "no",
            )
        )
    headers = ("processes", "side", "calls/s", "share", "p50", "p99", "p99.9", "worst", "holds")
    align = ("right", "left", *["right"] * 6, "left")
    return tabulate(rows, headers=headers, tablefmt=form, colalign=align, disable_numparse=True)


def write(
    folder: Path, results: Sequence[Result], crowds: Sequence[Crowd], where: dict[str, Any]
) -> None:
    """Write benchmarks.json, benchmarks.svg and benchmarks.md into `folder`."""
    content = {
        "machine": where,
        "results": [attrs.asdict(result) for result in results],
        "crowds": [attrs.asdict(crowd) for crowd in crowds],
    }
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    (folder / "benchmarks.json").write_text(text, "utf-8")
    (folder / "benchmarks.svg").write_text(plot(results), "utf-8")
    (folder / "benchmarks.md").write_text(page(results, crowds, where), "utf-8")


def read(path: Path) -> tuple[list[Result], list[Crowd], dict[str, Any]]:
    """Return what `write` has written as JSON."""
    content = json.loads(path.read_text("utf-8"))
    return (
        [Result(**result) for result in content["results"]],
        [Crowd(**crowd) for crowd in content.get("crowds", [])],
        content["machine"],
    )


def page(results: Sequence[Result], crowds: Sequence[Crowd], where: dict[str, Any]) -> str:
    """Return the page of the documentation."""
    missed = [result for result in results if not result.holds]
    verdict = (
        "All goals hold."
        if not missed
        else f"{len(results) - len(missed)} of {len(results)} goals hold; these do not: "
        + "; ".join(f"{result.work} ({_shown(result.measured, result.unit)})" for result in missed)
        + "."
    )
    measured_on = ", ".join(f"{name} {value}" for name, value in where.items() if name != "date")
    return PAGE.format(
        date=where["date"],
        machine=measured_on,
        verdict=verdict,
        table=table(results, form="github"),
        crowds=CROWDS.format(table=crowd_table(crowds, form="github")) if crowds else "",
    )


PAGE = """# Benchmarks

`scripts/bench --output docs` has written this page, on {date}, on this machine:
{machine}.

What counts is the ratio: both sides are run in turns, in the same process, on the same disk,
and the median of the rounds is given with its quartiles. The numbers per second are there for
scale; they differ from machine to machine, and from hour to hour. No test asserts any of this.

{verdict}

{table}

![each measurement as a part of its goal](benchmarks.svg)

- **Bare sqlite3** is [a loop written by hand](../scripts/benchmarks/bare.py) for the same
  tables, digests and durability: it reads the head, computes the digest, and writes two rows in
  one transaction. It checks nothing, and makes no objects. **Bare scan** reads all columns of all
  entries, and drops them.
- **One caller** is one thread that advances one cursor, each time waiting for the disk. With 64
  threads the calls share the flush of the disk; with `submit`, those of one thread do.
- **eventsourcing** is the Python package, with a cursor as its aggregate, on SQLite in a file
  with its defaults, as [its manual shows it](../scripts/benchmarks/peer.py); for get + save, an
  aggregate of 1,000 events without snapshots.
- **In time** means that less is better: the cost at one length of the log by that at another.
- **Mask 1 MB** is the processor's time for the slowest of
  [1,700 texts](../scripts/benchmarks/hostile.py) that are made to keep
  [the masking of error messages](masking.md) busy, and of some more that a search finds.

Run it yourself: `scripts/bench --quick` takes less than a minute, `scripts/bench` less than ten.

{crowds}## Where the time goes

By `perf record`, one caller at normal durability, where no flush hides the rest: 45 % is Python,
29 % the system's calls (the same calls as the bare loop makes, except one that looks at the file),
17 % SQLite. Python's part is the checked request, the event, the cursor and the head, each made
once, and the digest; after every wait for the disk it runs with cold caches, at less than half
the speed that it has in a loop. When 10,000 futures are kept, a fifth of `submit` is the garbage
collector looking through them. Of the 5 µs that a replayed entry takes, 2 go to SQLite, 2 to
checking the row and making the entry, and 1 to the law; the bare scan has only the first.
"""


CROWDS = """## Many processes on one file

As many processes as a row says advance a cursor each, in the same file, without a pause, at full
durability.
**Share** is the number of calls of the least served process by that of the most served one; the
times are of single calls of all processes. Wanted of the ledger: with 8 processes a share of 0.5
and no call over 0.5 s, with 32 none over 2 s.

{table}

"""


def plot(results: Sequence[Result]) -> str:
    """Draw how far each measurement is from its goal, as SVG."""
    import altair as alt
    import vl_convert

    rows = [
        {
            "work": f"{result.work}{f' (against {result.against})' if result.against else ''}",
            "part": result.measured / result.goal
            if result.at_least
            else result.goal / max(result.measured, result.goal / 100),
            "holds": "holds" if result.holds else "does not hold",
        }
        for result in results
    ]
    bars = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_bar()
        .encode(
            x=alt.X(
                "part:Q",
                title="part of the goal: right of the line is better",
                scale=alt.Scale(type="log", domain=[0.1, 10], clamp=True),
                axis=alt.Axis(values=[0.1, 0.25, 0.5, 1, 2, 4, 10], format="~g"),
            ),
            x2=alt.value(0),
            y=alt.Y("work:N", sort=None, title=None, axis=alt.Axis(labelLimit=420)),
            color=alt.Color(
                "holds:N",
                title=None,
                scale=alt.Scale(domain=["holds", "does not hold"], range=["#1f5fbf", "#c0392b"]),
            ),
        )
    )
    goal = alt.Chart(alt.InlineData(values=[{"part": 1}])).mark_rule(size=2).encode(x="part:Q")
    chart = (bars + goal).properties(width=420, title="Measured, by its goal")
    return str(vl_convert.vegalite_to_svg(chart.to_json()))


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or sys.platform


def _shown(value: float, unit: str) -> str:
    return f"{_plain(value)} {unit}"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 20 else f"{value:.2f}".rstrip("0").rstrip(".")


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
