"""Work in forked children, and who opens a lazy ledger."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import ledger.aio

__all__ = ["in_child", "watched"]

CHILD_S = 60


def in_child(work: Callable[[], object]) -> str:
    """Run `work` in a forked child, and return what it says."""
    heard, said = os.pipe()
    child = os.fork()
    if child == 0:
        # One that hangs ends by this, and has said nothing.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(CHILD_S)
        try:
            os.write(said, str(work()).encode())
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is looked at
            os.write(said, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(said)
    with os.fdopen(heard) as answer:
        found = answer.read()
    os.waitpid(child, 0)
    return found


def watched(book: Any, note: Callable[[], object]) -> None:
    """Have `note` called whenever `book` is opened."""
    lazily: Any = book
    process = (
        lazily._ledger._process if isinstance(book, ledger.aio.AsyncLedger) else lazily._process
    )
    opened = process._opened

    def noted() -> object:
        note()
        return opened()

    process._opened = noted
