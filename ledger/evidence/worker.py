"""What a process of the crew does: it checks ranges of cursors until there are none left."""

from __future__ import annotations

import os
import threading
from multiprocessing.connection import Connection

from ledger.evidence.chains import check_chains
from ledger.evidence.crew import NO_MORE, Bound, Checked, taken
from ledger.evidence.sharing import Opening

__all__ = ["work"]


def work(orders: Connection, answers: Connection, tickets: int) -> None:
    """Open the log, begin to read when told to, and check; say what was found, or what failed."""
    try:
        opening: Opening = orders.recv()
        with opening.open() as opened:
            answers.send("ready")
            log = opened.begin(orders.recv())
            answers.send("begun")
            ranges = orders.recv()
            done = threading.Event()
            threading.Thread(target=_end_with, args=(orders, done), daemon=True).start()
            entries, bound = 0, Bound()
            while (nth := taken(tickets)) != NO_MORE:
                chains = check_chains(log, ranges[nth], before=entries, progress=answers.send)
                entries += chains.entries
                answers.send(Checked(nth, bound.cut(chains)))
                answers.send(entries)
            done.set()
        answers.send(None)
    except (EOFError, BrokenPipeError):
        pass  # The process that has started this one wants no more of it.
    except Exception as error:  # noqa: BLE001 - the other process goes on without this one
        answers.send(f"{type(error).__name__}: {error}")


def _end_with(orders: Connection, done: threading.Event) -> None:
    """End this process, whatever it is doing, when the one that has started it ends."""
    try:
        orders.recv()
    except (EOFError, OSError):
        if not done.is_set():
            os._exit(1)
