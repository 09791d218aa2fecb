"""How a call reaches the log: the law is asked, entries are made, calls share transactions.

Read it in this order. `commit` makes the entries of one transaction, and `answers` is what callers
are told of them. `committer` runs that in a transaction of the store, for one call or for several.
`group_commit` is the queue of callers before it: `calls` are what is queued, `floor` says which
thread commits, `serving` is the thread that serves the queue, and `late` makes all that when
something is first appended. `futures` and `waits` are for callers who do not wait at once.
`copying` appends the entries of another log as they are, and `importing` those of a file.
`policies` sets and drops what each reset must carry.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

# Imported when it is first used, because a program that only reads makes no entries.
_LATER = ("commit",)


def __getattr__(name: str) -> ModuleType:
    if name in _LATER:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
