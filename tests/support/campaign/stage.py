"""The process under the recorder: for each order, a line of JSON, it forks a child."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import traceback
from pathlib import Path

import ledger
from support.campaign.loads import LOADS
from support.campaign.struck import STRUCK
from support.campaign.workloads import POWER_CUTS

CHILD_S = 120

WORKLOADS = POWER_CUTS | STRUCK | LOADS


def main() -> None:
    # Its own children would each be recorded into no log; only what it forks is.
    os.environ.pop("LD_PRELOAD", None)
    # Modules are imported once, here: children are to be killed while they make a ledger.
    ledger.open(":memory:").close()
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            carry_out(order)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def carry_out(order: dict[str, object]) -> None:
    """Run a workload, and end this process in every case."""
    status = 98
    try:
        signal.alarm(CHILD_S)  # What hangs is killed, and seen by its status.
        ctypes.CDLL(None).campaign_begin(
            str(order["recorded"]).encode(), str(order["log"]).encode()
        )
        options = order["options"]
        assert isinstance(options, dict)
        WORKLOADS[str(order["workload"])](Path(str(order["folder"])), **options)
        status = 0
    except BaseException:  # noqa: BLE001 - its parent sees the status, and people the rest
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
