"""A signal at each line of a module in turn: its handler raises, or calls something."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from types import FrameType, ModuleType
from typing import Any

__all__ = ["InterruptError", "steps_interrupted"]


class InterruptError(Exception):
    """What a handler raises."""


def _raise() -> None:
    raise InterruptError


def steps_interrupted(
    module: ModuleType,
    work: Callable[[], object],
    *,
    handle: Callable[[], object] = _raise,
    never_at: Collection[str] = (),
) -> Iterator[int]:
    """Run `work` again and again, and `handle` at the next line of `module` each time; yield which.

    `never_at` are the lines at which CPython runs no signal handler: it runs them after a call,
    when a function is entered, and at the end of a turn of a loop.
    """
    step = 1
    while _is_reached(step, module, work, handle, never_at):
        yield step
        step += 1


def _is_reached(
    step: int,
    module: ModuleType,
    work: Callable[[], object],
    handle: Callable[[], object],
    never_at: Collection[str],
) -> bool:
    steps = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal steps
        if frame.f_code.co_filename != module.__file__:
            return None
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
        if event == "line" and line not in never_at:
            steps += 1
            if steps == step:
                handle()
        return trace

    sys.settrace(trace)
    try:
        with suppress(InterruptError):
            work()
    finally:
        sys.settrace(None)
    return steps >= step
