"""The records that the ledger writes to the logger `cursor_ledger`: each kind, with its fields.

Quiet by default: the logger has a NullHandler, so nothing reaches stderr unless the program has
configured `logging`. Every record has the attribute `event`, the name of its notice, and one
attribute for each field. Texts are masked like error messages. docs/logging.md lists all notices.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING

import attrs

from ledger.law import fields
from ledger.log.text import visible

if TYPE_CHECKING:
    import logging

__all__ = [
    "CALLS_PUT_OFF",
    "CONNECTED",
    "CONNECTION_LOST",
    "CONNECTION_REFUSED",
    "CONSUMER_PUT_OFF",
    "CURSORS_REBUILT",
    "FAILED_OVER",
    "LINE_ABANDONED",
    "LOGGER",
    "LOOK_PUT_OFF",
    "MIGRATION_PUT_OFF",
    "NOTICES",
    "RESET_REFUSED",
    "TRANSACTION_RETRIED",
    "VERIFIED_ALONE",
    "WAITED_IN_LINE",
    "WAL_CHECKPOINTED",
    "WAL_HELD_UP",
    "WAL_NOT_CHECKPOINTED",
    "Level",
    "Notice",
]

LOGGER = "cursor_ledger"


class Level(IntEnum):
    """The levels of `logging`, which is not imported for them: that takes 6 ms."""

    DEBUG = 10
    INFO = 20
    WARNING = 30


@attrs.frozen
class Notice:
    """A kind of record: its name, its level, its text and the fields that it has."""

    name: str
    level: Level
    text: str
    fields: tuple[str, ...]

    def report(self, **facts: object) -> None:
        """Write a record with `facts`, one for each field. Raises nothing, whatever happens."""
        # Without the module nobody can have configured it, and nobody is told.
        if "logging" not in sys.modules:
            return
        with suppress(Exception):
            logger = _logger()
            if logger.isEnabledFor(self.level):
                shown = {name: _shown(facts[name]) for name in self.fields}
                extra = {"event": self.name, **shown}
                logger.log(self.level, self.text, shown, extra=extra, stacklevel=2)


@cache
def _logger() -> logging.Logger:
    import logging

    logger = logging.getLogger(LOGGER)
    logger.addHandler(logging.NullHandler())
    return logger


def _shown(fact: object) -> object:
    """Return a number as it is, and anything else as one line of text without secrets."""
    if fact is None or isinstance(fact, int):
        return fact
    text = " ".join(str(fact).split())
    return visible(fields.message(text, "fact")) if text else ""


TRANSACTION_RETRIED = Notice(
    "transaction_retried",
    Level.INFO,
    "%(place)s: a transaction is retried: %(cause)s",
    ("place", "cause"),
)
CONNECTION_LOST = Notice(
    "connection_lost",
    Level.WARNING,
    "%(place)s: a connection was lost, and its call is retried on another one: %(cause)s",
    ("place", "cause"),
)
CONNECTED = Notice(
    "connected",
    Level.DEBUG,
    "%(place)s: connected to %(server)s",
    ("place", "server"),
)
FAILED_OVER = Notice(
    "failed_over",
    Level.WARNING,
    "%(place)s: connected to %(server)s; the connection before was to %(before)s",
    ("place", "server", "before"),
)
MIGRATION_PUT_OFF = Notice(
    "migration_put_off",
    Level.WARNING,
    "%(place)s: %(migration)s is put off until its owner opens the ledger again: %(cause)s",
    ("place", "migration", "cause"),
)
CONNECTION_REFUSED = Notice(
    "connection_refused",
    Level.WARNING,
    "%(place)s: no connection to listen on can be made, and it is tried again: %(cause)s",
    ("place", "cause"),
)
CALLS_PUT_OFF = Notice(
    "calls_put_off",
    Level.DEBUG,
    "%(calls)s calls are put off, because other transactions hold their cursors",
    ("calls",),
)
WAL_CHECKPOINTED = Notice(
    "wal_checkpointed",
    Level.DEBUG,
    "%(place)s: checkpoint of a write-ahead log of %(pages)s pages; complete: %(complete)s",
    ("place", "pages", "complete"),
)
WAL_HELD_UP = Notice(
    "wal_held_up",
    Level.WARNING,
    "%(place)s: readers keep %(pages)s pages in the write-ahead log; next try in %(wait_s)s s",
    ("place", "pages", "wait_s"),
)
WAL_NOT_CHECKPOINTED = Notice(
    "wal_not_checkpointed",
    Level.WARNING,
    "%(place)s: a checkpoint of the write-ahead log failed, and the next one is tried: %(cause)s",
    ("place", "cause"),
)
WAITED_IN_LINE = Notice(
    "waited_in_line",
    Level.DEBUG,
    "%(place)s: other processes were ahead of this one for %(wait_ms)s ms",
    ("place", "wait_ms"),
)
LINE_ABANDONED = Notice(
    "line_abandoned",
    Level.WARNING,
    "%(place)s: processes share the file without a line, so one may wait long: %(cause)s",
    ("place", "cause"),
)
CONSUMER_PUT_OFF = Notice(
    "consumer_put_off",
    Level.WARNING,
    "%(key)s: the ledger failed, and is asked again after %(wait_s)s s: %(cause)s",
    ("key", "wait_s", "cause"),
)
LOOK_PUT_OFF = Notice(
    "look_put_off",
    Level.DEBUG,
    "those who wait are told later, because the ledger was busy: %(cause)s",
    ("cause",),
)
CURSORS_REBUILT = Notice(
    "cursors_rebuilt",
    Level.WARNING,
    "%(repaired)s of %(cursors)s stored cursors were repaired from the log; %(left)s were left",
    ("cursors", "repaired", "left"),
)
RESET_REFUSED = Notice(
    "reset_refused",
    Level.WARNING,
    "a reset of %(key)s to %(to)s by %(actor)s was refused (%(refusal)s): %(cause)s",
    ("key", "to", "actor", "refusal", "cause"),
)
VERIFIED_ALONE = Notice(
    "verified_alone",
    Level.INFO,
    "the log is verified by one process instead of several: %(cause)s",
    ("cause",),
)

NOTICES = (
    TRANSACTION_RETRIED,
    CONNECTION_LOST,
    CONNECTED,
    CONNECTION_REFUSED,
    FAILED_OVER,
    MIGRATION_PUT_OFF,
    CALLS_PUT_OFF,
    WAL_CHECKPOINTED,
    WAL_HELD_UP,
    WAL_NOT_CHECKPOINTED,
    WAITED_IN_LINE,
    LINE_ABANDONED,
    CONSUMER_PUT_OFF,
    LOOK_PUT_OFF,
    CURSORS_REBUILT,
    RESET_REFUSED,
    VERIFIED_ALONE,
)
