"""Measure the ledger against bare code and a peer, and say which goals hold.

`scripts/bench lag` measures by itself how long it takes to say how far many cursors are behind,
and `scripts/bench commands` what commands take on a ledger of a million entries.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import commands
import lag
import report
from cases import Sizes, all_cases
from crowds import crowds

FULL = Sizes(
    rounds=15,
    calls=1_000,
    threads_calls=60,
    log=300_000,
    short=10_000,
    long=10_000_000,
    window_s=4.0,
)
QUICK = Sizes(
    rounds=3,
    calls=300,
    threads_calls=20,
    log=30_000,
    short=10_000,
    long=100_000,
    window_s=0.5,
)
SMOKE = Sizes(
    rounds=1,
    calls=20,
    threads_calls=2,
    log=2_000,
    short=2_000,
    long=4_000,
    window_s=0.1,
)


def main() -> int:
    if sys.argv[1:2] == ["lag"]:
        return lag.main(sys.argv[2:])
    if sys.argv[1:2] == ["commands"]:
        return commands.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="less than a minute, and less to trust")
    size.add_argument("--smoke", action="store_true", help="only see whether everything runs")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write JSON, plot and page")
    parser.add_argument(
        "--postgres",
        nargs="?",
        const="",
        metavar="URL",
        help="measure on PostgreSQL instead, on a server of its own if none is named",
    )
    options = parser.parse_args()
    if options.postgres is not None:
        return on_postgres(options.postgres, sizes_of(options))
    if options.output and not options.output.is_dir():
        parser.error(f"{options.output} is no folder")
    sizes = sizes_of(options)
    begun = time.monotonic()
    results = []
    for nth, case in enumerate(cases := list(all_cases(sizes)), start=1):
        results += case()
        if sys.stderr.isatty():
            print(f"\r{nth} of {len(cases)} …", end="\r", file=sys.stderr, flush=True)
    together = list(crowds(sizes.window_s))
    where = report.machine()
    print(", ".join(f"{name} {value}" for name, value in where.items()))
    print(f"{time.monotonic() - begun:.0f} s\n")
    print(report.table(results) + "\n")
    print(report.crowd_table(together))
    if options.output:
        report.write(options.output, results, together, where)
    return 0


def sizes_of(options: argparse.Namespace) -> Sizes:
    return QUICK if options.quick else SMOKE if options.smoke else FULL


def on_postgres(url: str, sizes: Sizes) -> int:
    # Imported here, because the driver is an extra.
    from server import a_server, server_cases, version

    with a_server(url) as target:
        results = [result for case in server_cases(target, sizes) for result in case()]
        where = report.machine() | {"postgresql": version(target)}
    print(", ".join(f"{name} {value}" for name, value in where.items()) + "\n")
    print(report.table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
