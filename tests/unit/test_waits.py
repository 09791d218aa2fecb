"""What is noted of a thread that gives answers goes with it, also if a signal handler raises."""

from __future__ import annotations

import gc
import linecache
import sys
from types import FrameType
from typing import Any

from ledger.writing import waits
from ledger.writing.waits import answering, in_callback


class InterruptError(Exception):
    pass


def raised_at(step: int) -> bool:
    """Raise at that line of what notes answers; return whether there is such a line."""
    steps = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal steps
        if frame.f_code.co_filename != waits.__file__:
            return None
        # The last two remove the note. CPython runs signal handlers at calls and loops, and so at
        # none of these before the note is gone.
        if event == "line" and line(frame) not in ("if fresh:", "_answering.discard(me)"):
            steps += 1
            if steps == step:
                raise InterruptError
        return trace

    sys.settrace(trace)
    try:
        with answering():
            pass
    except InterruptError:
        return True
    finally:
        sys.settrace(None)
    return False


def line(frame: FrameType) -> str:
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()


def test_an_interrupt_leaves_no_thread_noted_as_one_that_gives_answers() -> None:
    steps = 0
    while raised_at(steps + 1):
        steps += 1
        gc.collect()
        assert not in_callback(), steps
    assert steps >= 4
    with answering():
        assert in_callback()
    assert not in_callback()
