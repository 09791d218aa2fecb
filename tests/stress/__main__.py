"""The campaign of faults by command: `python tests/stress --long`. See docs/robustness.md."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support.campaign.recording import impossible, staged
from support.campaign.results import Result, table
from support.campaign.trials import TRIALS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/stress", description=__doc__)
    parser.add_argument("--long", action="store_true", help="some 20 minutes, not one and a half")
    parser.add_argument("--seed", type=int, default=1, help="of all that is chosen by chance")
    parser.add_argument(
        "--only", choices=TRIALS, action="append", help="one fault; may be repeated"
    )
    options = parser.parse_args()
    # The pool of psycopg reports every connection that is lost, and here that is all of them.
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    results: dict[str, Result] = {}
    if why := impossible():
        parser.error(why)
    with staged() as stage:
        for name in options.only or TRIALS:
            trial = TRIALS[name]
            if why := trial.impossible():
                print(f"{name}: not tried, because {why}", file=sys.stderr)
                continue
            begun = time.monotonic()
            result = trial.run(stage, trial.long if options.long else trial.short, options.seed)
            results[name] = result
            found = f"{result.times:,} times, {result.lost:,} lost, {len(result.broken):,} broken"
            took_s = time.monotonic() - begun
            print(f"{name}: {found}, {took_s:.0f} s", file=sys.stderr, flush=True)
            for each in result.broken[:10]:
                print(f"    {each}", file=sys.stderr, flush=True)
    print(f"seed {options.seed}")
    print(table(results))
    return int(not all(result.holds for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
