"""The ledger for asyncio: `ledger.aio.open` returns an `AsyncLedger`.

The same engine serves both. What is written shares the transactions of all other callers; what is
read is read in threads. Nothing here is bound to one event loop.
"""

from __future__ import annotations

from ledger.aio.lazily import lazy
from ledger.aio.ledger import AsyncLedger
from ledger.aio.lent import AsyncLent
from ledger.aio.opening import open  # noqa: A004 - ledger.aio.open(…) is how it reads
from ledger.aio.policies import AsyncPolicies
from ledger.aio.streams import Stream
from ledger.consuming.coroutines import AsyncConsumer
from ledger.consuming.heads_coroutines import AsyncHeads

__all__ = [
    "AsyncConsumer",
    "AsyncHeads",
    "AsyncLedger",
    "AsyncLent",
    "AsyncPolicies",
    "Stream",
    "lazy",
    "open",
]
