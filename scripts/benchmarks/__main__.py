"""Measure the ledger against bare code and a peer, and say which goals hold."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import report
from cases import Sizes, all_cases

FULL = Sizes(rounds=15, calls=1_000, threads_calls=60, log=300_000, short=10_000, long=10_000_000)
QUICK = Sizes(rounds=3, calls=300, threads_calls=20, log=30_000, short=10_000, long=100_000)
SMOKE = Sizes(rounds=1, calls=20, threads_calls=2, log=2_000, short=2_000, long=4_000)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="less than a minute, and less to trust")
    size.add_argument("--smoke", action="store_true", help="only see whether everything runs")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write JSON, plot and page")
    options = parser.parse_args()
    if options.output and not options.output.is_dir():
        parser.error(f"{options.output} is no folder")
    sizes = QUICK if options.quick else SMOKE if options.smoke else FULL
    begun = time.monotonic()
    results = []
    for nth, case in enumerate(cases := list(all_cases(sizes)), start=1):
        results += case()
        if sys.stderr.isatty():
            print(f"\r{nth} of {len(cases)} …", end="\r", file=sys.stderr, flush=True)
    where = report.machine()
    print(", ".join(f"{name} {value}" for name, value in where.items()))
    print(f"{time.monotonic() - begun:.0f} s\n")
    print(report.table(results))
    if options.output:
        report.write(options.output, results, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
