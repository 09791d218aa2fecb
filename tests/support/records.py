"""The records of the ledger's logger, while a test looks at them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ledger.notices import LOGGER


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def recorded(level: int = logging.DEBUG) -> Iterator[list[logging.LogRecord]]:
    """Yield the list to which the logger adds what it writes, from `level` on."""
    logger, kept = logging.getLogger(LOGGER), _Kept()
    before = logger.level
    logger.addHandler(kept)
    logger.setLevel(level)
    try:
        yield kept.records
    finally:
        logger.setLevel(before)
        logger.removeHandler(kept)
