"""How several processes read one log as of one moment: what a store has to do for it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from ledger.evidence.source import Log

__all__ = ["Companions", "Opened", "Opening"]


class Opening(Protocol):
    """How another process opens the same log. It is sent there pickled, over a pipe."""

    def open(self) -> AbstractContextManager[Opened]:
        """Connect, so that the snapshot can begin at once."""


class Opened(Protocol):
    """A connection to a log, in another process."""

    def begin(self, snapshot: str) -> Log:
        """Begin to read as of the moment that `snapshot` names, or of now if it is empty."""


class Companions(Protocol):
    """Other processes that have opened the log, and have not begun to read."""

    def __bool__(self) -> bool:
        """Return whether there are any."""

    def begin(self, snapshot: str = "") -> None:
        """Let them begin to read; return when all have, or when they are sent home."""

    def send_home(self, why: str) -> None:
        """Do without them: they cannot read as of the same moment."""
