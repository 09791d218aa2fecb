"""An appender that reports to the watch of a command: see `interrupts`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

import attrs

from ledger.cli.process.interrupts import Watch
from ledger.stores import Transaction
from ledger.writing.commit import Answer, Group
from ledger.writing.committer import Appender

__all__ = ["Watched"]

R = TypeVar("R")


@attrs.frozen
class Watched:
    """An Appender that reports to a watch."""

    appender: Appender
    watch: Watch

    def append(self, groups: Sequence[Group], conclude: Callable[[list[Answer]], R]) -> R:
        """Append `groups`, watched."""
        return self.watch.watched(lambda: self.appender.append(groups, conclude))

    def submit(
        self, groups: Sequence[Group], conclude: Callable[[list[Answer]], R], *, room: bool = True
    ) -> Future[R]:
        """Queue `groups`, watched."""
        return self.watch.watched(lambda: self.appender.submit(groups, conclude, room=room))

    def run(self, work: Callable[[Transaction], R]) -> R:
        """Run `work` in a transaction of its own."""
        # Not watched: commands that copy or repair end at once, and are simply run again.
        return self.appender.run(work)

    def close(self) -> None:
        """Accept no more."""
        self.appender.close()
