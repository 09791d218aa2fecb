"""Processes with nothing of this one in them, for functions of tests to run in."""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerContext, SpawnContext

from support.depth import everything

__all__ = ["processes_of_their_own"]


def processes_of_their_own() -> ForkServerContext | SpawnContext:
    """Return what makes processes that share neither connections, locks nor threads with this one.

    They are forked from a server that has imported what most of their time would go into, and has
    opened nothing. A run of everything starts each of them anew.
    """
    if everything():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["sqlite_utils", "psycopg", "psycopg_pool", "pytest", "hypothesis", "ledger.stores.sqlite"]
    )
    return context
