"""What a command has appended when it is interrupted, or when its output fails.

From the first append on, the first Ctrl-C waits until the append has ended and the command has said
how it ended. A second Ctrl-C stops the command at once; the command says that the outcome is not
known, and how to find out.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import click

from ledger.cli.process.hosts import command_name
from ledger.errors import LedgerError, UnknownOutcomeError

if TYPE_CHECKING:
    from ledger.service import Ledger

__all__ = ["Stop", "Watch"]

R = TypeVar("R")

_META = "ledger.cli.watch"


class Stop(threading.Event):
    """Set from the first Ctrl-C on.

    A command that never ends waits for it, because Python drops the KeyboardInterrupt that comes
    while an object is deleted. The signal handler cannot call `set`: its thread may be waiting.
    """

    asked = False

    def is_set(self) -> bool:
        """Return whether Ctrl-C was pressed."""
        return self.asked

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for `timeout` seconds; return whether Ctrl-C was pressed before or meanwhile."""
        super().wait(timeout)
        return self.asked


class Watch:
    """What a command has appended, and whether it was asked to stop meanwhile."""

    # No class of attrs, because to make one of these takes 0.8 ms, and every command would.
    def __init__(self) -> None:
        self.writes = False
        """Whether it may append at all."""
        self.commits = 0
        """How many of its appends are known to be committed."""
        self.unknown = False
        """Whether an append began, and its outcome is not known."""
        self.asked = False
        """Whether a Ctrl-C waits for the append to end."""
        self.nothing_found = False
        """Whether what the command was to show is empty."""
        self.told = False
        """Whether the command has already said what it appended."""
        self.tally: Callable[[], str] | None = None
        """How a command that appends many words what it has appended."""
        self.stop = Stop()
        """What a command that never ends waits for."""
        self._busy = False

    @classmethod
    def current(cls) -> Watch:
        """Return the watch of the command that runs."""
        context = click.get_current_context(silent=True)
        return cls() if context is None else cls.of(context)

    @classmethod
    def of(cls, context: click.Context) -> Watch:
        """Return the watch of the command that `context` belongs to."""
        watch: Watch = context.meta.setdefault(_META, cls())
        return watch

    def over(self, book: Ledger) -> Ledger:
        """Return the same ledger, with its appends watched."""
        # Imported here, because most commands only read.
        from ledger.cli.process.watched import Watched

        return book.through(lambda appender: Watched(appender, self))

    def settled(self) -> None:
        """Note that everything appended so far is accounted for; stop here after a Ctrl-C."""
        self._busy = False
        if self.asked:
            raise KeyboardInterrupt

    @property
    def account(self) -> str:
        """What the command has appended, in words, if it did not run to its end."""
        if self.tally is not None:
            return self.tally()
        if self.unknown:
            return (
                "it is not known whether it was appended. To see what was: "
                f"{command_name()} entries --newest-first -n 10"
            )
        return "the request was appended" if self.commits else "nothing was appended"

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Make Ctrl-C wait for appends, unless it is ignored or has another handler."""
        before = signal.getsignal(signal.SIGINT)
        here = threading.current_thread() is threading.main_thread()
        if not here or before is not signal.default_int_handler:
            yield
            return
        signal.signal(signal.SIGINT, self._interrupted)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _interrupted(self, *_: object) -> None:
        if self.asked or not self._busy:
            self.stop.asked = True
            raise KeyboardInterrupt
        self.asked = True
        if os.isatty(2):
            # Not by way of sys.stderr, which may be in the middle of something.
            os.write(2, b"\nstopping after this append; press Ctrl-C again to stop at once\n")

    def watched(self, append: Callable[[], R]) -> R:
        """Run `append` and return its result; note whether it committed."""
        if self.asked:
            raise KeyboardInterrupt
        self._busy = True
        self.unknown = True
        try:
            result = append()
        except LedgerError as error:
            self.unknown = isinstance(error, UnknownOutcomeError)
            raise
        self.commits += 1
        self.unknown = False
        return result
