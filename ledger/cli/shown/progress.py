"""A line on the terminal that says how far long work has got."""

from __future__ import annotations

import os
import sys
import time

import click

from ledger.cli.shown.paging import is_paging

__all__ = ["Progress"]

PROGRESS_AFTER_S = 1.0
PROGRESS_EVERY_S = 0.2


class Progress:
    """A line on the terminal that says how far a long operation has got; silent without a terminal.

    It is overwritten by the next, and cleared before anything else is printed.
    """

    def __init__(self) -> None:
        self._watched = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._next = time.monotonic() + PROGRESS_AFTER_S
        self._shown = False

    @property
    def is_watched(self) -> bool:
        """Whether anybody sees the line, so that it is worth counting for it."""
        return self._watched

    def say(self, text: str) -> None:
        """Show `text`, if the work has taken a while, and not too often."""
        if self._watched and not is_paging() and time.monotonic() >= self._next:
            click.echo(f"\r\033[K{text}", nl=False, err=True)
            self._next = time.monotonic() + PROGRESS_EVERY_S
            self._shown = True

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            click.echo("\r\033[K", nl=False, err=True)
            self._shown = False
