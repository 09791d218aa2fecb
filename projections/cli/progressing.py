"""How far a command has got that reads the histories of many cursors: a bar, and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import attrs

from ledger import Cursor, Entry, Ledger
from ledger.cli.shown.progress import Progress
from projections.cli.choosing import Choice
from projections.cli.spans import shown_span

__all__ = ["Share", "progress_over", "progressing"]

T = TypeVar("T")

BAR_COLUMNS = 20
COUNTED_EVERY = 5_000
LEFT_AFTER = 0.02
"""Below this share of the work, nothing can be said of the time that is left."""


@contextmanager
def progressing(book: Ledger, chosen: Choice) -> Iterator[Share]:
    """Lend what shows how much was read of the entries of `chosen`, on a terminal only."""
    with progress_over(lambda: chosen.cursors(book)) as share:
        yield share


@contextmanager
def progress_over(cursors: Callable[[], Iterable[Cursor]]) -> Iterator[Share]:
    """Lend what shows how much was read of the entries of `cursors`, on a terminal only."""
    progress = Progress()
    share = Share(progress)
    if progress.is_watched:
        share.whole = sum(cursor.version for cursor in cursors())
    try:
        yield share
    finally:
        progress.clear()


@attrs.define
class Share:
    """How many entries lie behind, of how many."""

    progress: Progress
    whole: int = 0
    _began: float = attrs.field(factory=time.monotonic)

    def read(self, behind: int) -> None:
        """Note that so many entries lie behind."""
        if self.whole:
            self.progress.say(self._text(min(behind / self.whole, 1.0)))

    def counted(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Return `entries`; while they are read, note how many lie behind."""
        return self._counted(entries) if self.whole else iter(entries)

    def _counted(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        for behind, entry in enumerate(entries, 1):
            if behind % COUNTED_EVERY == 0:
                self.read(behind)
            yield entry

    def cleared(self, values: Iterable[T]) -> Iterator[T]:
        """Yield `values`, and clear the line before each is shown."""
        for value in values:
            self.progress.clear()
            yield value
        self.progress.clear()

    def _text(self, share: float) -> str:
        full = int(share * BAR_COLUMNS)
        bar = "█" * full + "░" * (BAR_COLUMNS - full)
        text = f"{bar} {int(share * 100):3} % of {self.whole:,} entries"
        if share < LEFT_AFTER:
            return text
        left_s = (time.monotonic() - self._began) * (1 - share) / share
        return f"{text}, {shown_span(timedelta(seconds=int(left_s) + 1))} left"
