"""Measure commands on a ledger of a million entries; `scripts/bench commands` takes minutes.

Each is run in a process of its own, as a shell runs it, with its output into a pipe. What it takes
to start is in its time: that of `--help` is hardly more.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import attrs
from lag import schema
from long_ledger import ENDING, Size, written

__all__ = ["SMOKE", "asked", "main"]

FULL = Size(entries=1_000_000, streams=100, consumers=10, headed=20)
SMOKE = Size(entries=2_000, streams=5, consumers=4, headed=1)

_OWNER = ("consumer-03", "stream-003")
_RUN = "from projections.cli import main; main()"


def asked() -> Iterator[tuple[str, ...]]:
    """Yield the commands: what starts at once, what asks of one cursor, and what asks of all."""
    yield ("--help",)
    yield ("show", *_OWNER)
    yield ("list",)
    yield ("explain", *_OWNER, "100")
    yield ("blame", *_OWNER, "100..120")
    yield ("entries", "--stream", _OWNER[1], "--kind", "error")
    yield ("entries", "--since", _since(1), "--limit", "10")
    yield ("gaps", *_OWNER)
    yield ("gaps", "--since", _since(60))
    yield ("gaps",)
    yield ("repeats", "--since", _since(60))
    yield ("repeats",)
    yield ("stalls", "--ongoing")
    yield ("stalls", "--stream", _OWNER[1])
    yield ("stalls", "--since", _since(60))
    yield ("stalls",)


def _since(minutes: int) -> str:
    return (ENDING - timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


@attrs.frozen
class Took:
    """How long a command took, in the median, and how many lines it printed."""

    wall_s: float
    cpu_s: float
    lines: int


def measured(target: str, arguments: Sequence[str], rounds: int, *, warm: bool = True) -> Took:
    """Run a command so often, and if `warm` once before, so that the file is in the cache."""
    wall, cpu, lines = [], [], 0
    environment = {**os.environ, "CURSOR_LEDGER_DB": target}
    for nth in range(rounds + warm):
        began, used = time.perf_counter(), _used()
        done = subprocess.run(
            [sys.executable, "-c", _RUN, *arguments],
            env=environment,
            capture_output=True,
            check=True,
        )
        if nth or not warm:
            wall.append(time.perf_counter() - began)
            cpu.append(_used() - used)
        lines = done.stdout.count(b"\n")
    return Took(statistics.median(wall), statistics.median(cpu), lines)


def _used() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@contextmanager
def a_ledger(given: Path | None, url: str | None, size: Size) -> Iterator[str]:
    """Lend a ledger of this size; one that was `given` is written if it is not there, and kept.

    Where there is a `url`, even an empty one, it is on PostgreSQL, and is gone afterwards.
    """
    if url is not None:
        # Imported here, because the driver is an extra.
        from server import a_server

        with a_server(url) as server, schema(server, "cursor_ledger_commands") as target:
            written(target, size)
            yield target
        return
    if given is not None:
        if not given.exists():
            written(str(given), size)
        yield str(given)
        return
    with tempfile.TemporaryDirectory() as folder:
        target = str(Path(folder) / "long.db")
        written(target, size)
        yield target


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench commands", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="only see whether everything runs")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument(
        "--ledger", type=Path, metavar="FILE", help="measure on this file, written if it is absent"
    )
    parser.add_argument(
        "--postgres",
        nargs="?",
        const="",
        metavar="URL",
        help="measure on PostgreSQL instead, on a server of its own if none is named",
    )
    options = parser.parse_args(arguments)
    if options.ledger is not None and options.postgres is not None:
        parser.error("--ledger is a file of SQLite; leave it out with --postgres")
    size = SMOKE if options.smoke else FULL
    with a_ledger(options.ledger, options.postgres, size) as target:
        print(f"{size.entries:,} entries of {size.cursors:,} cursors\n")
        print(f"{'command':62} {'lines':>8} {'wall s':>8} {'CPU s':>8}")
        for command in asked():
            # Only to see whether it runs, once is enough: a busy machine takes seconds for each.
            rounds = 1 if options.smoke else options.rounds
            took = measured(target, command, rounds, warm=not options.smoke)
            said = " ".join(command)
            print(f"{said:62} {took.lines:8,} {took.wall_s:8.2f} {took.cpu_s:8.2f}", flush=True)
    return 0
