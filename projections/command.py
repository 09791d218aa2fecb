"""The command `cursor-ledger` as it is installed."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

__all__ = ["run"]

OBJECTS = 50_000
"""How many new objects are made before Python looks for garbage; its own default is 700."""


def run(words: Sequence[str] | None = None, **given: Any) -> None:  # noqa: ANN401 - as of click
    """Run the program: the words of its own process, or those that another program gives."""
    # What imports make is no garbage, and looking through it takes a tenth of a short command:
    # 201 ms of a busy processor for `show` with 44 looks, 178 ms with 7.
    if words is None:
        gc.set_threshold(OBJECTS)
    from projections.cli import main

    try:
        main(words, **given)
    finally:
        # At its end, Python looks through all objects once more: 29 of the 374 million
        # instructions of `show`. What is open was closed, and the rest ends with the process.
        if words is None:
            gc.freeze()
