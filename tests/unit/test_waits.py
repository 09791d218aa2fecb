"""What is noted of a thread that gives answers goes with it, also if a signal handler raises."""

from __future__ import annotations

import gc
import linecache
import sys
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

from ledger.writing import waits
from ledger.writing.waits import answering, in_callback, waiting_for


class InterruptError(Exception):
    pass


# CPython runs signal handlers at calls and loops: in these, after the lock is given back, or the
# note is gone.
ENDS = (
    "with _lock:",
    *("if fresh:", "_answering.discard(me)"),
    *("if before is None:", "_waiting.pop(me, None)", "_waiting[me] = before"),
)


class Idle:
    """What nobody has to wait for."""

    def busy_threads(self) -> set[int]:
        return set()


def raised_at(step: int) -> bool:
    """Raise at that line of what notes both; return whether there is such a line."""
    steps = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal steps
        if frame.f_code.co_filename != waits.__file__:
            return None
        if event == "line" and line(frame) not in ENDS:
            steps += 1
            if steps == step:
                raise InterruptError
        return trace

    sys.settrace(trace)
    try:
        with answering(), waiting_for(Idle()), waiting_for(Idle()):
            pass
    except InterruptError:
        return True
    finally:
        sys.settrace(None)
    return False


def is_free_for_others() -> bool:
    with ThreadPoolExecutor(1) as other:
        free = other.submit(waits._lock.acquire, blocking=False).result()
        if free:
            other.submit(waits._lock.release).result()
    return free


def line(frame: FrameType) -> str:
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()


def test_an_interrupt_leaves_no_thread_noted_as_one_that_answers_or_waits() -> None:
    steps = 0
    while raised_at(steps + 1):
        steps += 1
        gc.collect()
        assert not in_callback(), steps
        assert not waits._waiting, steps
        assert is_free_for_others(), steps
    assert steps >= 4
    with answering():
        assert in_callback()
    assert not in_callback()
