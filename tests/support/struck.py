"""Commands in a fork of this process, which needs no start of its own, and can be killed."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from projections.cli import main

__all__ = ["MOMENTS", "done_s", "strike"]

MOMENTS = int(os.environ.get("CURSOR_LEDGER_KILLS", "40"))
"""How many kills a campaign has."""


def done_s(arguments: Sequence[object]) -> float:
    """Run a command to its end, which must be a good one; return how many seconds it took."""
    began = time.monotonic()
    child = _begun(arguments)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, arguments
    return time.monotonic() - began


def strike(arguments: Sequence[object], whole_s: float, chance: random.Random) -> bool:
    """Kill a command at any moment of the time that it takes; return whether it was not over."""
    child = _begun(arguments)
    time.sleep(chance.uniform(0, 1.1) * whole_s)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def _begun(arguments: Sequence[object]) -> int:
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        nowhere = os.open(Path(os.devnull), os.O_RDWR)
        for number in range(3):
            os.dup2(nowhere, number)
        main([str(each) for each in arguments])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        os._exit(code)
